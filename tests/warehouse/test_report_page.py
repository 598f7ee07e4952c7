"""The page in a real browser: everything is drawn, nothing is fetched, and nothing that a model wrote
runs."""

import contextlib
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from tests.chromium import NEEDS_CHROMIUM, Visit, browser, playwright
from tests.warehouse.reported_study import HOSTILE, METHODS, write_study
from warehouse.report import write_report
from warehouse.report.browser import MOST_BYTES

SECTIONS = (
    *(
        "languages",
        "contrasts",
        "gaps",
        "wins",
        "ifeval",
        "sizes",
        "errors",
        "lengths",
        "power",
        "trust",
        "unscored",
        "training",
        "cost",
    ),
)
SIZES = """all => all.map(picture => {
    const box = picture.getBoundingClientRect();
    const marks = picture.querySelectorAll("path[fill], path[stroke], rect, line");
    return [box.width, box.height, marks.length, picture.innerHTML.slice(0, 300)];
})"""
TABLES = """all => all.map(figure => [
    figure.querySelectorAll("table tbody tr").length, figure.querySelector(".data > summary").innerText,
])"""
TEXT_SIZES = """all => all.map(picture => {
    const scale = picture.getBoundingClientRect().width / picture.viewBox.baseVal.width;
    const texts = [...picture.querySelectorAll("text")];
    const sizes = texts.map(text => parseFloat(getComputedStyle(text).fontSize));
    return [picture.closest("figure").id, Math.round(100 * scale * Math.min(...sizes)) / 100];
})"""
VIEWS_OF_TRUST = ["judge_against_checks", "judge_agreement", "judge_reliability", "judge_probes"]
pytestmark = [pytest.mark.slow, NEEDS_CHROMIUM]


def open_all(visit: Visit) -> None:
    """Unfold what is folded away, so that it can be seen."""
    visit.page.evaluate("document.querySelectorAll('details').forEach(element => (element.open = true))")


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    return write_report(write_study(folder), "hostile", folder / "hostile.html")


@pytest.fixture(scope="module")
def chromium() -> Iterator["playwright.Browser"]:
    with browser() as started:
        yield started


@pytest.fixture(scope="module")
def visit(chromium: "playwright.Browser", report: Path) -> Iterator[Visit]:
    """The page, to be read."""
    with opened(chromium, report) as visit:
        yield visit


@pytest.fixture
def changed(chromium: "playwright.Browser", report: Path) -> Iterator[Visit]:
    """The page, to be clicked, resized or printed."""
    with opened(chromium, report) as visit:
        yield visit


@contextlib.contextmanager
def opened(chromium: "playwright.Browser", report: Path) -> Generator[Visit]:
    page = chromium.new_page(viewport={"width": 1280, "height": 900})
    yield Visit(page, report.as_uri())
    page.close()


def test_every_figure_is_drawn(visit: Visit) -> None:
    figures = visit.page.locator("figure:not(#overview)")
    assert figures.count() >= 40
    for section in SECTIONS:
        assert visit.page.locator(f"#{section} figure").count() >= 1, section
    open_all(visit)
    pictures = visit.page.locator(".panel svg").evaluate_all(SIZES)
    assert len(pictures) >= 40
    for width, height, n_marks, text in pictures:
        assert min(width, height, 20 * n_marks) >= 40, text
    strips = visit.page.locator("td.strip a svg.strip")
    assert strips.count() >= 200
    assert visit.page.locator("td.strip a svg.strip:has(path.dot)").count() >= 0.9 * strips.count()
    for n_rows, title in figures.evaluate_all(TABLES):
        assert n_rows >= 1
        assert "Table " in title


