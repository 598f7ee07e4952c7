"""Loads a store into its warehouse.

The store is the truth: rows that are loaded twice are there once, and all of it can be made again.

    experiments/<experiment>.json   → experiments, experiment_steps, cells, judges, cell_judges,
    cell_training, contrasts steps/<step_id>/                → steps, and by its kind examples, prompts and
    step_completions, step_verdicts, train_metrics, trials runs/<run_id>.json              → runs
    labels/<experiment>/<judge>.jsonl  → labels

Rows go from JSON lines to the table inside DuckDB and never through Python. What a model wrote is never part
of a statement.
"""

import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import duckdb

from dsl.data.warehouse_address import IN_A_FILE, LAKE, WAREHOUSE, checked_address, is_lake, warehouse_in
from dsl.errors import WarehouseError
from dsl.plan.study import Study
from dsl.values import StepId
from warehouse.connect import PATIENCE_SECONDS, connect, made_aside, remove, set_aside, wait_until_free
from warehouse.errors import WarehouseUnreadable, duckdb_errors
from warehouse.load.files import read_outcome, records, sha256_of
from warehouse.load.ledger import load_ledger
from warehouse.load.runs_and_labels import load_labels, load_runs
from warehouse.load.steps import SQL, load_batches, new_steps
from warehouse.relations import computed_tables
from warehouse.statements import run_file, transaction


def load_store(
    store: Path, step_ids: Iterable[StepId], study: Study | None = None, patience: float = PATIENCE_SECONDS
) -> tuple[str, ...]:
    """Load a study and steps. As `load_studies`."""
    return load_studies(store, step_ids, () if study is None else (study,), patience)


def load_studies(
    store: Path, step_ids: Iterable[StepId], studies: Sequence[Study], patience: float = PATIENCE_SECONDS
) -> tuple[str, ...]:
    """Load studies, steps, and every new run and label into the store's warehouse.

    It is open only for as long as that takes.

    Steps that are not finished are passed over, and so are those loaded before, unless they were made again
    since. With studies, steps that the store holds no more are taken out. A warehouse that is missing is made
    again from all that the store holds, and so is one that cannot be read, which is moved aside.

    Returns:
        What a person must be told of it, in sentences: files that cannot be read are passed over, and so are
        rows that cannot be loaded.

    Raises:
        WarehouseHeld: another process has the warehouse open.
        WarehouseError: the warehouse cannot be opened or written.
    """
    path = warehouse_in(store)
    made = () if path.exists() or not store.is_dir() else rebuild(store)
    try:
        with connect(path, patience=patience) as connection, duckdb_errors(path):
            notes = _load(connection, store, step_ids, studies)
            if is_lake(path):
                path.touch()  # as in `made_aside`
            return tuple(dict.fromkeys((*made, *notes)))
    except WarehouseUnreadable as error:
        if is_lake(path):
            raise
        moved = set_aside(path)
        made_again = (
            "The warehouse could not be read and was made again from the store's files; the old one is"
            f" {moved}. {error}"
        )
        return (made_again, *rebuild(store))


def rebuild(store: Path, address: str | None = None) -> tuple[str, ...]:
    """Make the warehouse again from everything in the store: aside at first, then in the old one's place.
    Returns as `load_store`.

    Args:
        address: Where it is from now on, a DuckLake's address or `duckdb`; without one, where it was.

    Raises:
        ArgumentError: there is no such address.
        WarehouseError: there is no store, another process has the old one open, or no new one can be written.
            The old one stays as it is then; a DuckLake says that it has to be made again.
    """
    if not store.is_dir():
        raise WarehouseError(f"{store} is no store: there is nothing to make a warehouse from")
    wait_until_free(warehouse_in(store))
    if address is None:
        return make_warehouse(store, warehouse_in(store))
    if address == IN_A_FILE:
        notes = make_warehouse(store, store / WAREHOUSE)
        (store / LAKE).unlink(missing_ok=True)
        return notes
    aside = store / f"new-{LAKE}"
    aside.write_text(f"{checked_address(address)}\n", "utf-8")
    try:
        notes = make_warehouse(store, aside)
        aside.replace(store / LAKE)
    finally:
        aside.unlink(missing_ok=True)
    remove(store / WAREHOUSE)
    return notes


def make_warehouse(store: Path, path: Path, study: Study | None = None) -> tuple[str, ...]:
    """Make a warehouse at `path` from everything in the store, or for one study, which need not be the last
    of its name, from the store's steps of it.

    Returns as `load_store`; raises WarehouseError.
    """
    notes: list[str] = []
    if study is not None:
        with made_aside(path) as connection:
            return _load(connection, store, study.step_ids, (study,))
    studies = list(records(sorted((store / "experiments").glob("*.json")), Study, notes))
    step_ids = [
        folder.name
        for folder in sorted((store / "steps").glob("*"))
        if re.fullmatch("[a-z_]+-[0-9a-f]{16}", folder.name)
    ]
    with made_aside(path) as connection:
        return (*notes, *_load(connection, store, step_ids, studies))


def load_study(connection: duckdb.DuckDBPyConnection, study: Study) -> None:
    """Put a study, its cells and its contrasts in the place of what was known of it."""
    with duckdb_errors(f"study {study.experiment}"), transaction(connection):
        text = study.model_dump_json()
        run_file(
            connection,
            SQL / "study.sql",
            experiment=study.experiment,
            study=text,
            study_sha256=sha256_of(text),
        )
        for table in computed_tables():
            connection.execute(f"delete from {table} where experiment = ?", [study.experiment])
        run_file(connection, SQL / "stale_study.sql", experiment=study.experiment)


def _load(
    connection: duckdb.DuckDBPyConnection, store: Path, step_ids: Iterable[StepId], studies: Sequence[Study]
) -> tuple[str, ...]:
    steps, notes = store / "steps", list[str]()
    outcomes = {step_id: read_outcome(f"{steps}/{step_id}") for step_id in step_ids}
    loaded: dict[str, str] = dict(connection.execute("select step_id, outcome_sha256 from steps").fetchall())
    known: dict[str, str] = dict(
        connection.execute("select experiment, study_sha256 from experiments").fetchall()
    )
    left = [step_id for step_id in loaded if outcomes.get(step_id) is None]
    if studies and (
        gone := [step_id for step_id in left if not os.path.exists(f"{steps}/{step_id}/outcome.json")]
    ):
        with duckdb_errors(store), transaction(connection):
            run_file(connection, SQL / "stale.sql", step_ids=gone)
            run_file(connection, SQL / "forget.sql", step_ids=gone)
    for study in studies:
        if sha256_of(study.model_dump_json()) != known.get(study.experiment):
            load_study(connection, study)
    notes += load_batches(connection, new_steps(steps, outcomes, loaded, notes))
    notes += load_runs(connection, store / "runs")
    notes += load_ledger(connection, store / "experiments" / "ledger")
    load_labels(connection, store / "labels")
    if is_stale(connection):
        # numpy and scipy, which loading nothing does not need
        from warehouse.statistics.refresh import refresh_stale

        refresh_stale(connection)
    return tuple(notes)


def is_stale(connection: duckdb.DuckDBPyConnection) -> bool:
    """Return whether statistics are older than what was loaded, also by a load that was killed."""
    ((found,),) = connection.execute(
        "select exists (from stale_slices) or exists (from experiments where not is_computed)"
    ).fetchall()
    return bool(found)
