"""Takes what a store holds into the warehouse. The store is the truth: what is loaded twice is there once,
and all of it can be made again.

    experiments/<experiment>.json   → experiments, experiment_steps, cells, judges, cell_judges,
    cell_training, contrasts steps/<step_id>/                → steps, and by its kind examples, prompts and
    step_completions, step_verdicts, train_metrics runs/<run_id>.json              → runs
    labels/<experiment>/<judge>.jsonl  → labels

Rows go from JSON lines to the table inside DuckDB and never through Python. What a model wrote is never part
of a statement.
"""

import hashlib
import os
import re
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import duckdb
from pydantic import ValidationError

from dsl.data.records import Outcome, Record, Run, read_record, why_invalid
from dsl.errors import DataError, WarehouseError
from dsl.plan.study import Study
from dsl.values import StepId
from warehouse import rows_that_load
from warehouse.connect import (
    HERE,
    PATIENCE_SECONDS,
    WAREHOUSE,
    WarehouseUnreadable,
    connect,
    kept_tables,
    made_aside,
    run_file,
    set_aside,
    told,
    transaction,
    wait_until_free,
)
from warehouse.plain_path import plain

_Record = TypeVar("_Record", bound=Record)

_ROWS = {
    "data": ("data.sql", "examples.jsonl"),
    "sft": ("training.sql", "metrics.jsonl"),
    "reference_logps": ("reference_logps.sql", "ref_logps.jsonl"),
    "dpo": ("training.sql", "metrics.jsonl"),
    "generate": ("generate.sql", "completions.jsonl"),
    "judge": ("judge.sql", "verdicts.jsonl"),
}
"""A step's kind -> what loads its rows, and from which file."""

_LONGEST_ROW = 64 * 2**20
"""Bytes of the longest JSON line that can be loaded; DuckDB sets aside a few times as much for each
thread."""

_MOST_STEPS, _MOST_BYTES = 500, 256 * 2**20
"""What is loaded in one transaction: small steps together, since each transaction has its price, and no more
than memory holds with ease."""


def load_store(
    store: Path, step_ids: Iterable[StepId], study: Study | None = None, patience: float = PATIENCE_SECONDS
) -> tuple[str, ...]:
    """Load a study, steps, and every new run and label into the store's warehouse, which is open only for as
    long as that takes.

    Steps that are not finished are passed over, and so are those loaded before, unless they were made again
    since. With a study, steps that the store holds no more are taken out. A warehouse that cannot be read is
    moved aside and made again from all that the store holds.

    Returns:
        What a person must be told of it, in sentences: files that cannot be read are passed over, and so are
        rows that cannot be loaded.

    Raises:
        WarehouseHeld: another process has the warehouse open.
        WarehouseError: the warehouse cannot be opened or written.
    """
    try:
        with connect(store / WAREHOUSE, patience=patience) as connection, told(store / WAREHOUSE):
            return _load(connection, store, step_ids, () if study is None else (study,))
    except WarehouseUnreadable as error:
        kept = set_aside(store / WAREHOUSE)
        made_again = (
            "The warehouse could not be read and was made again from the store's files; the old one is"
            f" {kept}. {error}"
        )
        return (made_again, *rebuild(store))


def rebuild(store: Path) -> tuple[str, ...]:
    """Make the warehouse again from everything in the store: aside at first, then in the old one's place.
    Returns as `load_store`.

    Raises:
        WarehouseError: there is no store, another process has the old one open, or no new one can be written.
            The old one stays as it is then.
    """
    if not store.is_dir():
        raise WarehouseError(f"{store} is no store: there is nothing to make a warehouse from")
    wait_until_free(store / WAREHOUSE)
    return make_warehouse(store, store / WAREHOUSE)


def make_warehouse(store: Path, path: Path) -> tuple[str, ...]:
    """Make a warehouse from everything in the store, and put it at `path`. Returns as `load_store`; raises
    WarehouseError."""
    notes: list[str] = []
    studies = list(_records(sorted((store / "experiments").glob("*.json")), Study, notes))
    step_ids = [
        folder.name
        for folder in sorted((store / "steps").glob("*"))
        if re.fullmatch("[a-z_]+-[0-9a-f]{16}", folder.name)
    ]
    with made_aside(path) as connection:
        return (*notes, *_load(connection, store, step_ids, studies))


def load_study(connection: duckdb.DuckDBPyConnection, study: Study) -> None:
    """Put a study, its cells and its contrasts in the place of what was known of it."""
    with told(f"study {study.experiment}"), transaction(connection):
        text = study.model_dump_json()
        run_file(
            connection,
            HERE / "loads" / "study.sql",
            experiment=study.experiment,
            study=text,
            study_sha256=_sha256(text),
        )
        for table in kept_tables():
            connection.execute(f"delete from {table} where experiment = ?", [study.experiment])
        run_file(connection, HERE / "loads" / "stale_study.sql", experiment=study.experiment)


