import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dsl.data.fingerprints import Fingerprints
from dsl.data.formats import format_of
from dsl.data.records import Prompt
from dsl.data.source import Columns, FileSource
from dsl.engines.contract import Decoding
from dsl.engines.recorded import Settings
from dsl.errors import DataError, XpError
from runners.engines.contract import EngineAnswer, EngineRequest
from runners.engines.recorded import Engine

BY_ITEM = {"item": "id", "response": "answer"}
BY_INSTRUCTION = {"instruction": "asked", "response": "answer"}


def recorded(
    folder: Path,
    rows: list[dict[str, Any]] | str,
    columns: dict[str, Any],
    language: str | None = None,
    name: str = "a.jsonl",
) -> Engine:
    text = rows if isinstance(rows, str) else "".join(json.dumps(row) + "\n" for row in rows)
    path = folder / name
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    source = FileSource.model_validate(
        {"path": str(path), "sha256": Fingerprints().file(path), "format": format_of(name)}
    )
    return Engine(
        Settings(answers=source, columns=Columns.model_validate(columns), language=language), None, folder
    )


def ask(engine: Engine, item: str, instruction: str = "?") -> EngineAnswer:
    (answer,) = engine.generate([EngineRequest(key=item, prompt=Prompt(text=instruction))], Decoding())
    assert (answer.key, answer.prompt_text) == (item, instruction)
    return answer


def test_answers_are_matched_by_item_where_the_file_has_items(tmp_path: Path):
    engine = recorded(tmp_path, [{"id": 7, "answer": " seven\n"}, {"id": "8", "answer": "eight"}], BY_ITEM)
    seven = ask(engine, "7")
    assert (seven.text, seven.raw_text, seven.finish_reason, seven.error) == (
        "seven",
        " seven\n",
        "recorded",
        None,
    )
    assert ask(engine, "8").text == "eight"


def test_an_item_may_be_a_part_of_a_column_or_the_rows_number(tmp_path: Path):
    rows = [{"id": "81_FR", "answer": "a"}, {"id": "82_FR", "answer": "b"}]
    part = {"item": {"column": "id", "pattern": r"^(\d+)_"}, "response": "answer"}
    assert ask(recorded(tmp_path, rows, part), "82").text == "b"
    assert (
        ask(recorded(tmp_path, rows, {"item": {"row_number": True}, "response": "answer"}), "2").text == "b"
    )


def test_answers_are_matched_by_instruction_whatever_its_spaces_and_its_way_of_writing_accents(
    tmp_path: Path,
):
    engine = recorded(tmp_path, [{"asked": "Où va  l'été\u00a0?\n", "answer": "Au sud."}], BY_INSTRUCTION)
    assert ask(engine, "x", " Ou\u0300 va l'e\u0301te\u0301 ? ").text == "Au sud."
    assert ask(engine, "x", "Ou va l'ete ?").finish_reason == "missing"


def test_an_instruction_with_input_is_matched_as_the_examples_put_it(tmp_path: Path):
    columns = {**BY_INSTRUCTION, "input": "below"}
    engine = recorded(
        tmp_path,
        [{"asked": "Add.", "below": "1 2", "answer": "3"}, {"asked": "Add.", "below": "", "answer": "?"}],
        columns,
    )
    assert (ask(engine, "x", "Add.\n\n1 2").text, ask(engine, "y", "Add.").text) == ("3", "?")


@pytest.mark.parametrize("columns", [BY_ITEM, BY_INSTRUCTION])
def test_an_example_without_a_row_is_missing_and_not_empty(columns: dict[str, Any], tmp_path: Path):
    answer = ask(recorded(tmp_path, [{"id": "1", "asked": "One?", "answer": "one"}], columns), "2", "Two?")
    assert (answer.text, answer.raw_text, answer.finish_reason) == (None, None, "missing")
    assert "no recorded answer for item 2" in (answer.error or "")
    assert "a.jsonl" in (answer.error or "")
    assert str(tmp_path) not in (answer.error or "")


