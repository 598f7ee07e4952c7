"""Loads attempts at steps, and the labels that people gave to answers."""

from pathlib import Path

import duckdb

from dsl.data.records import Run
from warehouse.errors import duckdb_errors
from warehouse.load.files import read_text, records, sha256_of
from warehouse.load.plain_path import plain
from warehouse.load.steps import LONGEST_ROW, SQL
from warehouse.statements import run_file, transaction


def load_runs(connection: duckdb.DuckDBPyConnection, runs: Path) -> list[str]:
    """Load every attempt in the folder that is not there yet. A run's file is written once and never changes.
    Returns what cannot be read."""
    known = {run_id for (run_id,) in connection.execute("select run_id from runs").fetchall()}
    notes: list[str] = []
    files = [file for file in sorted(runs.glob("*.json")) if file.stem not in known]
    new = [run.model_dump_json() for run in records(files, Run, notes)]
    if new:
        with duckdb_errors(runs), transaction(connection):
            run_file(connection, SQL / "runs.sql", runs=f"[{','.join(new)}]")
    return notes


def load_labels(connection: duckdb.DuckDBPyConnection, folder: Path) -> None:
    """Load every file of labels that is new and take out what lies there no more."""
    files = {(file.parent.name, file.stem): file for file in sorted(folder.glob("*/*.jsonl"))}
    found = {place: sha256_of(read_text(file)) for place, file in files.items()}
    rows = connection.execute("select distinct experiment, judge, file_sha256 from labels").fetchall()
    loaded = {(experiment, judge): sha256 for experiment, judge, sha256 in rows}
    changed = sorted(place for place in {*found, *loaded} if found.get(place) != loaded.get(place))
    for place in changed:
        with duckdb_errors(files.get(place, folder)), transaction(connection):
            experiment, judge = place
            run_file(connection, SQL / "stale_study.sql", experiment=experiment)
            connection.execute("delete from labels where experiment = ? and judge = ?", [experiment, judge])
            if place in files:
                made = {
                    "path": plain(files[place]),
                    "file_sha256": found[place],
                    "longest": _longest(files[place]),
                }
                run_file(connection, SQL / "labels.sql", experiment=experiment, judge=judge, **made)


def _longest(rows: Path) -> int:
    return min(max(rows.stat().st_size, 2**20), LONGEST_ROW)
