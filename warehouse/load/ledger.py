"""Loads the ledger: the plans that were applied to a store."""

from pathlib import Path

import duckdb

from dsl.plan.ledger import LedgerEntry
from warehouse.errors import duckdb_errors
from warehouse.load.files import records
from warehouse.load.steps import SQL
from warehouse.statements import run_file, transaction


def load_ledger(connection: duckdb.DuckDBPyConnection, folder: Path) -> list[str]:
    """Put the plans of the folder, of which there are few, in the place of those that were loaded. Returns
    what cannot be read."""
    notes: list[str] = []
    plans = [entry.model_dump_json() for entry in records(sorted(folder.glob("*.json")), LedgerEntry, notes)]
    with duckdb_errors(folder), transaction(connection):
        run_file(connection, SQL / "ledger.sql", plans=f"[{','.join(plans)}]")
    return notes