@dataclass(frozen=True, slots=True)
class _Finished:
    """A step to load."""

    step_id: StepId
    settings: str
    outcome: str
    sha256: str
    """Of `outcome.json` as it was read."""
    rows: Path
    size: int
    """Bytes of its rows."""


def _finished(folder: Path, outcome: bytes) -> _Finished:
    """Read what is to be known of a step before its rows are, which must be as they were written. Raises
    WarehouseError."""
    found = _parse(_text(outcome, folder / "outcome.json"), Outcome, folder / "outcome.json")
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
        if written is not None and _file_sha256(file) != written.sha256:
            raise WarehouseError(
                f"{file}: is not as it was written. `xp apply` on its spec makes the step again."
            )
    sha256 = hashlib.sha256(outcome).hexdigest()
    return _Finished(
        folder.name, _read(folder / "step.json"), found.model_dump_json(), sha256, rows.absolute(), size
    )


def _load_batches(connection: duckdb.DuckDBPyConnection, steps: Iterable[_Finished]) -> list[str]:
    """Load many steps, as many at once as it is good for. Returns what could not be loaded, in sentences.

    Rows may come to lie in any order, which takes a third less time: whoever reads them says in which order.
    """
    batch: list[_Finished] = []
    notes: list[str] = []
    connection.execute("set preserve_insertion_order = false")
    try:
        for step in steps:
            if batch and (
                len(batch) >= _MOST_STEPS or sum(one.size for one in batch) + step.size > _MOST_BYTES
            ):
                notes += _load_batch(connection, batch)
                batch = []
            batch.append(step)
        if batch:
            notes += _load_batch(connection, batch)
    finally:
        connection.execute("reset preserve_insertion_order")
    return notes


def _load_batch(connection: duckdb.DuckDBPyConnection, batch: Sequence[_Finished]) -> list[str]:
    """Together or, where a step is at fault, each by itself, and that one row by row."""
    try:
        _load_steps(connection, batch)
    except WarehouseUnreadable:
        raise
    except WarehouseError as error:
        if len(batch) > 1:
            return [note for step in batch for note in _load_batch(connection, [step])]
        return [_load_row_by_row(connection, batch[0], error)]
    return []


def _load_row_by_row(connection: duckdb.DuckDBPyConnection, step: _Finished, error: WarehouseError) -> str:
    """Load those rows of a step that can be loaded; in the place of each other, why it cannot. Returns what
    to tell of it."""
    with tempfile.TemporaryDirectory() as folder:
        repaired = Path(folder) / step.step_id / step.rows.name  # rows are known by the folder they lie in
        repaired.parent.mkdir()
        n_rows = rows_that_load.repair(step.rows, repaired, _LONGEST_ROW)
        try:
            _load_steps(connection, [replace(step, rows=repaired, size=repaired.stat().st_size)])
        except WarehouseUnreadable:
            raise
        except WarehouseError:
            return f"{step.step_id} cannot be loaded: {error}"
    return f"{step.step_id}: {n_rows} of its rows cannot be loaded as they are, and say why: {error}"


def _load_steps(connection: duckdb.DuckDBPyConnection, steps: Sequence[_Finished]) -> None:
    """All of these in one transaction."""
    step_ids = [step.step_id for step in steps]
    by_kind: dict[str, list[_Finished]] = {}
    for step in steps:
        by_kind.setdefault(_ROWS[step.step_id.partition("-")[0]][0], []).append(step)
    with told(steps[0].rows), transaction(connection):
        ((n_loaded,),) = connection.execute(
            "select count(*) from steps where step_id in (select unnest($1))", [step_ids]
        ).fetchall()
        if n_loaded:
            run_file(connection, HERE / "loads" / "forget.sql", step_ids=step_ids)
        made = {
            "outcomes": [step.outcome for step in steps],
            "outcome_sha256s": [step.sha256 for step in steps],
        }
        run_file(connection, HERE / "loads" / "step.sql", settings=[step.settings for step in steps], **made)
        run_file(connection, HERE / "loads" / "stale.sql", step_ids=step_ids)
        for load, alike in by_kind.items():
            longest = min(max(2**20, *(step.size for step in alike)), _LONGEST_ROW)
            run_file(
                connection, HERE / "loads" / load, paths=[plain(step.rows) for step in alike], longest=longest
            )


def load_runs(connection: duckdb.DuckDBPyConnection, runs: Path) -> list[str]:
    """Load every attempt in the folder that is not there yet. A run's file is written once and never changes.
    Returns what cannot be read."""
    known = {run_id for (run_id,) in connection.execute("select run_id from runs").fetchall()}
    notes: list[str] = []
    files = [file for file in sorted(runs.glob("*.json")) if file.stem not in known]
    new = [run.model_dump_json() for run in _records(files, Run, notes)]
    if new:
        with told(runs), transaction(connection):
            run_file(connection, HERE / "loads" / "runs.sql", runs=f"[{','.join(new)}]")
    return notes


