"""Answers in a real browser, in the report and in `xp view`: one page code, two sources, the same answers."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from dsl.plan.study import Study
from tests.chromium import NEEDS_CHROMIUM, Visit, browser, playwright
from tests.warehouse.reported_study import HOSTILE, METHODS, write_study
from tests.xp.view.serving import served
from warehouse.connect import WAREHOUSE, connect
from warehouse.report import answer_rows, write_report
from warehouse.report.answer_rows import PAGE
from warehouse.report.browser import answers_link
from warehouse.statements import fetch

pytestmark = [pytest.mark.slow, NEEDS_CHROMIUM]

PARTS = {"method": "urial", "language": "fr", "model": "tiny"}
N_ITEMS = len(HOSTILE)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("answers")
    write_study(folder, models={"tiny": 135_000_000})
    return folder


@pytest.fixture(scope="module")
def chromium() -> Iterator["playwright.Browser"]:
    with browser() as started:
        yield started


@pytest.fixture(scope="module", params=["report", "view"])
def address(store: Path, request: pytest.FixtureRequest) -> Iterator[str]:
    """Address of the page: a file, or the server's."""
    if request.param == "report":
        yield write_report(store / WAREHOUSE, "hostile", store / "hostile.html").as_uri()
        return
    with served(store) as port:
        yield f"http://127.0.0.1:{port}/?study=hostile"


@pytest.fixture
def visit(chromium: "playwright.Browser", address: str) -> Iterator[Visit]:
    page = chromium.new_page(viewport={"width": 1280, "height": 900})
    visit = Visit(page, address)
    settle(visit)
    yield visit
    page.close()


def follow(visit: Visit, link: str) -> None:
    """Open a link of the page, as a click on a chart does, and wait for its answers."""
    visit.page.evaluate("link => { location.hash = link; }", link)
    settle(visit)


def settle(visit: Visit) -> None:
    visit.page.wait_for_timeout(60)  # for what the browser does of its own, as scrolling
    visit.page.locator("#browser[aria-busy=false]").wait_for()


def listed(visit: Visit) -> list[str]:
    """All answers that match, as `cell/item`: the list is scrolled down until it holds them."""
    found: list[str] = []
    while True:
        rows: list[str] = visit.page.locator("#list .row").evaluate_all("rows => rows.map(r => r.dataset.id)")
        if rows == found:
            return found
        found = rows
        visit.page.evaluate(
            "() => { const l = document.getElementById('list'); l.scrollTop = l.scrollHeight; }"
        )
        settle(visit)


def sql(store: Path, query: str) -> list[str]:
    """The first column of a query."""
    with connect(store / WAREHOUSE, read_only=True) as connection:
        return [next(iter(row.values())) for row in fetch(connection, query)]


def chosen(visit: Visit) -> str:
    return visit.page.locator("#list [aria-selected=true]").get_attribute("data-id") or ""


FOUND = {
    "wrong": "select cell_id || '/' || item from verdicts where measure = 'contains' and score = 0",
    "unscored": "select cell_id || '/' || item from verdicts where measure = 'contains' and score is null",
    "cut": "select cell_id || '/' || item from completions where finish_reason = 'length'",
    "failed": "select cell_id || '/' || item from completions where text is null",
    "disagree": """
        with placed as (
            select cell_id, item, judge, avg((score - scale_low) / (scale_high - scale_low)) as place
            from verdicts
            where role = 'quality' and judge <> 'duel' and score is not null
            group by all
        )
        select cell_id || '/' || item from placed group by cell_id, item
        having max(place) - min(place) >= 0.5""",
}


@pytest.mark.parametrize("only", FOUND)
def test_a_filter_shows_the_answers_that_the_warehouse_has(visit: Visit, store: Path, only: str) -> None:
    follow(visit, answers_link(only=only, measure="contains"))
    found = listed(visit)
    assert sorted(found) == sorted(sql(store, FOUND[only]))
    assert found
    assert visit.page.locator("#count").inner_text() == f"{len(found)} answers"


def test_of_detectors_a_card_and_the_list_show_what_was_found_by_the_fault_s_name(
    visit: Visit, store: Path
) -> None:
    loops = "select cell_id || '/' || item from verdicts where measure = 'loop' and score = "
    fault = "repeats itself without end"
    for score, told in (("0", [f"loop: {fault}"]), ("1", [])):
        (answer, *_) = sql(store, f"{loops} {score} order by all")
        follow(visit, f"#answers?answer={quote(answer)}&measure=loop")
        card = visit.page.locator(".card.chosen")
        scores = card.locator(".scores li").all_inner_texts()
        assert [text for text in scores if "loop" in text] == told
        assert any(text.startswith("contains ") for text in scores), "other judges' scores stay"
        row = visit.page.locator("#list [aria-selected=true]")
        assert row.locator("span").nth(1).inner_text() == ("" if score == "1" else fault)


