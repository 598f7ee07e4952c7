"""Takes what a store holds into the warehouse. The store is the truth: what is loaded twice is there once, and all of it can be made again.

    experiments/<experiment>.json   → experiments, experiment_steps, cells, judges, cell_judges, cell_training, contrasts
    steps/<step_id>/                → steps, and by its kind examples, prompts and step_completions, step_verdicts, train_metrics
    runs/<run_id>.json              → runs
    labels/<experiment>/<judge>.jsonl  → labels

Rows go from JSON lines to the table inside DuckDB and never through Python. What a model wrote is never part of a statement.
"""

import hashlib
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import duckdb
from pydantic import ValidationError

from dsl.errors import WarehouseError
from dsl.plan import Study
from dsl.records import Outcome, Run
from dsl.values import StepId, Value
from dsl.words import one_line
from warehouse.connect import HERE, WAREHOUSE, connect, kept_tables, run_file, told, transaction, wait_until_free

_Record = TypeVar("_Record", bound=Value)

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
"""Bytes of the longest JSON line that can be loaded; DuckDB sets aside a few times as much for each thread."""

_MOST_STEPS, _MOST_BYTES = 500, 256 * 2**20
"""What is loaded in one transaction: small steps together, since each transaction has its price, and no more than memory holds with ease."""


def load_store(store: Path, step_ids: Iterable[StepId], study: Study | None = None) -> None:
    """Load a study, steps, and every new run and label into the store's warehouse, which is open only for as long as that takes.

    Steps that are not finished are passed over, and so are those loaded before, unless they were made again since. With a study, steps
    that the store holds no more are taken out.

    Raises:
        WarehouseError: the warehouse cannot be opened, or a file of the store cannot be read.
    """
    with connect(store / WAREHOUSE) as connection:
        _load(connection, store, step_ids, () if study is None else (study,))


def rebuild(store: Path) -> None:
    """Make the warehouse again from everything in the store: aside at first, then in the old one's place.

    Raises:
        WarehouseError: there is no store, another process has the old one open, or a file of the store cannot be read. The old one stays as it is then.
    """
    if not store.is_dir():
        raise WarehouseError(f"{store} is no store: there is nothing to make a warehouse from")
    old, new = store / WAREHOUSE, store / f"{WAREHOUSE}.new"
    wait_until_free(old)
    for left_over in (new, _log(new)):
        left_over.unlink(missing_ok=True)
    studies = [_parse(_read(file), Study, file) for file in sorted((store / "experiments").glob("*.json"))]
    step_ids = [folder.name for folder in sorted((store / "steps").glob("*")) if re.fullmatch("[a-z_]+-[0-9a-f]{16}", folder.name)]
    with connect(new) as connection:
        _load(connection, store, step_ids, studies)
    _log(old).unlink(missing_ok=True)  # or DuckDB would play the old one's last changes into the new one
    new.replace(old)


def load_study(connection: duckdb.DuckDBPyConnection, study: Study) -> None:
    """Put a study, its cells and its contrasts in the place of what was known of it."""
    with told(f"study {study.experiment}"), transaction(connection):
        text = study.model_dump_json()
        run_file(connection, HERE / "loads" / "study.sql", experiment=study.experiment, study=text, study_sha256=_sha256(text))
        for table in kept_tables():
            connection.execute(f"delete from {table} where experiment = ?", [study.experiment])
        run_file(connection, HERE / "loads" / "stale_study.sql", experiment=study.experiment)


def load_step(connection: duckdb.DuckDBPyConnection, folder: Path) -> None:
    """Put a finished step and its rows in the place of what was loaded of it before. A folder without `outcome.json` loads nothing.

    Raises:
        WarehouseError: a file is missing or cannot be read, or an item is there twice. Nothing of the step is changed then.
    """
    outcome = _outcome(folder)
    if outcome is not None:
        _load_steps(connection, [_finished(folder, outcome)])


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
    """Read what is to be known of a step before its rows are. Raises WarehouseError."""
    found = _parse(_text(outcome, folder / "outcome.json"), Outcome, folder / "outcome.json")
    if found.step_id != folder.name:
        raise WarehouseError(f"{folder / 'outcome.json'}: this is the outcome of {found.step_id}.")
    rows = folder / _ROWS[folder.name.partition("-")[0]][1]
    try:
        size = rows.stat().st_size
    except FileNotFoundError:  # DuckDB would take the path for a pattern
        raise WarehouseError(f"{rows}: is missing. Delete {folder}, and `xp apply` makes the step again.") from None
    sha256 = hashlib.sha256(outcome).hexdigest()
    return _Finished(folder.name, _read(folder / "step.json"), found.model_dump_json(), sha256, rows.absolute(), size)


def _load_batches(connection: duckdb.DuckDBPyConnection, steps: Iterable[_Finished]) -> None:
    """Load many steps, as many at once as it is good for. Where one is at fault, those before it are loaded and it is named.

    Rows may come to lie in any order, which takes a third less time: whoever reads them says in which order.
    """
    batch: list[_Finished] = []
    connection.execute("set preserve_insertion_order = false")
    try:
        for step in steps:
            if batch and (len(batch) >= _MOST_STEPS or sum(one.size for one in batch) + step.size > _MOST_BYTES):
                full, batch = batch, []
                _load_batch(connection, full)
            batch.append(step)
    finally:
        if batch:
            _load_batch(connection, batch)
        connection.execute("reset preserve_insertion_order")