def test_null_is_missing_and_an_empty_text_is_an_answer(tmp_path: Path):
    engine = recorded(
        tmp_path,
        [{"id": "1", "answer": None}, {"id": "2", "answer": ""}, {"id": "3", "answer": "\n"}],
        BY_ITEM,
    )
    null, empty, blank = (ask(engine, item) for item in "123")
    assert (null.text, null.finish_reason, null.error) == (
        None,
        "missing",
        "no recorded answer for item 1 in a.jsonl: row 1 holds null for `answer`",
    )
    assert (empty.text, empty.finish_reason, empty.error) == ("", "recorded", None)
    assert (blank.text, blank.raw_text) == ("", "\n")


def test_two_different_answers_for_one_example_are_an_error_and_equal_ones_are_not(tmp_path: Path):
    rows = [
        {"id": "1", "answer": "a"},
        {"id": "1", "answer": "b"},
        {"id": "2", "answer": "c"},
        {"id": "2", "answer": "c"},
    ]
    engine = recorded(tmp_path, rows, BY_ITEM)
    assert (ask(engine, "1").text, ask(engine, "1").finish_reason) == (None, "error")
    assert ask(engine, "1").error == "two different recorded answers for item 1 in a.jsonl"
    assert ask(engine, "2").text == "c"


def test_only_the_rows_of_the_language_are_taken(tmp_path: Path):
    rows = [{"id": "1", "in": "en", "answer": "dog"}, {"id": "1", "in": "fr", "answer": "chien"}]
    engine = recorded(tmp_path, rows, {**BY_ITEM, "language": "in"}, language="fr")
    assert (ask(engine, "1").text, engine.facts["n_recorded_rows"]) == ("chien", 1)


def test_a_changed_file_changes_what_identifies_the_changed_rows_alone(tmp_path: Path):
    rows = [{"id": "1", "answer": "a"}, {"id": "2", "answer": "b"}]
    asked = [EngineRequest(key=item, prompt=Prompt(text="?")) for item in "123"]
    before = [recorded(tmp_path, rows, BY_ITEM).identify(request) for request in asked]
    for changed in (
        [rows[0], {"id": "2", "answer": "B"}],
        [*rows, {"id": "2", "answer": "B"}],
        rows[:1],
        [rows[0], {"id": "2", "answer": None}],
    ):
        after = [recorded(tmp_path, changed, BY_ITEM).identify(request) for request in asked]
        assert [a == b for a, b in zip(before, after, strict=True)] == [True, False, True]
    assert len(set(before)) == 3


def test_the_facts_count_rows_that_no_example_asked_for(tmp_path: Path):
    rows = [
        {"id": "1", "answer": "a"},
        {"id": "2", "answer": "b"},
        {"id": "2", "answer": "b"},
        {"id": "9", "answer": "c"},
    ]
    engine = recorded(tmp_path, rows, BY_ITEM)
    facts = {
        "n_recorded_rows": 4,
        "n_rows_without_example": 4,
        "n_rows_without_answer": 0,
        "n_rows_of_another_instruction": 0,
        "commit": None,
    }
    assert engine.facts == facts
    engine.identify(EngineRequest(key="2", prompt=Prompt(text="?")))
    ask(engine, "2")
    ask(engine, "5")
    assert engine.facts == facts | {"n_rows_without_example": 2}


def test_gzipped_and_tabular_files_are_read_as_data_is(tmp_path: Path):
    assert ask(recorded(tmp_path, [{"id": "1", "answer": "a"}], BY_ITEM, name="a.jsonl.gz"), "1").text == "a"
    assert ask(recorded(tmp_path, 'id,answer\n1,"a, b"\n', BY_ITEM, name="a.csv"), "1").text == "a, b"


def test_a_file_that_is_not_the_planned_one_is_refused(tmp_path: Path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"id": "1", "answer": "a"}\n')
    source = FileSource(path=str(path), sha256="0" * 64, format="jsonl")
    with pytest.raises(DataError, match="has changed since it was planned"):
        Engine(Settings(answers=source, columns=Columns.model_validate(BY_ITEM)), None, tmp_path)