def test_all_answers_are_there_and_each_property_leaves_its_own(visit: Visit, store: Path) -> None:
    assert len(listed(visit)) == 3 * len(METHODS) * N_ITEMS
    follow(visit, answers_link(**PARTS))
    where = " and ".join(f"{name} = '{value}'" for name, value in PARTS.items())
    assert listed(visit) == sql(
        store, f"select cell_id || '/' || item from completions where {where} order by item"
    )


def test_a_link_to_another_part_of_the_page_leaves_the_list_as_it_is(visit: Visit) -> None:
    follow(visit, answers_link(**PARTS))
    before = listed(visit)
    visit.page.evaluate("location.hash = '#elsewhere'")
    settle(visit)
    assert visit.page.locator("[data-part=method]").input_value() == PARTS["method"]
    assert listed(visit) == before


def test_search_looks_through_items_questions_and_answers(visit: Visit, store: Path) -> None:
    for text, where in (
        ("Q3", "completions.item = 'q3'"),
        ("SFT SAYS:", "completions.text like 'sft says:%'"),
        ("(fr)", "completions.language = 'fr'"),
        ("no such text", "false"),
    ):
        visit.page.fill("[data-part=search]", text)
        settle(visit)
        wanted = sql(store, f"select cell_id || '/' || item from completions where {where}")
        assert sorted(listed(visit)) == sorted(wanted), text


def test_where_a_look_finds_little_the_next_ones_follow_by_themselves(
    visit: Visit, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answer_rows, "WINDOW", 1)  # a cell
    for text in ("q3", "no such text"):
        visit.page.fill("[data-part=search]", text)
        settle(visit)
        wanted = sql(store, f"select cell_id || '/' || item from completions where item = '{text}'")
        rows = visit.page.locator("#list .row")
        assert sorted(rows.evaluate_all("rows => rows.map(r => r.dataset.id)")) == sorted(wanted)
        assert visit.page.locator("#count").inner_text() == f"{len(wanted)} answers"
        assert visit.page.locator("#detail").is_visible() == bool(wanted)
        assert not wanted or chosen(visit) == rows.first.get_attribute("data-id")


def test_answers_are_sorted_by_score_and_by_the_difference_between_two_methods(
    visit: Visit, store: Path
) -> None:
    measure = "quality.helpfulness"
    follow(visit, answers_link(measure=measure, sort="lowest", **PARTS))
    where = " and ".join(f"v.{name} = '{value}'" for name, value in PARTS.items())
    of = f"from verdicts v where v.measure = '{measure}' and v.score is not null and {where}"
    assert listed(visit) == sql(store, f"select v.cell_id || '/' || v.item {of} order by v.score, v.item")
    follow(visit, answers_link(measure=measure, sort="worse", against="sft", **PARTS))
    assert listed(visit) == sql(
        store,
        f"""select v.cell_id || '/' || v.item from verdicts v join verdicts o
            on o.measure = v.measure and o.item = v.item and o.language = v.language and o.model = v.model
        where v.measure = '{measure}' and {where} and o.method = 'sft'
            and v.score is not null and o.score is not null
        order by v.score - o.score, v.item""",
    )
    for part in ("against", "method"):
        follow(visit, answers_link(measure=measure, sort="worse", against="sft", **PARTS))
        visit.page.select_option(f"[data-part={part}]", "")
        settle(visit)
        assert "Choose two methods" in visit.page.locator("#count").inner_text()


def test_words_that_differ_from_another_methods_answer_are_marked_and_none_is_lost(visit: Visit) -> None:
    follow(visit, answers_link(against="sft", **PARTS))
    text = visit.page.locator(".card.chosen .text").first
    parts: list[list[str]] = text.evaluate("e => [...e.children].map(c => [c.localName, c.textContent])")
    assert {kind for kind, _ in parts} >= {"ins", "del"}

    def joined(left_out: str) -> str:
        return "".join(words for kind, words in parts if kind != left_out)

    assert joined("del").startswith(f"urial says: {HOSTILE[0]}")
    assert joined("ins").startswith(f"sft says: {HOSTILE[0]}")
    assert visit.page.locator("#given script").count() == 0