def test_measures_contrasts_and_methods_stand_in_the_order_of_the_study(visit: Visit) -> None:
    page = visit.page
    open_all(visit)
    merits = [
        "contains",
        "quality.depth",
        "quality.helpfulness",
        "second.helpfulness",
        "duel vs urial",
        "follows.loose",
        "follows.strict",
    ]
    assert page.locator("#contrasts figure h3").all_inner_texts() == [
        *merits[:2],
        "Judges' bias, by people's labels",
        *merits[2:],
        "anna.helpfulness",
    ]
    first = page.locator("#contrasts figure").first.locator("table.grid").first
    assert first.locator("th[scope=row]").all_inner_texts() == ["urial − zero_shot", "dpo − sft"]
    assert first.locator("thead th").all_inner_texts() == ["English", "French", "Spanish"]
    means = page.locator("#sizes #score_by_model_size-0 tbody tr")
    methods = [row.locator("td").first.inner_text() for row in means.all()]
    assert list(dict.fromkeys(methods)) == list(METHODS)
    assert page.locator("#sizes .panel").count() == 0, "two models show no trend"


def test_judges_are_compared_with_checks_each_other_and_people_and_probed(visit: Visit) -> None:
    section = visit.page.locator("#trust")
    views = section.locator(".data > summary code").all_inner_texts()
    assert views == VIEWS_OF_TRUST
    against, agreement, _, probes = (section.locator("figure").nth(number) for number in range(4))
    assert against.locator(".panel-title").all_inner_texts() == [
        f"{measure} against contains"
        for measure in ("quality.depth", "quality.helpfulness", "second.helpfulness")
    ]
    assert agreement.locator(".panel-title").all_inner_texts() == [
        "quality.helpfulness and second.helpfulness"
    ]
    assert "anna.helpfulness" in visit.page.locator("#people table").last.inner_text()
    first, people = (visit.page.locator(place).bounding_box() for place in ("#languages", "#people"))
    assert first is not None
    assert people is not None
    assert people["y"] < first["y"], "people stand above what rests on the judge"
    assert probes.locator(".panel-title").all_inner_texts() == ["praise"]
    assert "it puts a right one above a wrong one in" in visit.page.locator(".caveats").inner_text()


def test_contrasts_stand_beside_both_p_values_their_bounds_and_what_is_missing(visit: Visit) -> None:
    open_all(visit)
    headings = visit.page.locator("#contrasts figure").nth(1).locator("th").all_inner_texts()
    for heading in (
        "p",
        "p (corrected)",
        "reading",
        "standardised effect",
        "with unscored as worst or best",
        "n (pairs)",
        "items lost",
        "unscored",
    ):
        assert heading in headings, heading
    assert "significant after Benjamini and" in visit.page.locator("#contrasts").inner_text()


def test_the_page_asks_for_nothing_and_complains_of_nothing(changed: Visit, report: Path) -> None:
    changed.page.evaluate("window.scrollTo(0, document.body.scrollHeight)")
    for summary in changed.page.locator("summary").all():
        summary.evaluate("element => element.click()")
    changed.page.wait_for_timeout(300)
    assert changed.requests == [report.as_uri()]
    assert changed.complaints == []


def test_what_models_wrote_is_seen_as_text_and_does_nothing(changed: Visit) -> None:
    page = changed.page
    page.check("#show-raw")
    page.check("#show-prompt")
    page.select_option("[data-part=method]", "urial")
    page.select_option("[data-part=model]", "tiny")
    for language in ("en", "fr", "es"):
        page.select_option("[data-part=language]", language)
        for item in range(len(HOSTILE)):
            page.locator("#list .row").nth(item).click()
            for summary in page.locator("#given summary").all():
                summary.click()
            assert HOSTILE[item][:40] in page.locator("#asked").inner_text()
            inside = page.locator("#browser").locator("script, img, svg, iframe, object, a:not(.link)")
            assert inside.count() == 0
    assert page.locator("body script").count() == 2, "the answers and what leafs through them"
    assert page.locator("img, iframe, object, embed, link, foreignObject, [onerror], [onload]").count() == 0
    assert page.locator("a:not([href^='#'])").count() == 0
    open_all(changed)
    body = page.locator("body").inner_text()
    for place in (
        "</title><script>",
        f"# {HOSTILE[3]}",
        f"opinion of a model, judge {HOSTILE[0]}",
        f"judge went down: {HOSTILE[0]}",
        f"The model speaks English only. {HOSTILE[1]}",
    ):
        assert place in body, "the question, the spec, an error and a note are shown as they were written"
    assert changed.hacked() is None
    assert changed.complaints == []


