"""Loads finished steps: what they were asked for, their outcome, and their rows."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import duckdb

from dsl.data.records import Outcome
from dsl.data.written_files import scratch_folder
from dsl.errors import WarehouseError
from dsl.steps.training_steps import TRAININGS
from dsl.values import StepId
from warehouse.errors import WarehouseUnreadable, WarehouseUnwritten, duckdb_errors
from warehouse.load.files import decode, file_sha256, parse, read_text
from warehouse.load.plain_path import plain
from warehouse.load.repair import repair
from warehouse.statements import HERE, run_file, transaction

SQL = HERE / "load" / "sql"

_ROWS = {
    "data": ("data.sql", "examples.jsonl"),
    "pairs": ("data.sql", "examples.jsonl"),
    **dict.fromkeys(TRAININGS, ("training.sql", "metrics.jsonl")),
    "reference_logps": ("reference_logps.sql", "ref_logps.jsonl"),
    "select": ("select.sql", "trials.jsonl"),
    "generate": ("generate.sql", "completions.jsonl"),
    "judge": ("judge.sql", "verdicts.jsonl"),
    "sequential_test": ("looks.sql", "looks.jsonl"),
}
"""A step's kind -> what loads its rows, and from which file."""

LONGEST_ROW = 64 * 2**20
"""Bytes of the longest JSON line that can be loaded; DuckDB sets aside a few times as much for each
thread."""

_MOST_STEPS, _MOST_BYTES = 500, 256 * 2**20
"""Limits of one transaction: small steps are loaded together, since each transaction has its price, and no
more than fits in memory with ease."""


@dataclass(frozen=True, slots=True)
class FinishedStep:
    """A step to load."""

    step_id: StepId
    settings: str
    outcome: str
    sha256: str
    """Digest of `outcome.json` as it was read."""
    rows: Path
    size: int
    """Bytes of its rows."""


def _finished(folder: Path, outcome: bytes) -> FinishedStep:
    """Read a finished step except for its rows, which must be as they were written. Raises WarehouseError."""
    found = parse(decode(outcome, folder / "outcome.json"), Outcome, folder / "outcome.json")
    if found.step_id != folder.name:
        raise WarehouseError(f"{folder / 'outcome.json'}: this is the outcome of {found.step_id}.")
    kind = folder.name.partition("-")[0]
    if kind not in _ROWS:
        raise WarehouseError(f"{folder}: there is no such kind of step.")
    rows = folder / _ROWS[kind][1]
    try:
        size = rows.stat().st_size
    except FileNotFoundError:  # DuckDB would take the path for a pattern
        raise WarehouseError(
            f"{rows}: is missing. Delete {folder}, and `xp apply` makes the step again."
        ) from None
    for file in (rows, folder / "step.json"):
        written = found.files.get(file.name)
        if written is not None and file_sha256(file) != written.sha256:
            raise WarehouseError(
                f"{file}: is not as it was written. `xp apply` on its spec makes the step again."
            )
    sha256 = hashlib.sha256(outcome).hexdigest()
    return FinishedStep(
        folder.name, read_text(folder / "step.json"), found.model_dump_json(), sha256, rows.absolute(), size
    )


def load_batches(connection: duckdb.DuckDBPyConnection, steps: Iterable[FinishedStep]) -> list[str]:
    """Load many steps, as many at once as it is good for. Returns what could not be loaded, in sentences.

    Rows may come to lie in any order, which takes a third less time: whoever reads them says in which order.
    """
    batch, size = list[FinishedStep](), 0
    notes: list[str] = []
    connection.execute("set preserve_insertion_order = false")
    try:
        for step in steps:
            if batch and (len(batch) >= _MOST_STEPS or size + step.size > _MOST_BYTES):
                notes += _load_batch(connection, batch)
                batch, size = [], 0
            batch.append(step)
            size += step.size
        if batch:
            notes += _load_batch(connection, batch)
    finally:
        connection.execute("reset preserve_insertion_order")
    return notes


def _load_batch(connection: duckdb.DuckDBPyConnection, batch: Sequence[FinishedStep]) -> list[str]:
    """Load steps together; where one fails, each by itself, and the failing one row by row."""
    try:
        _load_steps(connection, batch)
    except (WarehouseUnreadable, WarehouseUnwritten):
        raise
    except WarehouseError as error:
        if len(batch) > 1:
            return [note for step in batch for note in _load_batch(connection, [step])]
        return [_load_row_by_row(connection, batch[0], error)]
    return []


def _load_row_by_row(connection: duckdb.DuckDBPyConnection, step: FinishedStep, error: WarehouseError) -> str:
    """Load the valid rows of a step, and the reason in place of each invalid one; return a note of it."""
    with scratch_folder() as folder:
        repaired = folder / step.step_id / step.rows.name  # rows are known by the folder they lie in
        repaired.parent.mkdir()
        n_rows = repair(step.rows, repaired, LONGEST_ROW)
        try:
            _load_steps(connection, [replace(step, rows=repaired, size=repaired.stat().st_size)])
        except (WarehouseUnreadable, WarehouseUnwritten):
            raise
        except WarehouseError:
            return f"{step.step_id} cannot be loaded: {error}"
    return f"{step.step_id}: {n_rows} of its rows cannot be loaded as they are, and say why: {error}"


def _load_steps(connection: duckdb.DuckDBPyConnection, steps: Sequence[FinishedStep]) -> None:
    """Load these steps in one transaction."""
    step_ids = [step.step_id for step in steps]
    by_kind: dict[str, list[FinishedStep]] = {}
    for step in steps:
        by_kind.setdefault(_ROWS[step.step_id.partition("-")[0]][0], []).append(step)
    with duckdb_errors(steps[0].rows), transaction(connection):
        ((n_loaded,),) = connection.execute(
            "select count(*) from steps where step_id in (select unnest($1))", [step_ids]
        ).fetchall()
        if n_loaded:
            run_file(connection, SQL / "forget.sql", step_ids=step_ids)
        made = {
            "outcomes": [step.outcome for step in steps],
            "outcome_sha256s": [step.sha256 for step in steps],
        }
        run_file(connection, SQL / "step.sql", settings=[step.settings for step in steps], **made)
        run_file(connection, SQL / "stale.sql", step_ids=step_ids)
        for load, alike in by_kind.items():
            longest = min(max(2**20, *(step.size for step in alike)), LONGEST_ROW)
            run_file(connection, SQL / load, paths=[plain(step.rows) for step in alike], longest=longest)


def new_steps(
    steps: Path, outcomes: Mapping[StepId, bytes | None], loaded: Mapping[StepId, str], notes: list[str]
) -> Iterator[FinishedStep]:
    """Yield the steps that are not loaded as they are now; note those that cannot be read."""
    for step_id, outcome in outcomes.items():
        if outcome is not None and hashlib.sha256(outcome).hexdigest() != loaded.get(step_id):
            try:
                yield _finished(steps / step_id, outcome)
            except WarehouseError as error:
                notes.append(f"{step_id} is left out. {error}")
