"""The loader: what the store holds is in the tables, once, byte for byte, whatever was loaded before."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from dsl.data.records import Completion, Example, Label, Verdict
from dsl.errors import WarehouseError
from dsl.plan.study import ContrastPlan
from tests.warehouse.stores import StoreMaker, completion, verdict
from warehouse.connect import WAREHOUSE, connect
from warehouse.load import load_store, rebuild

HOSTILE = {
    "script": "<script>alert(1)</script><img src=x onerror=alert(1)>",
    "sql": "'; drop table completions; -- $step_id ? {text}",
    "NUL": "before\0after",
    "lines": "a\nb\r\nc\u2028d\u2029e\x85f\x0bg\x1bh",
    "JSON": '{"text": "\\u0000", "NaN": NaN}',
    "null": "null",
    "empty": "",
    "spaces": "  \t ",
    "emoji and accents": "👩‍👩‍👧 e\u0301 é \ufeff \u202e ر",
    "date": "2026-01-01",
    "long": "ab\u00e9" * 1_000_000,
}


EMPTY = {
    "ifeval_accuracies",
    "judge_pairs",
    "judge_questions",
    "looks",
    "plans",
    "checked_opinions",
    "scores_beside_errors",
    "stale_slices",
    "contrasts_beside_people",
}
"""Tables without rows of the full store."""


def tables(store: Path) -> dict[str, list[Any]]:
    """Every row of every table, sorted."""
    with connect(store / WAREHOUSE) as connection:
        names = [
            name
            for (name,) in connection.execute(
                "select table_name from duckdb_tables() where not temporary"
            ).fetchall()
        ]
        return {name: sorted(map(repr, connection.execute(f"from {name}").fetchall())) for name in names}


@pytest.fixture
def full(maker: StoreMaker) -> StoreMaker:
    """A store with a row for every table."""
    asked = maker.data(
        [
            Example(
                item="1", language="en", instruction="2 + 2?", answers=("4", "four"), extra={"level": "easy"}
            )
        ]
    )
    trained = maker.train("sft", [2.0, 1.0])
    shared = maker.cell(
        "icl", examples=asked, scores={"contains": {"1": 1.0, "2": "no answer"}}, facts={"n_parameters": 7}
    )
    maker.cell(
        "sft",
        train=(maker.reference(), trained, maker.select({trained: 1.5})),
        train_languages=("en", "fr"),
        seed=1,
        scores={"loop": {"1": 1.0}},
    )
    gain = ContrastPlan(name="gain", of="sft", against="icl", differs=("template (chat against text)",))
    maker.study("one", contrasts=(gain,))
    maker.cells.append(shared.model_copy(update={"cell_id": "cell-ffffffffffffffff"}))
    maker.study("two", parallel=False)
    maker.run("run-1", asked, "failed", error="disk full")
    maker.run("run-2", asked)
    maker.label("anna", [Label(answer_id="0123456789abcdef", score=0.5)], "one")
    return maker


def compared(maker: StoreMaker) -> None:
    """One more study, with a row for every table of statistics."""
    for language in ("en", "fr"):
        for model in ("small", "large"):
            prompted = maker.cell(
                "icl", language=language, model=model, scores={"contains": {"1": 1.0, "2": 0.0}}
            )
            duel = {"duel=contains": {"1": 1.0}} if (language, model) == ("en", "small") else {}
            maker.cell(
                "tuned", language=language, model=model, scores=duel, against={"icl": prompted.generate}
            )
            maker.cell("sft", language=language, model=model, scores={"contains": {"1": 0.0, "2": 0.5}})
    gain = ContrastPlan(name="gain", of="sft", against="icl")
    larger = ContrastPlan(name="larger", of="large", against="small", method="icl")
    maker.study("many", contrasts=(gain, larger))


def made_again(folder: Path) -> None:
    """Have the next load see a step that was made anew."""
    with (folder / "outcome.json").open("a") as file:
        file.write("\n")


def step_ids(store: Path) -> list[str]:
    return [folder.name for folder in (store / "steps").iterdir()]


def test_a_rebuild_gives_the_tables_that_loading_step_by_step_gives(full: StoreMaker) -> None:
    store = full.folder
    compared(full)
    studies = [full.study("three")]
    load_store(store, [], studies[0])
    for step_id in reversed(step_ids(store)):
        load_store(store, [step_id])
    for experiment in ("many", "two", "one"):
        load_store(
            store,
            step_ids(store),
            studies[0].model_validate_json((store / "experiments" / f"{experiment}.json").read_text()),
        )
    before = tables(store)
    without = {name for name, rows in before.items() if not rows}  # such a table compares nothing
    assert without == EMPTY
    rebuild(store)
    assert tables(store) == before
    rebuild(store)
    assert tables(store) == before
    assert sorted(path.name for path in store.glob("*.duckdb*")) == [WAREHOUSE]


def test_loading_twice_is_loading_once(full: StoreMaker) -> None:
    rebuild(full.folder)
    before = tables(full.folder)
    for end in ("\n", ""):  # made again, and once more as they were
        for step_id in step_ids(full.folder):
            outcome = full.folder / "steps" / step_id / "outcome.json"
            outcome.write_text(outcome.read_text("utf-8").rstrip() + end, "utf-8")
        assert load_store(full.folder, step_ids(full.folder)) == ()
    assert tables(full.folder) == before


def test_what_a_step_was_is_replaced_when_it_was_made_again(maker: StoreMaker) -> None:
    cell = maker.cell(texts={"1": "old", "2": "old"})
    load_store(maker.folder, [cell.generate], maker.study())
    folder = maker.folder / "steps" / cell.generate
    rows = [completion(item, "new", prompt="a new prompt") for item in ("1", "3")]
    (folder / "completions.jsonl").write_text("".join(row.model_dump_json() + "\n" for row in rows))
    (folder / "outcome.json").write_text(json.dumps({"step_id": cell.generate, "seconds": 9.0, "n_rows": 2}))
    load_store(maker.folder, [cell.generate])
    with connect(maker.folder / WAREHOUSE) as connection:
        assert connection.execute("select item, text from step_completions").fetchall() == [
            ("1", "new"),
            ("3", "new"),
        ]
        assert connection.execute("select text from prompts").fetchall() == [("a new prompt",)]
        assert connection.execute("select seconds from steps").fetchall() == [(9.0,)]


def test_a_step_that_did_not_change_is_not_read_again(maker: StoreMaker) -> None:
    cell = maker.cell(texts={"1": "a"})
    load_store(maker.folder, [cell.generate], maker.study())
    (maker.folder / "steps" / cell.generate / "completions.jsonl").unlink()
    load_store(maker.folder, [cell.generate])
    with connect(maker.folder / WAREHOUSE) as connection:
        assert connection.execute("select item, text from step_completions").fetchall() == [("1", "a")]


def test_a_step_that_the_store_holds_no_more_is_taken_out_with_the_next_study(full: StoreMaker) -> None:
    rebuild(full.folder)
    for step_id in step_ids(full.folder):
        if step_id.startswith(("judge", "sft")):
            shutil.rmtree(full.folder / "steps" / step_id)
    full.cell(texts={"1": "a"})
    load_store(full.folder, step_ids(full.folder), full.study("three"))
    found = tables(full.folder)
    assert (found["step_verdicts"], found["train_metrics"]) == ([], [])
    rebuild(full.folder)
    assert tables(full.folder) == found


def test_a_prompt_stays_as_long_as_another_step_was_asked_with_it(maker: StoreMaker) -> None:
    one, other = maker.cell(texts={"1": "a"}), maker.cell("other", texts={"1": "b"})
    load_store(maker.folder, [one.generate, other.generate], maker.study())
    folder = maker.folder / "steps" / one.generate
    (folder / "completions.jsonl").write_text("")
    made_again(folder)
    load_store(maker.folder, [one.generate])
    with connect(maker.folder / WAREHOUSE) as connection:
        assert connection.execute("select text from prompts").fetchall() == [("question 1",)]


def test_a_study_that_lost_cells_loses_them_in_the_warehouse_and_other_studies_keep_theirs(
    full: StoreMaker,
) -> None:
    rebuild(full.folder)
    full.cell("only", texts={"1": "a"})
    load_store(full.folder, [], full.study("one"))
    with connect(full.folder / WAREHOUSE) as connection:
        cells = connection.execute("select experiment, method from cells order by all").fetchall()
        assert cells == [("one", "only"), ("two", "icl")]
        assert connection.execute("select distinct cell_id from cell_judges").fetchall() == [
            ("cell-ffffffffffffffff",)
        ]
        for table in ("cell_training", "contrasts"):
            assert connection.execute(f"from {table}").fetchall() == []


def test_a_step_that_is_not_finished_is_not_loaded(maker: StoreMaker) -> None:
    cell = maker.cell(texts={"1": "a"})
    study = maker.study()
    folder = maker.folder / "steps" / cell.generate
    shutil.copytree(folder, folder.with_name(folder.name + ".tmp"))
    (folder / "outcome.json").unlink()
    load_store(maker.folder, [cell.generate, "judge-eeeeeeeeeeeeeeee"], study)
    rebuild(maker.folder)
    with connect(maker.folder / WAREHOUSE) as connection:
        assert connection.execute("from steps").fetchall() == []
        assert connection.execute("from step_completions").fetchall() == []


def test_hostile_text_survives_byte_for_byte(maker: StoreMaker) -> None:
    cell = maker.cell(texts=HOSTILE)
    rows = [
        verdict(item, "unreadable").model_copy(update={"raw": text, "distribution": {text[:50]: 1.0}})
        for item, text in HOSTILE.items()
    ]
    folder = maker.folder / "steps" / maker.judge(cell.generate, "contains", {}).step
    (folder / "verdicts.jsonl").write_text("".join(row.model_dump_json() + "\n" for row in rows), "utf-8")
    examples = maker.data(
        [
            Example(item=item, language="en", instruction=text, answers=(text,))
            for item, text in HOSTILE.items()
        ]
    )
    load_store(maker.folder, [cell.generate, folder.name, examples], maker.study())
    with connect(maker.folder / WAREHOUSE, read_only=True) as connection:
        assert dict(connection.execute("select item, text from completions").fetchall()) == HOSTILE
        assert dict(connection.execute("select item, raw from step_verdicts").fetchall()) == HOSTILE
        assert dict(connection.execute("select item, instruction from examples").fetchall()) == HOSTILE
        assert dict(connection.execute("select item, answers[1] from examples").fetchall()) == HOSTILE
        keys = {
            json.loads(found).popitem()[0]
            for (found,) in connection.execute("select distribution from step_verdicts").fetchall()
        }
        assert keys == {text[:50] for text in HOSTILE.values()}


def test_hostile_text_in_the_study_itself_survives(maker: StoreMaker) -> None:
    maker.cell(texts={"1": "a"})
    text = "".join(HOSTILE[name] for name in ("script", "sql", "lines", "JSON"))
    study = maker.study().model_copy(update={"spec_text": text, "question": text, "notes": (text, "")})
    load_store(maker.folder, [], study)
    with connect(maker.folder / WAREHOUSE) as connection:
        assert connection.execute("select spec_text, question, notes from experiments").fetchall() == [
            (text, text, [text, ""])
        ]


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        (b'{"item": "1", "text": "half', "completions.jsonl"),
        (b'{"item": "1", "text": "\xff"}', "UTF-8"),
        (rb'{"item": "1", "text": "\ud800"}', "surrogate"),
        (completion("1", "again").model_dump_json().encode(), "item 1 is there 2 times"),
    ],
)
def test_a_damaged_file_is_named_and_costs_no_whole_row(
    maker: StoreMaker, line: bytes, complaint: str
) -> None:
    cell = maker.cell(texts={"1": "whole"})
    load_store(maker.folder, [cell.generate], maker.study())
    folder = maker.folder / "steps" / cell.generate
    with (folder / "completions.jsonl").open("ab") as file:
        file.write(line + b"\n")
    made_again(folder)
    (note,) = load_store(maker.folder, [cell.generate])
    assert complaint in note
    assert str(folder / "completions.jsonl") in note
    with connect(maker.folder / WAREHOUSE, read_only=True) as connection:
        assert ("whole",) in connection.execute("select text from step_completions").fetchall()


def test_of_many_steps_the_one_at_fault_is_named_and_the_others_are_loaded(maker: StoreMaker) -> None:
    before, damaged, after = (maker.cell(f"method{n}", texts={"1": str(n)}) for n in range(3))
    damaged_file = maker.folder / "steps" / damaged.generate / "completions.jsonl"
    damaged_file.write_text('{"item": "1", "text": "half\n')
    (note,) = load_store(maker.folder, [before.generate, damaged.generate, after.generate], maker.study())
    assert note.startswith(f"{damaged.generate}: 1 of its rows cannot be loaded as they are")
    with connect(maker.folder / WAREHOUSE) as connection:
        assert connection.execute("select text from step_completions order by all").fetchall() == [
            ("0",),
            ("2",),
        ]
        assert len(connection.execute("from steps").fetchall()) == 3


@pytest.mark.parametrize(
    ("row", "why"),
    [
        (
            completion("2", "b").model_copy(update={"n_new_tokens": 10**30}),
            "`n_new_tokens` is beyond 64 bits",
        ),
        (
            completion("2", "b" * 70_000_000).model_copy(update={"raw_text": "b" * 70_000_000}),
            "the row has 140,",
        ),
    ],
    ids=["a count beyond 64 bits", "an answer of 140 MB"],
)
def test_a_completion_that_cannot_be_loaded_is_one_row_that_says_why(
    maker: StoreMaker, row: Completion, why: str
) -> None:
    cell = maker.cell(
        texts={"1": "a", "2": "b", "3": "c"}, scores={"contains": {"1": 1.0, "2": 1.0, "3": 1.0}}
    )
    file = maker.folder / "steps" / cell.generate / "completions.jsonl"
    first, _, third = file.read_text("utf-8").splitlines()
    file.write_text(f"{first}\n{row.model_dump_json()}\n{third}\n", "utf-8")
    (note,) = load_store(
        maker.folder, [cell.generate, *(judged.step for judged in cell.judges.values())], maker.study()
    )
    assert f"{cell.generate}: 1 of its rows" in note
    with connect(maker.folder / WAREHOUSE, read_only=True) as connection:
        found = connection.execute(
            "select item, text, finish_reason, error from completions order by item"
        ).fetchall()
        assert [text for _, text, _, _ in found] == ["a", None, "c"]
        assert found[1][2] == "error"
        assert str(found[1][3]).startswith(f"cannot be loaded: {why}")


def test_a_verdict_that_cannot_be_loaded_is_unscored_and_says_why(maker: StoreMaker) -> None:
    cell = maker.cell(texts={"1": "a", "2": "b"}, scores={"contains": {"1": 1.0, "2": 1.0}})
    file = maker.folder / "steps" / cell.judges["contains"].step / "verdicts.jsonl"
    first, second = (Verdict.model_validate_json(line) for line in file.read_text("utf-8").splitlines())
    rows = (first, second.model_copy(update={"n_new_tokens": -(10**30)}))
    file.write_text("".join(row.model_dump_json() + "\n" for row in rows), "utf-8")
    assert (
        len(
            load_store(
                maker.folder,
                [cell.generate, *(judged.step for judged in cell.judges.values())],
                maker.study(),
            )
        )
        == 1
    )
    with connect(maker.folder / WAREHOUSE, read_only=True) as connection:
        found = connection.execute(
            "select item, score, unscored_reason from step_verdicts order by item"
        ).fetchall()
    assert found == [("1", 1.0, None), ("2", None, "cannot be loaded: `n_new_tokens` is beyond 64 bits")]


@pytest.mark.parametrize("folder", ["runs", "experiments"])
@pytest.mark.parametrize(
    ("left", "why"),
    [
        (b"", "it is no whole JSON"),
        (b"{", "it is no whole JSON"),
        (b"\xff\0", "it is no whole JSON"),
        (b"[]", "it is no JSON object"),
        (b"{}", "it lacks `{}`, `{}`, `{}` and "),
        (b'{"step_ids": 7, "n": 1, "cells": [{"id": 1}], "step_id": 7}', "it lacks "),
    ],
)
def test_a_small_file_that_cannot_be_read_is_told_and_passed_over(
    full: StoreMaker, folder: str, left: bytes, why: str
) -> None:
    rebuild(full.folder)
    before = tables(full.folder)
    (full.folder / folder).mkdir(exist_ok=True)
    (full.folder / folder / "left.json").write_bytes(left)
    (note,) = rebuild(full.folder)
    kind, lost, lacking = {
        "runs": (
            "Run",
            "It records one attempt at a step and no result: delete it.",
            ("run_id", "step_id", "experiment"),
        ),
        "experiments": (
            "Study",
            "`xp apply` on its spec writes it again.",
            ("experiment", "question", "languages"),
        ),
    }[folder]
    assert note.startswith(
        f"{full.folder / folder / 'left.json'}: cannot be read as {kind}: {why.format(*lacking)}"
    )
    assert note.endswith(f". {lost}")
    assert len(note) < len(str(full.folder)) + 250
    assert not re.search(r"pydantic|validation|input", note)
    assert tables(full.folder) == before


def test_a_load_computes_only_what_is_said_of_the_models_that_it_touched(maker: StoreMaker) -> None:
    one, other = (
        maker.cell(model=model, scores={"contains": {"1": 1.0, "2": 0.0}}) for model in ("one", "other")
    )
    study = maker.study()
    connect(maker.folder / WAREHOUSE).close()  # where there is none, all is loaded
    load_store(maker.folder, [one.generate, *(judged.step for judged in one.judges.values())], study)
    with connect(maker.folder / WAREHOUSE) as connection:
        connection.execute("update cell_scores set mean_score = 7")
    load_store(maker.folder, [other.generate, *(judged.step for judged in other.judges.values())])
    with connect(maker.folder / WAREHOUSE) as connection:
        found = connection.execute("select model, mean_score from score_by_cell").fetchall()
        assert sorted(found) == [("one", 7.0), ("other", 0.5)]
        assert connection.execute("from stale_slices").fetchall() == []


def test_a_rebuild_that_fails_leaves_the_old_warehouse(
    maker: StoreMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    maker.cell(texts={"1": "a"})
    maker.study()
    rebuild(maker.folder)
    before = tables(maker.folder)

    def fail(*_: object) -> None:
        raise WarehouseError("no space left")

    monkeypatch.setattr("warehouse.load.load_labels", fail)
    with pytest.raises(WarehouseError, match="no space left"):
        rebuild(maker.folder)
    assert tables(maker.folder) == before


@pytest.mark.parametrize(
    ("outcome", "complaint"),
    [
        ("", "cannot be read as Outcome"),
        ("{}", "cannot be read as Outcome"),
        ('{"step_id": "data-bbbbbbbbbbbbbbbb", "seconds": 1}', "outcome of data-bbbbbbbbbbbbbbbb"),
    ],
)
def test_a_step_whose_outcome_is_none_or_anothers_is_told_and_left_out(
    maker: StoreMaker, outcome: str, complaint: str
) -> None:
    cell, other = maker.cell(texts={"1": "a"}), maker.cell("other", texts={"1": "b"})
    (maker.folder / "steps" / cell.generate / "outcome.json").write_text(outcome)
    (note,) = load_store(maker.folder, [cell.generate, other.generate])
    assert note.startswith(f"{cell.generate} is left out. ")
    assert complaint in note
    with connect(maker.folder / WAREHOUSE) as connection:
        assert connection.execute("select step_id from steps").fetchall() == [(other.generate,)]


def test_a_store_may_lie_in_a_folder_whose_name_has_wildcards(tmp_path: Path) -> None:
    for name in ("[ab]*", "a"):
        maker = StoreMaker(tmp_path / name)
        cell = maker.cell(texts={"1": name})
        load_store(maker.folder, [cell.generate], maker.study())
        with connect(maker.folder / WAREHOUSE) as connection:
            assert connection.execute("select text from step_completions").fetchall() == [(name,)]