def load_labels(connection: duckdb.DuckDBPyConnection, folder: Path) -> None:
    """Load every file of labels that is new and take out what lies there no more."""
    files = {(file.parent.name, file.stem): file for file in sorted(folder.glob("*/*.jsonl"))}
    found = {place: _sha256(_read(file)) for place, file in files.items()}
    rows = connection.execute("select distinct experiment, judge, file_sha256 from labels").fetchall()
    loaded = {(experiment, judge): sha256 for experiment, judge, sha256 in rows}
    changed = sorted(place for place in {*found, *loaded} if found.get(place) != loaded.get(place))
    for place in changed:
        with told(files.get(place, folder)), transaction(connection):
            experiment, judge = place
            run_file(connection, HERE / "loads" / "stale_study.sql", experiment=experiment)
            connection.execute("delete from labels where experiment = ? and judge = ?", [experiment, judge])
            if place in files:
                made = {
                    "path": plain(files[place]),
                    "file_sha256": found[place],
                    "longest": _longest(files[place]),
                }
                run_file(
                    connection, HERE / "loads" / "labels.sql", experiment=experiment, judge=judge, **made
                )


def _load(
    connection: duckdb.DuckDBPyConnection, store: Path, step_ids: Iterable[StepId], studies: Sequence[Study]
) -> tuple[str, ...]:
    steps, notes = store / "steps", list[str]()
    outcomes = {step_id: _outcome(f"{steps}/{step_id}") for step_id in step_ids}
    loaded: dict[str, str] = dict(connection.execute("select step_id, outcome_sha256 from steps").fetchall())
    known: dict[str, str] = dict(
        connection.execute("select experiment, study_sha256 from experiments").fetchall()
    )
    left = [step_id for step_id in loaded if outcomes.get(step_id) is None]
    if studies and (
        gone := [step_id for step_id in left if not os.path.exists(f"{steps}/{step_id}/outcome.json")]
    ):
        with told(store), transaction(connection):
            run_file(connection, HERE / "loads" / "stale.sql", step_ids=gone)
            run_file(connection, HERE / "loads" / "forget.sql", step_ids=gone)
    for study in studies:
        if _sha256(study.model_dump_json()) != known.get(study.experiment):
            load_study(connection, study)
    notes += _load_batches(connection, _new(steps, outcomes, loaded, notes))
    notes += load_runs(connection, store / "runs")
    load_labels(connection, store / "labels")
    if is_stale(connection):
        # numpy and scipy, which loading nothing does not need
        from warehouse.statistics.refresh import refresh_stale

        refresh_stale(connection)
    return tuple(notes)


def _new(
    steps: Path, outcomes: Mapping[StepId, bytes | None], loaded: Mapping[StepId, str], notes: list[str]
) -> Iterator[_Finished]:
    """Steps that are not loaded as they are now; of those that cannot be read, what to tell."""
    for step_id, outcome in outcomes.items():
        if outcome is not None and hashlib.sha256(outcome).hexdigest() != loaded.get(step_id):
            try:
                yield _finished(steps / step_id, outcome)
            except WarehouseError as error:
                notes.append(f"{step_id} is left out. {error}")


def is_stale(connection: duckdb.DuckDBPyConnection) -> bool:
    """Was something loaded since what is computed of it was computed last, also by a load that was killed?"""
    ((found,),) = connection.execute(
        "select exists (from stale_slices) or exists (from experiments where not is_computed)"
    ).fetchall()
    return bool(found)


def _parse(text: str, kind: type[_Record], file: Path) -> _Record:
    try:
        return kind.model_validate_json(text)
    except ValidationError as error:
        raise WarehouseError(
            f"{file}: cannot be read as {kind.__name__}: {why_invalid(error)}. {kind.IF_LOST}."
        ) from error


def _records(files: Iterable[Path], kind: type[_Record], notes: list[str]) -> Iterator[_Record]:
    """The files that can be read; of the others, what to tell."""
    for file in files:
        try:
            yield read_record(file, kind)
        except DataError as error:
            notes.append(f"{error}.")


def _outcome(folder: Path | str) -> bytes | None:
    """What `outcome.json` holds, nothing where the step is not finished. A bare `open`: there are tens of
    thousands of them to read."""
    try:
        with open(f"{folder}/outcome.json", "rb", buffering=0) as file:
            return file.read()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise WarehouseError(f"{folder}/outcome.json: cannot be read: {error}") from error


def _read(file: Path) -> str:
    try:
        return _text(file.read_bytes(), file)
    except OSError as error:
        raise WarehouseError(f"{file}: cannot be read: {error}") from error


def _text(content: bytes, file: Path) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise WarehouseError(f"{file}: cannot be read: {error}") from error


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _file_sha256(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise WarehouseError(f"{path}: cannot be read: {error}") from error


def _longest(rows: Path) -> int:
    return min(max(rows.stat().st_size, 2**20), _LONGEST_ROW)