def _load_batch(connection: duckdb.DuckDBPyConnection, batch: Sequence[_Finished]) -> None:
    try:
        _load_steps(connection, batch)
    except WarehouseError:
        if len(batch) == 1:
            raise
        for step in batch:
            _load_steps(connection, [step])


def _load_steps(connection: duckdb.DuckDBPyConnection, steps: Sequence[_Finished]) -> None:
    """All of these in one transaction."""
    step_ids = [step.step_id for step in steps]
    by_kind: dict[str, list[_Finished]] = {}
    for step in steps:
        by_kind.setdefault(_ROWS[step.step_id.partition("-")[0]][0], []).append(step)
    with told(steps[0].rows), transaction(connection):
        ((n_loaded,),) = connection.execute("select count(*) from steps where step_id in (select unnest($1))", [step_ids]).fetchall()
        if n_loaded:
            run_file(connection, HERE / "loads" / "forget.sql", step_ids=step_ids)
        made = {"outcomes": [step.outcome for step in steps], "outcome_sha256s": [step.sha256 for step in steps]}
        run_file(connection, HERE / "loads" / "step.sql", settings=[step.settings for step in steps], **made)
        run_file(connection, HERE / "loads" / "stale.sql", step_ids=step_ids)
        for load, alike in by_kind.items():
            longest = min(max(2**20, *(step.size for step in alike)), _LONGEST_ROW)
            run_file(connection, HERE / "loads" / load, paths=[str(step.rows) for step in alike], longest=longest)


def load_runs(connection: duckdb.DuckDBPyConnection, runs: Path) -> None:
    """Load every attempt in the folder that is not there yet. A run's file is written once and never changes."""
    known = {run_id for (run_id,) in connection.execute("select run_id from runs").fetchall()}
    new = [_parse(_read(file), Run, file).model_dump_json() for file in sorted(runs.glob("*.json")) if file.stem not in known]
    if new:
        with told(runs), transaction(connection):
            run_file(connection, HERE / "loads" / "runs.sql", runs=f"[{','.join(new)}]")


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
                made = {"path": str(files[place].absolute()), "file_sha256": found[place], "longest": _longest(files[place])}
                run_file(connection, HERE / "loads" / "labels.sql", experiment=experiment, judge=judge, **made)


def _load(connection: duckdb.DuckDBPyConnection, store: Path, step_ids: Iterable[StepId], studies: Sequence[Study]) -> None:
    steps = store / "steps"
    outcomes = {step_id: _outcome(f"{steps}/{step_id}") for step_id in step_ids}
    loaded: dict[str, str] = dict(connection.execute("select step_id, outcome_sha256 from steps").fetchall())
    known: dict[str, str] = dict(connection.execute("select experiment, study_sha256 from experiments").fetchall())
    left = [step_id for step_id in loaded if outcomes.get(step_id) is None]
    if studies and (gone := [step_id for step_id in left if not os.path.exists(f"{steps}/{step_id}/outcome.json")]):
        with told(store), transaction(connection):
            run_file(connection, HERE / "loads" / "stale.sql", step_ids=gone)
            run_file(connection, HERE / "loads" / "forget.sql", step_ids=gone)
    for study in studies:
        if _sha256(study.model_dump_json()) != known.get(study.experiment):
            load_study(connection, study)
    new = (
        _finished(steps / step_id, outcome)
        for step_id, outcome in outcomes.items()
        if outcome is not None and hashlib.sha256(outcome).hexdigest() != loaded.get(step_id)
    )
    _load_batches(connection, new)
    load_runs(connection, store / "runs")
    load_labels(connection, store / "labels")
    if is_stale(connection):
        from warehouse.statistics.refresh import refresh_stale  # numpy and scipy, which loading nothing does not need

        refresh_stale(connection)


def is_stale(connection: duckdb.DuckDBPyConnection) -> bool:
    """Was something loaded since what is computed of it was computed last, also by a load that was killed?"""
    ((found,),) = connection.execute("select exists (from stale_slices) or exists (from experiments where not is_computed)").fetchall()
    return bool(found)


def _parse(text: str, kind: type[_Record], file: Path) -> _Record:
    try:
        return kind.model_validate_json(text)
    except ValidationError as error:
        again = " `xp apply` on its spec writes it again." if kind is Study else ""
        raise WarehouseError(f"{file}: cannot be read as {kind.__name__}: {one_line(str(error))}{again}") from error


def _outcome(folder: Path | str) -> bytes | None:
    """What `outcome.json` holds, nothing where the step is not finished. A bare `open`: there are tens of thousands of them to read."""
    try:
        with open(f"{folder}/outcome.json", "rb", buffering=0) as file:
            return file.read()
    except FileNotFoundError:
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


def _longest(rows: Path) -> int:
    return min(max(rows.stat().st_size, 2**20), _LONGEST_ROW)


def _log(database: Path) -> Path:
    """Where DuckDB keeps changes that are not in the file yet."""
    return database.with_name(database.name + ".wal")
