"""The report's parts by themselves: drawing, packing of answers, tables, and what is said of studies that are
not as they should be."""

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from markupsafe import escape

from dsl.errors import WarehouseError
from dsl.messages import one_line
from dsl.plan.study import Study
from tests.warehouse.reported_study import HOSTILE, write_study
from tests.warehouse.stores import StoreMaker
from warehouse.charts._intervals import Line, bars, dots
from warehouse.charts.theme import COLOURS, Order, Panel, themed
from warehouse.connect import WAREHOUSE, connect
from warehouse.load import load_store
from warehouse.report import browser, tables, write_report
from warehouse.report.study import StudyRows
from warehouse.report.svg import SVG, keep_drawing, picture

ORDER = Order(("urial", "sft"), ("tiny",), ("en", "fr"))


def completion(item: str, method: str = "urial", language: str = "en", **more: Any) -> dict[str, Any]:
    return {
        "dataset": "facts",
        "item": item,
        "language": language,
        "model": "tiny",
        "method": method,
        "train_languages": "",
        "seed": None,
        "turn": None,
        "cell_id": f"cell-{method}-{language}",
        "category": None,
        "instruction": f"Question {item}?",
        "accepted_answers": ["four"],
        "reference": None,
        "prompt": f"# Instruction\nHelp.\n# Query:\n{item}",
        "text": "four",
        "raw_text": "four",
        "finish_reason": "eos",
        "stop_string": None,
        "error": None,
        "n_new_tokens": 1,
        "scores": [
            {"measure": "contains", "score": 1.0, "unscored_reason": None, "reason": None, "is_wrong": False}
        ],
        "is_disputed": False,
        **more,
    }


@pytest.mark.parametrize("text", [*HOSTILE, "\0\x1b[31m\ufffe\n"])
def test_text_in_a_picture_stays_text(text: str) -> None:
    spec = bars([Line(text, 0.5, None, None, text, COLOURS[0], group=text)], "share", (0.0, 1.0))
    drawn = picture(Panel(text, spec), "p", text)
    root = ElementTree.fromstring(drawn.svg)
    tags = {element.tag for element in root.iter()}
    assert tags <= {
        f"{{{SVG}}}{name}"
        for name in ("svg", "g", "path", "line", "rect", "text", "defs", "clipPath", "title", "desc")
    }
    attributes = {name for element in root.iter() for name in element.attrib}
    assert not [name for name in attributes if name.startswith("on") or "href" in name or name == "style"]
    assert root.findtext(f"{{{SVG}}}title") == one_line(text)
    assert [element.text for element in root.iter(f"{{{SVG}}}text")].count(one_line(text)) >= 2


@pytest.mark.parametrize(
    "address",
    [
        "javascript:window.hacked=1",
        "https://evil.example/",
        "data:text/html,<script>1</script>",
        "#answers",
        "#data",
        "",
        "//evil.example/answers?method=urial",
    ],
)
def test_a_picture_keeps_no_link_but_those_to_answers_of_the_page(address: str) -> None:
    for name in ("href", "xlink:href"):
        for before in (address, f"{address}#answers?method=a%26b&model=tiny"):
            drawn = ElementTree.fromstring(
                f'<svg xmlns="{SVG}" xmlns:xlink="http://www.w3.org/1999/xlink"><g>'
                f'<a {name}="{escape(before)}" target="_blank" onclick="x"><path d="M0,0"/></a></g></svg>'
            )
            keep_drawing(drawn, "p")
            links = [element.attrib for element in drawn.iter(f"{{{SVG}}}a")]
            if before == address:
                assert links == []
            else:
                assert links == [
                    {"href": "#answers?method=a%26b&model=tiny", "aria-label": "Answers: a&b, tiny"}
                ]


def test_a_point_of_a_picture_is_a_link_to_its_answers() -> None:
    lines = [
        Line("urial", 0.5, None, None, "1", COLOURS[0], link="#answers?method=urial"),
        Line("none", 0.5, None, None, "1", COLOURS[0]),
    ]
    for draw in (dots, bars):
        drawn = picture(Panel("a", draw(lines, "share", (0.0, 1.0))), "p", "a")
        root = ElementTree.fromstring(drawn.svg)
        (link,) = root.iter(f"{{{SVG}}}a")
        assert link.attrib == {"href": "#answers?method=urial", "aria-label": "Answers: urial"}
        assert [child.tag for child in link] == [f"{{{SVG}}}path"]
        assert root.get("role") == "group"


