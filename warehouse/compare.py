"""Compares a warehouse with the one that the store's files give."""

import tempfile
from pathlib import Path

import duckdb

from warehouse.connect import WAREHOUSE
from warehouse.errors import duckdb_errors
from warehouse.load import make_warehouse

DECIMALS = 6
"""Digits by which computed numbers are compared. DuckDB adds in parallel, in whatever order: last digits
differ, and a standard error of 0 is the root of what rounding leaves, up to 1e-8."""

_STATE = {"made_from", "stale_slices"}
"""Tables about the warehouse itself."""


def differences(store: Path) -> tuple[str, ...]:
    """List the tables of a store's warehouse, statistics included, that differ from its files, in sentences.

    Empty where there is no warehouse.

    Raises:
        WarehouseError: the warehouse cannot be read, or no other can be made beside it.
    """
    if not (store / WAREHOUSE).exists():
        return ()
    with tempfile.TemporaryDirectory(dir=store, prefix="verify-") as folder:
        fresh = Path(folder) / WAREHOUSE
        notes = make_warehouse(store, fresh)
        with duckdb.connect() as connection, duckdb_errors(store / WAREHOUSE):
            for name, path in (("held", store / WAREHOUSE), ("fresh", fresh)):
                connection.execute(f"attach {_quoted(path)} as {name} (read_only)")
            asked = (
                "select table_name from duckdb_tables() where database_name = 'fresh' and not internal order"
                " by all"
            )
            tables = [name for (name,) in connection.execute(asked).fetchall() if name not in _STATE]
            unlike = [name for name in tables if n_unlike(connection, name)]
    return (
        *notes,
        *(
            f"{store / WAREHOUSE}: the table {name} is not as the files give it. `xp rebuild` makes it again."
            for name in unlike
        ),
    )


def n_unlike(connection: duckdb.DuckDBPyConnection, table: str) -> int:
    """Return the number of rows of a table that one of `held` and `fresh` has and the other has not."""
    described = connection.execute(f'describe held."{table}"').fetchall()
    columns = ", ".join(
        f'round("{name}", {DECIMALS})' if kind == "DOUBLE" else f'"{name}"' for name, kind, *_ in described
    )
    sql = " union all ".join(
        f'(select {columns} from {one}."{table}" except all select {columns} from {other}."{table}")'
        for one, other in (("held", "fresh"), ("fresh", "held"))
    )
    ((n,),) = connection.execute(f"select count(*) from ({sql})").fetchall()
    return int(n)


def _quoted(path: Path) -> str:
    return "'" + str(path).replace("'", "''") + "'"