@pytest.mark.parametrize(
    ("cell", "why"),
    [
        ('"error": "rate limit"', "row 2: no column `answer`"),
        ('"answer": NaN', "row 2 holds NaN for `answer`"),
        ('"answer": ["a"]', "row 2: `answer` holds a list, not text"),
        ('"answer": {"text": "a"}', "row 2: `answer` holds a mapping, not text"),
        (r'"answer": "cut \ud83d"', "row 2: a character that is not text"),
    ],
)
def test_one_bad_row_is_one_missing_answer_with_its_reason(cell: str, why: str, tmp_path: Path):
    rows = '{"id": "1", "answer": "A"}\n{"id": "2", ' + cell + '}\n{"id": "3", "answer": "C"}\n'
    engine = recorded(tmp_path, rows, BY_ITEM)
    assert (ask(engine, "1").text, ask(engine, "3").text) == ("A", "C")
    bad = ask(engine, "2")
    assert (bad.text, bad.finish_reason) == (None, "missing")
    assert why in (bad.error or "")
    assert engine.facts["n_rows_without_answer"] == 1


def test_bytes_are_no_answer(tmp_path: Path):
    table = pa.table({"id": ["1", "2"], "answer": [b"\xff", b"\xfe"]})
    pq.write_table(table, tmp_path / "a.parquet")
    source = FileSource.model_validate(
        {
            "path": str(tmp_path / "a.parquet"),
            "sha256": Fingerprints().file(tmp_path / "a.parquet"),
            "format": "parquet",
        }
    )
    with pytest.raises(DataError, match="`answer` holds bytes"):
        Engine(Settings(answers=source, columns=Columns.model_validate(BY_ITEM)), None, tmp_path)


def test_a_row_whose_item_cannot_be_read_answers_nothing_and_is_counted(tmp_path: Path):
    engine = recorded(
        tmp_path, [{"answer": "?"}, {"id": None, "answer": "?"}, {"id": "1", "answer": "A"}], BY_ITEM
    )
    assert ask(engine, "1").text == "A"
    assert engine.facts["n_rows_without_answer"] == 2


def test_an_answer_beside_a_failed_attempt_at_it_is_taken(tmp_path: Path):
    engine = recorded(tmp_path, [{"id": "1", "answer": None}, {"id": "1", "answer": "A"}], BY_ITEM)
    assert ask(engine, "1").text == "A"


def test_item_and_instruction_have_to_agree_where_both_are_named(tmp_path: Path):
    rows = [
        {"id": "1", "asked": "One?", "answer": "one"},
        {"id": "2", "asked": "Three?", "answer": "three"},
        {"id": "3", "asked": "Four?", "answer": "four"},
        {"id": "3", "asked": " Three? ", "answer": "three"},
        {"id": "4", "answer": "?"},
    ]
    engine = recorded(tmp_path, rows, {**BY_ITEM, "instruction": "asked"})
    assert [ask(engine, item, f"{asked}?").text for item, asked in (("1", "One"), ("2", "Two"))] == [
        "one",
        None,
    ]
    assert ask(engine, "2", "Two?").error == (
        "no recorded answer for item 2 in a.jsonl: the instruction of row 2 is another one"
    )
    assert ask(engine, "3", "Three?").text == "three"
    assert ask(engine, "4", "Four?").finish_reason == "missing"
    assert engine.facts["n_rows_of_another_instruction"] == 2


def test_a_column_that_no_row_has_is_refused(tmp_path: Path):
    with pytest.raises(DataError, match=r"a\.jsonl: row 1: no column `answer`; there are: id, response"):
        recorded(tmp_path, [{"id": "1", "response": "a"}, {"id": "2", "response": "b"}], BY_ITEM)


def test_recorded_answers_cannot_be_tuned(tmp_path: Path):
    source = FileSource(path=str(tmp_path / "a.jsonl"), sha256="0" * 64, format="jsonl")
    with pytest.raises(XpError, match="tuned"):
        Engine(Settings(answers=source, columns=Columns.model_validate(BY_ITEM)), tmp_path, tmp_path)