def test_ids_inside_a_picture_bear_its_name_and_are_found_by_what_refers_to_them() -> None:
    import altair as alt

    clipped = alt.Chart(alt.Data(values=[{"x": 1}])).mark_point(clip=True).encode(x="x:Q")
    elements = list(ElementTree.fromstring(picture(Panel("a", themed(clipped)), "p-7", "a").svg).iter())
    ids = {found for element in elements if (found := element.get("id"))}
    used = {found for element in elements if (found := element.get("clip-path"))}
    assert len(ids) == 3, "a title, a description and a clip path"
    assert all(found.startswith("p-7-") for found in ids)
    assert used <= {f"url(#{found})" for found in ids}
    assert used


def test_answers_leave_the_page_as_they_entered_it_and_hold_no_markup() -> None:
    rows = [
        completion(str(number), text=text, raw_text=text + "\0", instruction=text)
        for number, text in enumerate(HOSTILE)
    ]
    script = str(browser.as_script(browser.pack(rows, ORDER)))
    assert not set(script) & set("<>&\u2028\u2029")
    answers = json.loads(script)["answers"]
    assert [answer["text"] for answer in answers] == list(HOSTILE)
    assert [answer["raw"] for answer in answers] == [text + "\0" for text in HOSTILE]


def test_what_prompts_begin_with_is_stored_once_and_each_prompt_can_be_put_together() -> None:
    rows = [completion(item, method) for item in ("1", "2", "30") for method in ("urial", "sft")]
    packed = browser.pack(rows, ORDER)
    assert len(packed["heads"]) == 1
    for answer in packed["answers"]:
        item = packed["questions"][answer["question"]]["item"]
        assert packed["heads"][answer["head"]] + answer["prompt"] == rows[0]["prompt"][:-1] + item


def shown(packed: dict[str, Any]) -> list[tuple[str, str, str]]:
    """(language, label, item) of each answer."""
    questions = [packed["questions"][answer["question"]] for answer in packed["answers"]]
    return [
        (question["language"], answer["label"], question["item"])
        for question, answer in zip(questions, packed["answers"], strict=True)
    ]


def test_languages_methods_and_items_stand_in_the_order_of_a_reader() -> None:
    rows = [
        completion(item, method, language)
        for language in ("fr", "en")
        for item in ("10", "9", "q2")
        for method in ("sft", "urial")
    ]
    assert shown(browser.pack(browser.in_reading_order(rows, ORDER), ORDER)) == [
        (language, method, item)
        for language in ("en", "fr")
        for method in ("urial", "sft")
        for item in ("9", "10", "q2")
    ]


def test_each_turn_of_an_item_is_shown_with_its_own_question() -> None:
    rows = [
        completion("7", turn=turn, instruction=asked, method=method, cell_id=f"cell-{method}-{turn}")
        for turn, asked in ((2, "And twice?"), (1, "Once?"))
        for method in ("urial", "sft")
    ]
    packed = browser.pack(rows, ORDER)
    asked = [(question["turn"], question["instruction"]) for question in packed["questions"]]
    assert sorted(asked) == [(1, "Once?"), (2, "And twice?")]
    assert len(packed["answers"]) == 4


def test_an_item_whose_number_has_thousands_of_digits_is_sorted_too() -> None:
    rows = [completion("9" * 6000), completion("10")]
    assert [item[:2] for _, _, item in shown(browser.pack(browser.in_reading_order(rows, ORDER), ORDER))] == [
        "10",
        "99",
    ]


def test_a_link_names_the_answers_behind_a_point_and_leaves_out_what_is_not_asked_for() -> None:
    assert (
        browser.answers_link(method="urial", language="fr", measure="") == "#answers?method=urial&language=fr"
    )
    assert browser.answers_link(search="a&b c#d") == "#answers?search=a%26b%20c%23d"


def test_a_page_takes_whole_items_up_to_its_limit_and_always_one() -> None:
    counts = [{"dataset": "facts", "item": str(item), "n": 30} for item in range(500)]
    picked = browser.pick_items(counts)["facts"]
    assert len(picked) == browser.MOST_ANSWERS // 30
    assert set(picked) != {str(item) for item in range(len(picked))}, "a sample, not the head of the file"
    assert browser.pick_items([{"dataset": "facts", "item": "1", "n": 10 * browser.MOST_ANSWERS}]) == {
        "facts": ["1"]
    }