def test_a_point_of_a_chart_leads_to_its_answers(changed: Visit) -> None:
    page = changed.page
    open_all(changed)
    for figure, asked in {
        "left-out": {"only": "unscored", "measure": "contains", "method": "zero_shot"},
        "agreement-0": {"measure": "quality.helpfulness", "language": "en"},
        "language_gap-0": {"measure": "contains", "method": "urial", "against": "zero_shot"},
        "trusted-0": {"measure": "quality.depth"},
        "win_rate_by_method-0": {"method": "zero_shot", "against": "urial", "measure": "duel vs urial"},
        "ifeval-0": {"measure": "follows.strict"},
        "method_strength-0": {"method": "zero_shot"},
    }.items():
        link = page.locator(f"#{figure} .panel a").first
        link.locator("path").click()
        page.locator("#browser[aria-busy=false]").wait_for()
        for part, value in asked.items():
            assert page.locator(f"[data-part={part}]").input_value() == value, (figure, part)
        assert page.locator("#list .row").count() >= 1, figure
    assert page.locator(".panel a:not([href^='#answers?'])").count() == 0
    assert page.locator("#cost .panel a, #training .panel a").count() == 0
    assert changed.complaints == []


def test_text_in_charts_is_as_large_as_it_was_drawn(chromium: "playwright.Browser", tmp_path: Path) -> None:
    models = {"smollm2-135m-instruct": 135_000_000, "gemma-3-270m": 270_000_000}
    report = write_report(write_study(tmp_path, models=models), "hostile", tmp_path / "hostile.html")
    with opened(chromium, report) as visit:
        open_all(visit)
        for width in (390, 1040, 1280):
            visit.page.set_viewport_size({"width": width, "height": 900})
            found = visit.page.locator(".panel svg").evaluate_all(TEXT_SIZES)
            assert len(found) >= 40
            assert [text for text in found if text[1] < 12] == [], width


def test_a_phone_scrolls_down_and_never_sideways(changed: Visit) -> None:
    changed.page.set_viewport_size({"width": 390, "height": 844})
    changed.page.evaluate("document.querySelectorAll('details').forEach(element => (element.open = true))")
    changed.page.check("#show-raw")
    changed.page.check("#show-prompt")
    changed.page.select_option("[data-part=against]", "sft")
    for item in range(len(HOSTILE)):
        changed.page.locator("#list .row").nth(item).click()
        assert changed.page.evaluate("document.documentElement.scrollWidth") <= 390, item
    widest = changed.page.evaluate(
        "Math.max(...[...document.querySelectorAll('.panel svg')].map(e => e.getBoundingClientRect().right))"
    )
    assert widest <= 390


def test_it_prints_with_its_tables_and_without_the_browser(changed: Visit) -> None:
    assert changed.page.pdf(format="A4").startswith(b"%PDF-")
    changed.page.emulate_media(media="print")
    assert not changed.page.locator("#answers").is_visible()
    assert not changed.page.locator("nav").is_visible()
    assert not changed.page.locator(".data table").first.is_visible(), "paper has tables of its own"
    box = changed.page.locator(".printed table").first.bounding_box()
    assert box is not None
    assert box["height"] > 40


def test_it_can_be_read_without_a_script(chromium: "playwright.Browser", report: Path) -> None:
    page = chromium.new_page(java_script_enabled=False)
    page.goto(report.as_uri())
    assert page.locator("#overview svg.strip").first.is_visible()
    assert page.locator("noscript").is_visible()
    page.close()


def test_the_page_is_small(report: Path) -> None:
    assert report.stat().st_size < 2 * MOST_BYTES
