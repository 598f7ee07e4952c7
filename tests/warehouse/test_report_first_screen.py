"""The page of a study like the quickstart's, measured in a browser: what its first screen holds, and how long
it is, on a desktop, on a phone and on paper."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.chromium import NEEDS_CHROMIUM, Visit, browser, playwright
from tests.warehouse.reported_study import write_study
from warehouse.report import write_report

pytestmark = NEEDS_CHROMIUM

METHODS = {
    "zero_shot": "icl",
    "urial": "icl",
    "urial_en": "icl",
    "sft": "sft",
    "dpo": "dpo",
    "dpo_sft": "dpo",
    "instruct": "instruct",
}
CONTRASTS = (
    ("urial", "zero_shot"),
    ("urial", "urial_en"),
    ("urial", "instruct"),
    ("sft", "urial"),
    ("dpo", "urial"),
    ("dpo_sft", "sft"),
)
SCREENS = {"desktop": (1280, 800), "phone": (390, 844)}
ANSWERS = ("The capital is Paris.", "It is four.", "The sea is salty.", "A week has seven days.")

WORDS = """() => {
    const body = document.body.cloneNode(true);
    const left_out = "table, .panels, svg, pre, script, style, #browser";
    body.querySelectorAll(left_out).forEach(element => element.remove());
    return body.textContent.split(/\\s+/).filter(Boolean).length;
}"""
"""Words outside tables and pictures, those that unfold too; not the spec's listing, nor the answers."""


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("quick")
    warehouse = write_study(
        folder,
        "quick",
        METHODS,
        {"tiny": 135_000_000},
        n_items=16,
        contrasts=CONTRASTS,
        texts=ANSWERS,
        instructions=("What is the capital?", "What is two and two?"),
        is_labelled=False,
        declared_on=("contains", "language"),
        in_english=("urial_en",),
    )
    return write_report(warehouse, "quick", folder / "quick.html")


@pytest.fixture(scope="module")
def chromium() -> Iterator["playwright.Browser"]:
    with browser() as started:
        yield started


@pytest.fixture(params=SCREENS)
def screen(
    request: pytest.FixtureRequest, chromium: "playwright.Browser", report: Path
) -> Iterator[tuple[Visit, int, int]]:
    width, height = SCREENS[request.param]
    page = chromium.new_page(viewport={"width": width, "height": height})
    yield Visit(page, report.as_uri()), width, height
    page.close()


@pytest.fixture
def desktop(chromium: "playwright.Browser", report: Path) -> Iterator[Visit]:
    page = chromium.new_page(viewport={"width": 1280, "height": 800})
    yield Visit(page, report.as_uri())
    page.close()


def bottom(visit: Visit, selector: str) -> float:
    box = visit.page.locator(selector).first.bounding_box()
    assert box is not None, selector
    return box["y"] + box["height"]


def test_question_answer_trust_and_picture_stand_on_the_first_screen(screen: tuple[Visit, int, int]) -> None:
    visit, _, height = screen
    places = [bottom(visit, part) for part in ("h1", ".finding", ".unsupported", ".trust")]
    assert places == sorted(places)
    assert places[-1] <= height
    rows = visit.page.locator("#overview td.strip").evaluate_all(
        "strips => strips.map(strip => strip.getBoundingClientRect().bottom)"
    )
    assert min(rows) <= height


def test_the_whole_first_screen_fits_a_desktop(desktop: Visit) -> None:
    assert bottom(desktop, "header") <= 800


def test_the_effect_of_english_examples_is_the_first_thing_that_is_said(desktop: Visit) -> None:
    said = [
        text.replace("\N{NO-BREAK SPACE}", " ") for text in desktop.page.locator(".finding").all_inner_texts()
    ]
    found = [text for text in said if "urial_en" in text]
    assert re.match(
        r"urial against urial_en: answers that are in another language than asked −\d+ \[−\d+, −\d+\] points"
        r" in French and −\d+ \[−\d+, −\d+\] in Spanish\.",
        found[0],
    )
    assert desktop.page.locator(".unsupported b").inner_text() == "Not supported."
    trust = desktop.page.locator(".trust").inner_text()
    assert re.search(r"Comparisons rest on \d+( to \d+)? questions", trust)
    assert re.search(r"intervals hold at once, at 5% over \d+ confirmatory tests", trust)
    assert "Main caveat: Small samples" in trust


def test_the_picture_marks_what_differs_significantly_and_links_to_the_answers_behind_it(
    desktop: Visit,
) -> None:
    grid = desktop.page.locator("#overview table.grid")
    assert grid.locator("thead th:not(.share)").all_inner_texts() == ["English", "French", "Spanish"]
    assert [name.strip() for name in grid.locator("tbody th").all_inner_texts()] == list(METHODS)
    row = grid.locator("tbody tr", has=desktop.page.get_by_role("rowheader", name="urial_en", exact=True))
    assert row.locator("td.share:has(.marked)").count() == 2, "French and Spanish"
    assert grid.locator(".marked").count() == 2
    link = row.locator("td.strip a").nth(1).get_attribute("href")
    assert link is not None
    assert link.startswith("#answers?dataset=facts&language=fr&model=tiny&method=urial_en&measure=contains")
    caption = desktop.page.locator("#overview figcaption").inner_text()
    assert "Higher is better" in caption
    assert "hollow: not, or not tested" in caption
    assert "lower is better, framed: one of these errors differs significantly from urial." in caption


def test_the_page_is_short(desktop: Visit) -> None:
    assert desktop.page.evaluate(WORDS) <= 2_000
    without_answers = """() => document.documentElement.scrollHeight
        - document.getElementById("answers").getBoundingClientRect().height"""
    assert desktop.page.evaluate(without_answers) <= 4_800
    assert desktop.page.evaluate("document.documentElement.scrollHeight") <= 6_000


def test_it_prints_on_twelve_pages_at_most(desktop: Visit) -> None:
    assert 2 <= len(re.findall(rb"/Type\s*/Page\b", desktop.page.pdf(format="A4"))) <= 12


@pytest.mark.parametrize(("width", "media"), [(390, "screen"), (1280, "screen"), (718, "print")])
def test_nothing_is_wider_than_the_page(desktop: Visit, width: int, media: Any) -> None:
    desktop.page.set_viewport_size({"width": width, "height": 800})
    desktop.page.emulate_media(media=media)
    assert desktop.page.evaluate("document.documentElement.scrollWidth") <= width


def test_text_in_pictures_is_twelve_pixels_or_more(screen: tuple[Visit, int, int]) -> None:
    visit, _, _ = screen
    sizes = visit.page.evaluate(
        """() => [...document.querySelectorAll("svg text, .grid td, .grid th")]
            .filter(element => element.textContent.trim() && element.checkVisibility())
            .map(element => {
                const svg = element.closest("svg");
                const box = svg?.viewBox.baseVal;
                const scale = box?.width ? svg.getBoundingClientRect().width / box.width : 1;
                return parseFloat(getComputedStyle(element).fontSize) * scale;
            })"""
    )
    assert len(sizes) >= 200
    assert min(sizes) >= 11.99


def test_no_method_has_two_colours(desktop: Visit) -> None:
    colours = desktop.page.evaluate(
        """() => [...document.querySelectorAll("th:has(svg.key)")]
            .map(cell => [cell.textContent.trim(), cell.querySelector("path").getAttribute("fill")])"""
    )
    assert {name for name, _ in colours} == set(METHODS)
    assert len({tuple(pair) for pair in colours}) == len(METHODS)
