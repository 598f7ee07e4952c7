"""DuckLake as a warehouse: its rows are Parquet files in the store, its catalogue is in PostgreSQL.

A connection is used as one to a file: the DuckLake is its default database. Any number of processes read
while one writes. Writers take turns: DuckLake knows no primary keys and takes two inserts for no conflict, so
that two who load one step at once would both leave its rows. The turn is an advisory lock of PostgreSQL,
which is let go when its session ends, however it ends.
"""

import re
import time
import weakref
from importlib.util import find_spec
from pathlib import Path

import duckdb

from dsl.data.warehouse_address import read_address
from dsl.errors import WarehouseError
from warehouse.errors import WarehouseHeld, warehouse_error

NAME = "lake"
"""Name of the database in a connection."""

UNFINISHED = "unfinished"
"""Table that a DuckLake has while it is filled anew: one that was stopped half way is not taken for whole."""

_EXTENSIONS = ("ducklake", "postgres_scanner")

_LOCK = "7870, 1"
"""Number of the lock in the catalogue's database: any that others do not use."""


def open_lake(path: Path, read_only: bool, patience: float, memory_limit: str) -> duckdb.DuckDBPyConnection:
    """Connect to the DuckLake whose address is in `path`; a writer waits for its turn, at most `patience`
    seconds.

    Raises:
        WarehouseHeld: another process writes.
        WarehouseError: no server answers there, or DuckDB's extensions are not installed.
    """
    settings = {"temp_directory": f"{path}.tmp", "memory_limit": memory_limit}
    connection = duckdb.connect(config={**settings, "autoinstall_known_extensions": False})
    try:
        attach_lake(connection, path, NAME, read_only)
        connection.execute(f"use {NAME}")
        if read_only:
            connection.execute("set enable_external_access = false; set lock_configuration = true")
        else:
            _take_turn(connection, path, patience)
    except BaseException as error:
        connection.close()
        if isinstance(error, duckdb.Error):
            raise warehouse_error(path, error) from error
        raise
    return connection


def attach_lake(connection: duckdb.DuckDBPyConnection, path: Path, name: str, read_only: bool) -> None:
    """Attach the DuckLake whose address is in `path`; a writer makes it where there is none yet."""
    address, rows = read_address(path), path.absolute().with_name("warehouse.lake")
    if odd := re.search(r"[*?\[\\]", str(rows)):
        raise WarehouseError(
            f"{rows}: DuckLake finds no file below a folder with `{odd[0]}` in its name. Name another folder"
            " by `--store`"
        )
    _load_extensions(connection, path)
    [(reached,)] = connection.execute("select current_setting('allowed_directories')").fetchall()
    connection.execute(f"set allowed_directories = [{', '.join(map(_quoted, (*reached, str(rows))))}]")
    # all rows in the files: few rows in the catalogue's own tables would take many questions to the server
    options = f"data_path {_quoted(str(rows))}, data_inlining_row_limit 0{', read_only' if read_only else ''}"
    connection.execute(f"attach {_quoted(address)} as {name} ({options})")


def without_keys(schema: str) -> str:
    """Return the SQL of tables as DuckLake takes it: without primary keys, and with the largest whole numbers
    as `decimal(38, 0)`: Parquet files hold a `hugeint` as a rounded `double`."""
    text = re.sub(r",\n\s*primary key \([^)]*\)", "", schema)
    return text.replace(" primary key", " not null").replace(" hugeint", " decimal(38, 0)")


def emptied(connection: duckdb.DuckDBPyConnection) -> None:
    """Drop all views and tables in one transaction, which no reader sees half of, and mark it unfinished."""
    found = connection.execute(
        "select 'view', view_name from duckdb_views() where database_name = $1 and not internal union all"
        " select 'table', table_name from duckdb_tables() where database_name = $1 and not internal",
        [NAME],
    ).fetchall()
    connection.begin()
    for kind, name in found:
        connection.execute(f'drop {kind} "{name}"')
    connection.execute(f"create table {UNFINISHED} (part varchar)")
    connection.commit()


def swept(connection: duckdb.DuckDBPyConnection) -> None:
    """Remove the files of rows that no table has had for a day, and those of writers who were killed."""
    for left_over in ("expire_snapshots", "cleanup_old_files", "delete_orphaned_files"):
        connection.execute(
            f"select count(*) from ducklake_{left_over}('{NAME}', older_than => now() - interval '1 day')"
        ).fetchall()


def _take_turn(connection: duckdb.DuckDBPyConnection, path: Path, patience: float) -> None:
    """Take the lock in a transaction beside the connection's own, which ends with the connection."""
    beside = connection.cursor()
    beside.begin()
    until = time.monotonic() + patience
    while not _asked(beside, f"select pg_try_advisory_xact_lock({_LOCK})"):
        if time.monotonic() >= until:
            holder = _asked(
                beside,
                "select format('session %s of %s', pid, usename) from pg_locks join pg_stat_activity using"
                f" (pid) where locktype = 'advisory' and granted and (classid, objid) = ({_LOCK}) limit 1",
            )
            raise WarehouseHeld(
                f"{path}: another process writes to the warehouse (PostgreSQL: {holder}) and did not end"
                f" within {patience:g} s. Wait until it is done, and try again."
            )
        time.sleep(0.05)
    weakref.finalize(connection, beside.close)  # to be held as long; `close` of the connection closes it too


def _asked(connection: duckdb.DuckDBPyConnection, sql: str) -> object:
    """The one value that PostgreSQL answers."""
    catalogue = f"__ducklake_metadata_{NAME}"
    found = connection.execute(f"from postgres_query('{catalogue}', {_quoted(sql)})").fetchone()
    return found and found[0]


def _load_extensions(connection: duckdb.DuckDBPyConnection, path: Path) -> None:
    for name in _EXTENSIONS:
        package = find_spec(f"duckdb_extension_{name}")
        folder = Path(package.origin).parent if package is not None and package.origin else Path()
        file = folder / "extensions" / f"v{duckdb.__version__}" / f"{name}.duckdb_extension"
        try:
            connection.execute(f"load {_quoted(str(file)) if file.is_file() else name}")
        except duckdb.Error as error:
            raise WarehouseError(
                f"{path}: DuckDB {duckdb.__version__} has no extension {name} here, which a DuckLake needs."
                ' Packages with it are for DuckDB 1.5.5: pip install "xp-lab[ducklake]". With a network,'
                f" `install {name}` in DuckDB fetches that of any release"
            ) from error


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
