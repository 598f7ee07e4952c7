"""`xp show`: what a reader sees of verdicts."""

from pathlib import Path

from dsl.data.records import Label
from tests.warehouse.stores import StoreMaker
from warehouse.connect import WAREHOUSE, connect
from warehouse.load import rebuild
from warehouse.statements import fetch
from xp.show import show


def test_verdicts_of_every_sort_stand_below_the_answer(tmp_path: Path) -> None:
    maker = StoreMaker(tmp_path)
    base = maker.cell("base", texts={"1": "five"})
    scores = {
        "right=contains": {"1": "no answer to \x1b[2Jcheck by"},
        "characters=length": {"1": 1234.0},
        "share=exact": {"1": 1 / 3},
    }
    maker.cell("dpo", texts={"1": "four"}, scores=scores)
    maker.cell("duel", texts={"1": "six"}, scores={"duel=exact": {"1": 0.5}}, against={"base": base.generate})
    verdicts = tmp_path / "steps" / maker.cells[-1].judges["duel"].step / "verdicts.jsonl"
    verdicts.write_text(
        verdicts.read_text("utf-8").replace('"parts":null', '"parts":{"first":1.0,"second":0.0}'), "utf-8"
    )
    maker.study()
    rebuild(tmp_path)
    with connect(tmp_path / WAREHOUSE, read_only=True) as connection:
        (found,) = fetch(connection, "select answer_id from answers_to_label where text = 'four'")
    maker.label("anna", [Label(answer_id=found["answer_id"], score=0.75, comment="nearly")])
    rebuild(tmp_path)

    lines = show(tmp_path / WAREHOUSE, "dpo", None, 10).splitlines()
    assert lines[-5:] == [
        "  four",
        "  anna: 0.75  nearly",
        "  characters: 1234",
        "  right: unscored, no answer to \\x1b[2Jcheck by",
        "  share: 0.333",
    ]
    assert (
        "  duel vs base: 0.5 (first: 1, second: 0)"
        in show(tmp_path / WAREHOUSE, "duel", None, 10).splitlines()
    )


def test_of_detectors_the_faults_that_were_found_are_told_by_their_names(tmp_path: Path) -> None:
    maker = StoreMaker(tmp_path)
    scores = {
        "loop": {"1": 0.0},
        "empty": {"1": 1.0},
        "code": {"1": "cannot be read"},
        "contains": {"1": 0.0},
    }
    maker.cell("base", texts={"1": "four four four"}, scores=scores)
    maker.study()
    rebuild(tmp_path)
    assert show(tmp_path / WAREHOUSE, "base", None, 10).splitlines()[-4:] == [
        "  four four four",
        "  code: unscored, cannot be read",
        "  contains: 0",
        "  loop: repeats itself without end",
    ]
