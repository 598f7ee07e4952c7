"""Recorded answers as a step: bad rows are missing answers, and a step without a single answer fails."""

import json
from pathlib import Path

import pytest

from dsl.data.fingerprints import Fingerprints
from dsl.data.records import Completion, Example
from dsl.data.source import Columns, FileSource
from dsl.engines.contract import Decoding
from dsl.engines.recorded import Settings
from dsl.errors import XpError
from dsl.steps.steps import GenerateStep
from runners.steps import generate
from runners.store.step_io import RowWriter, StepContext, read_rows

EXAMPLES = "data-0000000000000000"


def completions(
    folder: Path, answers: list[dict[str, object]], part: range | None = None
) -> list[Completion]:
    """Completions of items 0 to 3, of a file with these rows."""
    (folder / "data").mkdir(exist_ok=True)
    with RowWriter(folder / "data" / "examples.jsonl") as writer:
        for n in range(4):
            writer.write(Example(item=f"{n}", language="en", instruction=f"{n}?"))
    path = folder / "answers.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in answers), "utf-8")
    step = GenerateStep(
        model=Settings(
            answers=FileSource(path=str(path), sha256=Fingerprints().file(path), format="jsonl"),
            columns=Columns(item="id", response="o"),
        ),
        examples=EXAMPLES,
        prompt=None,
        decoding=Decoding(),
    )
    out = folder / "out"
    out.mkdir(exist_ok=True)
    generate.run(step, StepContext({EXAMPLES: folder / "data"}, cache=folder / "cache", part=part), out)
    return list(read_rows(out / "completions.jsonl", Completion))


def test_rows_of_any_kind_of_fault_are_missing_answers_beside_the_others(tmp_path: Path) -> None:
    rows: list[dict[str, object]] = [
        {"id": "0", "o": "fine"},
        {"id": "1", "o": "cut \ud83d"},
        {"id": "2", "error": "rate limit"},
        {"id": "3", "o": float("nan")},
    ]
    found = completions(tmp_path, rows)
    assert [(row.text, row.finish_reason) for row in found] == [("fine", "recorded")] + [
        (None, "missing")
    ] * 3
    assert all(
        f"row {n} " in f"{row.error} " or f"row {n}:" in f"{row.error}"
        for n, row in enumerate(found, 1)
        if n > 1
    )


def test_a_step_without_a_single_answer_fails_and_says_why(tmp_path: Path) -> None:
    rows: list[dict[str, object]] = [{"id": f"q{n}", "o": "fine"} for n in range(4)]
    with pytest.raises(
        XpError, match=r"not one of 4 items has a recorded answer: no recorded answer for item 0 in"
    ):
        completions(tmp_path, rows)


def test_a_shard_without_answers_is_one_of_several(tmp_path: Path) -> None:
    rows: list[dict[str, object]] = [{"id": "0", "o": "fine"}]
    assert [row.text for row in completions(tmp_path, rows, part=range(2, 4))] == [None, None]
