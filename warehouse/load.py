"""Takes what a store holds into the warehouse. The store is the truth: what is loaded twice is there once, and all of it can be made again.

    experiments/<experiment>.json   → experiments, experiment_steps, cells, cell_judges, cell_training, contrasts
    steps/<step_id>/                → steps, and by its kind examples, prompts and step_completions, step_verdicts, train_metrics
    runs/<run_id>.json              → runs
    labels/<experiment>/<judge>.jsonl  → labels

Rows go from JSON lines to the table inside DuckDB and never through Python. What a model wrote is never part of a statement.
"""

import hashlib
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TypeVar

import duckdb
from pydantic import ValidationError

from dsl.errors import WarehouseError
from dsl.plan import Study
from dsl.records import Outcome, Run
from dsl.values import StepId, Value
from dsl.words import one_line
from warehouse.connect import HERE, WAREHOUSE, connect, run_file, told, transaction, wait_until_free

_Record = TypeVar("_Record", bound=Value)

_ROWS = {
    "data": ("data.sql", "examples.jsonl"),
    "sft": ("training.sql", "metrics.jsonl"),
    "reference": ("reference.sql", "ref_logps.jsonl"),
    "dpo": ("training.sql", "metrics.jsonl"),
    "generate": ("generate.sql", "completions.jsonl"),
    "judge": ("judge.sql", "verdicts.jsonl"),
}
"""A step's kind -> what loads its rows, and from which file."""

_LONGEST_ROW = 64 * 2**20
"""Bytes of the longest JSON line that can be loaded; DuckDB sets aside a few times as much for each thread."""


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
    step_ids = [folder.name for folder in sorted((store / "steps").glob("*")) if re.fullmatch("[a-z]+-[0-9a-f]{12}", folder.name)]
    with connect(new) as connection:
        _load(connection, store, step_ids, studies)
    _log(old).unlink(missing_ok=True)  # or DuckDB would play the old one's last changes into the new one
    new.replace(old)


def load_study(connection: duckdb.DuckDBPyConnection, study: Study) -> None:
    """Put a study, its cells and its contrasts in the place of what was known of it."""
    with told(f"study {study.experiment}"), transaction(connection):
        text = study.model_dump_json()
        run_file(connection, HERE / "loads" / "study.sql", experiment=study.experiment, study=text, study_sha256=_sha256(text))


def load_step(connection: duckdb.DuckDBPyConnection, folder: Path) -> None:
    """Put a finished step and its rows in the place of what was loaded of it before. A folder without `outcome.json` loads nothing.

    Raises:
        WarehouseError: a file is missing or cannot be read, or an item is there twice. Nothing of the step is changed then.
    """
    if not (folder / "outcome.json").exists():
        return
    step_id = folder.name
    settings, found = _read(folder / "step.json"), _read(folder / "outcome.json")
    outcome = _parse(found, Outcome, folder / "outcome.json")
    if outcome.step_id != step_id:
        raise WarehouseError(f"{folder / 'outcome.json'}: this is the outcome of {outcome.step_id}.")
    load, name = _ROWS[step_id.partition("-")[0]]
    rows = folder / name
    if not rows.exists():  # DuckDB would take the path for a pattern
        raise WarehouseError(f"{rows}: is missing. Delete {folder}, and `xp apply` makes the step again.")
    with told(rows), transaction(connection):
        run_file(connection, HERE / "loads" / "forget.sql", step_id=step_id)
        made = {"outcome": outcome.model_dump_json(), "outcome_sha256": _sha256(found)}
        run_file(connection, HERE / "loads" / "step.sql", settings=settings, **made)
        run_file(connection, HERE / "loads" / load, step_id=step_id, path=str(rows.absolute()), longest=_longest(rows))


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
            connection.execute("update experiments set is_computed = false where experiment = ?", [experiment])
            connection.execute("delete from labels where experiment = ? and judge = ?", [experiment, judge])
            if place in files:
                made = {"path": str(files[place].absolute()), "file_sha256": found[place], "longest": _longest(files[place])}
                run_file(connection, HERE / "loads" / "labels.sql", experiment=experiment, judge=judge, **made)


def _load(connection: duckdb.DuckDBPyConnection, store: Path, step_ids: Iterable[StepId], studies: Sequence[Study]) -> None:
    def outcome(step_id: StepId) -> Path:
        return store / "steps" / step_id / "outcome.json"

    loaded: dict[str, str] = dict(connection.execute("select step_id, outcome_sha256 from steps").fetchall())
    known: dict[str, str] = dict(connection.execute("select experiment, study_sha256 from experiments").fetchall())
    if studies:
        for gone in [step_id for step_id in loaded if not outcome(step_id).exists()]:
            with told(gone), transaction(connection):
                run_file(connection, HERE / "loads" / "forget.sql", step_id=gone)
    for study in studies:
        if _sha256(study.model_dump_json()) != known.get(study.experiment):
            load_study(connection, study)
    for step_id in step_ids:
        if outcome(step_id).exists() and _sha256(_read(outcome(step_id))) != loaded.get(step_id):
            load_step(connection, outcome(step_id).parent)
    load_runs(connection, store / "runs")
    load_labels(connection, store / "labels")
    _compute(connection)


def _compute(connection: duckdb.DuckDBPyConnection) -> None:
    """Statistics of every study of which something was loaded since they were computed last, also by a load that was killed."""
    stale = [name for (name,) in connection.execute("select experiment from experiments where not is_computed order by all").fetchall()]
    if stale:
        from warehouse.statistics.refresh import refresh  # numpy and scipy, which loading nothing does not need

        for experiment in stale:
            with told(f"statistics of {experiment}"), transaction(connection):
                refresh(connection, experiment)
                connection.execute("update experiments set is_computed = true where experiment = ?", [experiment])


def _parse(text: str, kind: type[_Record], file: Path) -> _Record:
    try:
        return kind.model_validate_json(text)
    except ValidationError as error:
        raise WarehouseError(f"{file}: cannot be read as {kind.__name__}: {one_line(str(error))}") from error


def _read(file: Path) -> str:
    try:
        return file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise WarehouseError(f"{file}: cannot be read: {error}") from error


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _longest(rows: Path) -> int:
    return min(max(rows.stat().st_size, 2**20), _LONGEST_ROW)


def _log(database: Path) -> Path:
    """Where DuckDB keeps changes that are not in the file yet."""
    return database.with_name(database.name + ".wal")