def test_each_answer_has_a_link_that_leads_back_to_it(
    visit: Visit, address: str, chromium: "playwright.Browser"
) -> None:
    follow(visit, answers_link(**PARTS))
    visit.page.locator("#list .row").nth(3).click()
    settle(visit)
    name = chosen(visit)
    assert f"answer={quote(name, safe='')}" in visit.page.url
    link = visit.page.locator(".card.chosen a.link").get_attribute("href") or ""
    assert link == answers_link(answer=name)
    other = Visit(chromium.new_page(), address + link)
    settle(other)
    assert other.page.locator(".card.chosen code").inner_text() == name.split("/")[0]
    assert HOSTILE[3][:40] in other.page.locator("#asked").inner_text()
    other.page.close()
    follow(visit, answers_link(answer="cell-0000000000000000/q9"))
    assert "No answer is named cell-0000000000000000/q9" in visit.page.locator("#asked").inner_text()


def test_arrow_keys_go_through_the_answers_but_not_while_a_text_is_written(visit: Visit) -> None:
    follow(visit, answers_link(**PARTS))
    names = listed(visit)
    for key, place in (("ArrowDown", 1), ("ArrowRight", 2), ("ArrowUp", 1), ("ArrowLeft", 0), ("ArrowUp", 0)):
        visit.page.keyboard.press(key)
        settle(visit)
        assert chosen(visit) == names[place], key
    visit.page.focus("[data-part=search]")
    visit.page.keyboard.press("ArrowDown")
    settle(visit)
    assert chosen(visit) == names[0]
    visit.page.click("#next")
    settle(visit)
    assert chosen(visit) == names[1]


def test_keys_lead_on_to_the_next_page(visit: Visit) -> None:
    rows = visit.page.locator("#list .row")
    assert rows.count() == PAGE
    rows.nth(PAGE - 2).click()
    for place in (PAGE - 1, PAGE, PAGE + 1):
        settle(visit)
        visit.page.keyboard.press("ArrowDown")
        settle(visit)
        assert chosen(visit) == rows.nth(place).get_attribute("data-id")
    assert rows.count() > PAGE


def test_nothing_that_a_model_wrote_runs(visit: Visit) -> None:
    visit.page.check("#show-prompt")
    for against in ("", "sft"):
        for raw in (False, True):
            visit.page.set_checked("#show-raw", raw)
            follow(visit, answers_link(against=against, **PARTS))
            for item in range(N_ITEMS):
                visit.page.locator("#list .row").nth(item).click()
                settle(visit)
            hostile = visit.page.locator("#browser").locator("script, img, svg, iframe, object, a:not(.link)")
            assert hostile.count() == 0
    assert visit.hacked() is None
    assert visit.complaints == []


def test_planted_markup_would_not_run_even_if_it_reached_the_page(visit: Visit) -> None:
    visit.page.evaluate("""() => {
        document.body.insertAdjacentHTML("beforeend", `<img src=x onerror="window.hacked = 1">`);
        const script = document.createElement("script");
        document.body.append(Object.assign(script, { textContent: "window.hacked = 2" }));
    }""")
    visit.page.wait_for_timeout(300)
    assert visit.hacked() is None
    assert any("Content Security Policy" in complaint for complaint in visit.complaints)


def test_both_pages_fit_a_phone(visit: Visit) -> None:
    visit.page.set_viewport_size({"width": 390, "height": 844})
    follow(visit, answers_link(against="sft", **PARTS))
    assert visit.page.evaluate("document.documentElement.scrollWidth") <= 390
    wide = (
        "(all) => all.filter((e) => e.offsetWidth > e.closest('label').offsetWidth).map((e) => e.outerHTML)"
    )
    assert visit.page.locator(".controls [data-part]").evaluate_all(wide) == []
    assert json.loads(visit.page.locator("#data").inner_text())["facets"]["method"] == list(METHODS)


def test_a_study_in_the_warehouse_alone_stays_on_its_page_beside_one_that_was_applied(
    store: Path, chromium: "playwright.Browser", tmp_path: Path
) -> None:
    shutil.copyfile(store / WAREHOUSE, tmp_path / WAREHOUSE)
    (tmp_path / "experiments").mkdir()
    nothing: dict[str, Any] = {"spec_text": "", "cells": (), "step_ids": (), "contrasts": (), "judges": ()}
    other = Study(
        experiment="other", question="Which?", languages=("en",), spec_file="o.yaml", parallel={}, **nothing
    )
    (tmp_path / "experiments" / "other.json").write_text(other.model_dump_json(), "utf-8")
    with served(tmp_path) as port:
        page = chromium.new_page()
        loads: list[str] = []
        page.on("load", lambda shown: loads.append(shown.url))
        page.goto(f"http://127.0.0.1:{port}/?study=hostile")
        page.get_by_text("This study was not applied to this store.").wait_for()
        page.wait_for_timeout(3_000)  # one more look at the progress
        page.close()
    assert len(loads) == 1
