"""`xp verify` reads every byte, judges again by rule and derives the warehouse again."""

import json
from pathlib import Path

import duckdb
import pytest

from dsl.errors import StoreError
from runners.store.digests import describe
from tests.xp.small_study import ROWS, all_rows, in_warehouse, plan_of, step_ids, write_study
from xp.apply import apply
from xp.studies import diff_for
from xp.verify import verify


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    return write_study(tmp_path / "study", n_items=5)


@pytest.fixture
def store(spec: Path, tmp_path: Path) -> Path:
    apply(diff_for(spec, None, None, tmp_path / "store"), tmp_path / "store", in_process=True)
    return tmp_path / "store"


def test_an_untouched_store_has_no_faults(store: Path) -> None:
    found = verify(store)
    assert (found.n_steps, found.n_judged, found.n_without_digests, found.faults) == (6, 2, 0, ())
    assert not list(store.glob("verify-*"))


@pytest.mark.parametrize("kind", ["data", "generate", "judge"])
def test_a_flipped_bit_that_leaves_no_trace_is_found_and_the_next_apply_makes_the_step_again(
    spec: Path, store: Path, kind: str
) -> None:
    before = all_rows(store), in_warehouse(store)
    damaged = step_ids(plan_of(spec), kind)[0]
    file, memory = store / "steps" / damaged / ROWS[kind], store / "cache" / "checked.json"
    diff_for(spec, None, None, store)
    remembered = json.loads(memory.read_text("utf-8"))
    file.write_bytes(file.read_bytes().replace(b"q3", b"q1", 1))
    stat = file.stat()  # as a disk that rots leaves it: what the memory knows of the file is still so
    now = f"{file.name} {stat.st_size} {stat.st_mtime_ns} {stat.st_ctime_ns} {stat.st_ino}"
    parts = remembered[str(file.parent)].split("|")
    remembered[str(file.parent)] = "|".join(
        now if part.startswith(f"{file.name} ") else part for part in parts
    )
    memory.write_text(json.dumps(remembered), "utf-8")
    assert diff_for(spec, None, None, store).todo == ()
    faults = verify(store).faults
    assert (
        faults[0]
        == f"{damaged}: {ROWS[kind]} holds other bytes than it was written with. `xp apply` makes the step"
        " again."
    )
    planned = diff_for(spec, None, None, store)
    assert planned.todo == (damaged,)
    apply(planned, store, in_process=True)
    assert (all_rows(store), in_warehouse(store)) == before
    assert verify(store).faults == ()


def test_verdicts_that_the_judge_does_not_give_are_found_though_their_digest_agrees(
    spec: Path, store: Path
) -> None:
    folder = store / "steps" / step_ids(plan_of(spec), "judge")[0]
    rows = folder / "verdicts.jsonl"
    verdicts = [json.loads(line) for line in rows.read_text("utf-8").splitlines()]
    rows.write_text(
        "".join(json.dumps({**row, "score": 1.0 - row["score"]}) + "\n" for row in verdicts), "utf-8"
    )
    outcome = json.loads((folder / "outcome.json").read_text("utf-8"))
    outcome["files"] = {name: file.model_dump() for name, file in describe(folder).items()}
    (folder / "outcome.json").write_text(json.dumps(outcome), "utf-8")
    assert f"{folder.name}: other verdicts now (contains)." in verify(store).faults[0]


def test_statistics_that_do_not_follow_from_the_files_are_found(store: Path) -> None:
    with duckdb.connect(str(store / "warehouse.duckdb")) as connection:
        connection.execute("update cell_scores set mean_score = 0.123")
    (fault,) = verify(store).faults
    assert "the table cell_scores is not as the files give it" in fault


def test_there_is_nothing_to_verify_without_a_store(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="is no store"):
        verify(tmp_path / "none")
    assert not (tmp_path / "none").exists()
