"""The first screen of studies of two models and three languages, one of them the showcase, in a browser: all
that was found in the order of the study, one picture and the line of trust, on a desktop and on a phone."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.chromium import NEEDS_CHROMIUM, Visit, browser, playwright
from tests.docs.showcase import BUNDLE
from tests.warehouse.reported_study import write_study
from tests.warehouse.test_report_first_screen import ANSWERS, METHODS, bottom
from warehouse.connect import WAREHOUSE
from warehouse.report.page import as_html
from warehouse.report.reading import read_study
from warehouse.report.study import StudyRows
from warehouse.report.wording import language_name
from xp.bundle import read_bundle

pytestmark = NEEDS_CHROMIUM

CONTRASTS = (
    ("urial_en", "urial"),
    ("urial", "zero_shot"),
    ("sft", "urial"),
    ("dpo", "urial"),
    ("dpo_sft", "sft"),
    ("dpo", "zero_shot"),
)
DESKTOP, PHONE = {"width": 1280, "height": 800}, {"width": 390, "height": 844}


def invented(store: Path) -> StudyRows:
    """A study whose models aren't in the order of the alphabet."""
    warehouse = write_study(
        store,
        "invented",
        METHODS,
        {"tiny": 135_000_000, "small": 270_000_000},
        n_items=60,
        contrasts=CONTRASTS,
        texts=ANSWERS,
        instructions=("What is the capital?", "What is two and two?"),
        is_labelled=False,
        declared_on=("contains", "language"),
        in_english=("urial_en",),
    )
    return read_study(warehouse, "invented")


def showcase(store: Path) -> StudyRows:
    if not BUNDLE.exists():
        pytest.skip("the showcase is not packed")
    return read_study(store / WAREHOUSE, read_bundle(BUNDLE, store))