def test_an_item_with_too_many_answers_shows_those_of_its_first_seeds() -> None:
    def shown_seeds(n_methods: int) -> dict[str, int]:
        rows = [completion("1", f"method-{n}", seed=seed) for n in range(n_methods) for seed in (9, 3, 5)]
        seeds = [str(row["seed"]) for row in browser.sample(rows)]
        return {seed: seeds.count(seed) for seed in seeds}

    few, many = browser.MOST_ANSWERS // 3, browser.MOST_ANSWERS // 2
    assert shown_seeds(few) == {"3": few, "5": few, "9": few}
    assert shown_seeds(many) == {"3": many, "5": many}
    assert shown_seeds(2 * many + 1) == {"3": 2 * many + 1}, "one seed is always there"


def test_answers_that_are_too_many_bytes_are_left_out_by_whole_items_and_a_long_one_is_cut() -> None:
    long = "x" * (browser.LONGEST_TEXT + 5)
    rows = [
        completion(str(item), method, text=long, raw_text=None)
        for item in range(500)
        for method in ("urial", "sft")
    ]
    kept = browser.sample(rows)
    items = [row["item"] for row in kept]
    assert 0 < len(kept) < 1000
    assert {items.count(item) for item in items} == {2}
    assert set(items) != {str(item) for item in range(len(set(items)))}, "drawn, not the head of the file"
    packed = browser.pack(kept, ORDER)
    assert 0.8 * browser.MOST_BYTES < len(browser.as_script(packed)) < 1.1 * browser.MOST_BYTES
    assert packed["answers"][0]["text"].endswith("x\n[5 more characters are in the warehouse]")


def test_a_table_leaves_out_what_is_empty_and_says_what_it_cut() -> None:
    columns = (tables.text("method", "method"), tables.text("tuned", "tuned on"), tables.count("n", "n"))
    rows = [{"method": "urial", "tuned": "", "n": n} for n in range(tables.MOST_ROWS + 3)]
    made = tables.table(columns, rows)
    assert [column.heading for column in made.columns] == ["method", "n"]
    assert made.cells[1] == ("urial", "1")
    assert made.n_left_out == 3


def test_a_missing_warehouse_and_an_unknown_experiment_are_told_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(WarehouseError, match="no warehouse yet"):
        write_report(tmp_path / WAREHOUSE, "quiz", tmp_path / "out.html")
    warehouse = write_study(tmp_path, models={"tiny": 1000}, languages=("en",), n_items=1)
    with pytest.raises(WarehouseError, match="holds no experiment quiz; it holds: hostile"):
        write_report(warehouse, "quiz", tmp_path / "out.html")
    with pytest.raises(WarehouseError, match=r"out\.html"):
        write_report(warehouse, "hostile", warehouse / "out.html")


def test_a_study_of_which_nothing_has_run_still_has_a_page(tmp_path: Path) -> None:
    maker = StoreMaker(tmp_path)
    cell = maker.cell(scores={"contains": {"1": 1.0}})
    study = Study(
        experiment="planned",
        question="Would it work?",
        languages=("en",),
        spec_file="specs/planned.yaml",
        spec_text="experiment: planned",
        parallel={"quiz": True},
        cells=(cell,),
        step_ids=(cell.generate, *(judged.step for judged in cell.judges.values())),
        contrasts=(),
        judges=tuple(maker.judges.values()),
    )
    connect(tmp_path / WAREHOUSE).close()  # where there is none, all is loaded
    load_store(tmp_path, (), study)
    page = write_report(tmp_path / WAREHOUSE, "planned", tmp_path / "reports" / "planned.html").read_text(
        "utf-8"
    )
    assert "This study is not finished: 2 of 2 steps are not done" in " ".join(page.split())
    for said in (
        "Nothing has been scored.",
        "The study names no contrast",
        "No step has finished yet.",
        "Nothing was trained",
        "All 0 answers.",
    ):
        assert said in page, said


def test_the_same_warehouse_gives_the_same_page(tmp_path: Path) -> None:
    warehouse = write_study(tmp_path, models={"tiny": 1000}, languages=("en",), n_items=2)
    pages = [
        write_report(warehouse, "hostile", tmp_path / name).read_bytes() for name in ("a.html", "b.html")
    ]
    assert pages[0] == pages[1]


def test_data_sets_stand_in_the_order_of_the_study() -> None:
    cells = [{"dataset": name} for name in ("zoo", "apes", "bees")]
    study = StudyRows({}, cells, [], [], [], [], {}, [], [], [], {}, {}, 0, ())
    assert study.datasets_of([{"dataset": name} for name in ("apes", "zoo", "apes")]) == ["zoo", "apes"]
