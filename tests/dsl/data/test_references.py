"""Reference answers: of a column, one for each turn, or of a file of their own."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from dsl.data.records import Example
from dsl.data.source import Columns, FileSource, References
from dsl.errors import DataError
from dsl.steps.steps import DataStep
from runners.steps import data
from runners.store.step_io import StepContext, read_rows

ASKED = [{"id": "7_FR", "t": ["a", "b"]}, {"id": "8_FR", "t": ["c", "d"]}]
IN_TURN: dict[str, Any] = {"turns": ["t.0", "t.1"], "item": {"column": "id", "pattern": r"^\d+"}}


def written(path: Path, rows: list[dict[str, Any]]) -> FileSource:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return FileSource(path=str(path), sha256=hashlib.sha256(path.read_bytes()).hexdigest(), format="jsonl")


def made(
    folder: Path,
    turn: int | None,
    asked: list[dict[str, Any]],
    columns: dict[str, Any],
    *given: dict[str, Any],
) -> dict[str, str | None]:
    """Item -> its reference, from the rows `given` where there are such."""
    references = References.model_validate(
        {
            "source": written(folder / "references.jsonl", list(given)),
            "item": "of",
            "reference": ["says.0", "says.1"],
        }
    )
    step = DataStep(
        source=written(folder / "asked.jsonl", asked),
        columns=Columns.model_validate(columns),
        language="fr",
        turn=turn,
        references=references if given else None,
    )
    data.run(step, StepContext({}, folder), folder)
    return {row.item: row.reference for row in read_rows(folder / "examples.jsonl", Example)}


@pytest.mark.parametrize(("turn", "reference"), [(1, "x"), (2, "y")])
def test_a_file_of_references_is_matched_by_item_turn_by_turn(
    tmp_path: Path, turn: int, reference: str
) -> None:
    found = made(tmp_path, turn, ASKED, IN_TURN, {"of": "8", "says": ["x", "y"]})
    assert found == {"7": None, "8": reference}


@pytest.mark.parametrize(("turn", "reference"), [(1, "x"), (2, None)])
def test_a_column_of_references_names_one_for_each_turn(
    tmp_path: Path, turn: int, reference: str | None
) -> None:
    asked = [{**ASKED[0], "r": ["x", None]}]
    found = made(tmp_path, turn, asked, {**IN_TURN, "reference": ["r.0", "r.1"]})
    assert found["7"] == reference


def test_references_of_other_items_and_two_for_one_item_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no reference is of an item that is asked: `8_FR`, not `7`, `8`"):
        made(tmp_path, 1, ASKED, IN_TURN, {"of": "8_FR", "says": ["x", "y"]})
    with pytest.raises(DataError, match=r"references\.jsonl: row 2: the item '8' has two references"):
        made(tmp_path, 1, ASKED, IN_TURN, {"of": "8", "says": ["x", "y"]}, {"of": "8", "says": ["z", "y"]})


def test_one_reference_column_for_two_turns_is_of_the_first(tmp_path: Path) -> None:
    asked = [{**ASKED[0], "r": "x"}]
    columns = {**IN_TURN, "reference": "r"}
    assert made(tmp_path, 1, asked, columns) == {"7": "x"}
    assert made(tmp_path, 2, asked, columns) == {"7": None}