@pytest.fixture(scope="module", params=[invented, pytest.param(showcase, marks=pytest.mark.slow)])
def study(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> StudyRows:
    return request.param(tmp_path_factory.mktemp("store") / "store")


@pytest.fixture(scope="module")
def page(study: StudyRows, tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("page") / "report.html"
    file.write_text(as_html(study), "utf-8")
    return file


@pytest.fixture(scope="module")
def chromium() -> Iterator["playwright.Browser"]:
    with browser() as started:
        yield started


@pytest.fixture
def desktop(chromium: "playwright.Browser", page: Path) -> Iterator[Visit]:
    opened = chromium.new_page(viewport=DESKTOP)
    yield Visit(opened, page.as_uri())
    opened.close()


@pytest.fixture
def phone(chromium: "playwright.Browser", page: Path) -> Iterator[Visit]:
    opened = chromium.new_page(viewport=PHONE)
    yield Visit(opened, page.as_uri())
    opened.close()


def found(study: StudyRows) -> dict[str, list[Any]]:
    """Contrast -> the models and languages in which it is significant, all in the order of the study."""
    rows = [row for row in study.views["contrast_by_language_and_size"] if row["family"] == "confirmatory"]
    assert study.order.models != tuple(sorted(study.order.models)), "another order than that of the alphabet"
    places = {
        row["contrast"]: [
            (model, language)
            for model in study.order.models
            for language in study.order.languages
            if any(
                one["is_significant"]
                for one in rows
                if (one["contrast"], one["model"], one["language"]) == (row["contrast"], model, language)
            )
        ]
        for row in study.contrasts
    }
    return {contrast: there for contrast, there in places.items() if there}


def test_each_significant_contrast_is_a_sentence_in_the_order_of_the_study(
    study: StudyRows, desktop: Visit
) -> None:
    said = desktop.page.locator(".finding").all_inner_texts()
    expected = found(study)
    assert len(said) == len(expected) >= 2
    sides = {row["contrast"]: (row["of"], row["against"]) for row in study.contrasts}
    for sentence, (contrast, places) in zip(said, expected.items(), strict=True):
        of, against = sides[contrast]
        head, _, rest = sentence.partition(": ")
        assert head.startswith(of)
        assert f" against {against}" in head
        at = 0
        for model, language in places:
            at = rest.index(f" in {language_name(language)}", at) + 1
            assert f"({model})" in rest[at:]
        assert rest.count("[") >= len(places), "each with its interval"
        models = list(dict.fromkeys(model for model, _ in places))
        assert sorted(models, key=lambda model: rest.index(f"({model})")) == models


def test_all_of_the_first_screen_is_seen_at_once_on_a_desktop(study: StudyRows, desktop: Visit) -> None:
    seen = desktop.page.locator("header").locator("h1, .finding, .unsupported, table, figcaption, .trust")
    boxes = [one.bounding_box() for one in seen.all()]
    assert len(boxes) == len(found(study)) + 6
    for box in boxes:
        assert box is not None
        assert box["y"] >= 0
        assert box["y"] + box["height"] <= DESKTOP["height"]
    assert desktop.page.locator("#overview caption").all_inner_texts() == list(study.order.models)
    assert desktop.page.locator("#overview thead .share").count() == 2 * len(study.order.languages)


def test_question_answer_trust_and_the_beginning_of_the_picture_are_seen_on_a_phone(phone: Visit) -> None:
    places = [bottom(phone, part) for part in ("h1", ".finding", ".unsupported", ".trust")]
    assert places == sorted(places)
    strips = phone.page.locator("#overview td.strip").evaluate_all(
        "strips => strips.map(strip => strip.getBoundingClientRect()).map(box => [box.top, box.bottom])"
    )
    assert places[-1] <= min(top for top, _ in strips)
    assert sorted(low for _, low in strips)[1] <= PHONE["height"], "two methods at least"
    assert phone.page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]


CELLS = """() => [...document.querySelectorAll("#overview td.strip:has(.dot)")].map(strip => {
    const text = strip.nextElementSibling, line = strip.querySelector(".interval");
    const heat = text.nextElementSibling, right = text.getBoundingClientRect().right;
    const names = [...strip.parentElement.querySelectorAll("th, .again")];
    const middle = one => (box => box.top + box.height / 2)(one.getBoundingClientRect());
    const isBeside = one => one.checkVisibility() && Math.abs(middle(one) - middle(strip)) < 4;
    return {
        said: text.checkVisibility() ? text.innerText : "",
        isWhole: text.scrollWidth <= text.clientWidth && right <= innerWidth,
        told: strip.querySelector("title").textContent,
        failed: heat.checkVisibility() ? heat.querySelector("text").textContent : "",
        interval: line ? line.getBoundingClientRect().width : null,
        dot: strip.querySelector(".dot").getBoundingClientRect().width,
        named: names.filter(isBeside).map(one => one.innerText.trim()),
    };
})"""


def test_each_interval_and_denominator_is_seen_on_a_phone_below_its_language(
    study: StudyRows, phone: Visit
) -> None:
    cells = phone.page.evaluate(CELLS)
    shown = study.first_measure(study.views["score_by_method_language"])
    scored = [row for row in shown if row["mean_score"] is not None]
    assert len(cells) == len(scored)
    for cell in cells:
        assert f" of {cell['told'].partition('n = ')[2].partition(',')[0]}" in cell["said"]
        assert cell["isWhole"]
        assert "% of " in cell["failed"]
        assert cell["named"] == [cell["told"].partition(",")[0]]
    wide = [row["ci_high"] - row["ci_low"] >= 0.18 for row in scored]
    assert sum(cell["interval"] >= 1.3 * cell["dot"] for cell in cells) >= sum(wide) > 0
    assert phone.page.locator("#overview thead .share").all_inner_texts() == ["failed"] * 6
    places = (
        phone.page.locator("#overview table")
        .first.locator("thead th[colspan]")
        .evaluate_all("heads => heads.map(head => [head.innerText, head.getBoundingClientRect().top])")
    )
    names = [language_name(language) for language in study.order.languages]
    assert [name for name, _ in places] == names
    assert [top for _, top in places] == sorted({top for _, top in places}), "one below the other"
