"""Makes the warehouse's tables and views, and makes again those of another version of xp.

The warehouse keeps a digest of the text that its tables, its views and its statistics were made from. Where
the statistics' digest differs, they are computed again; where the loaded tables' differs, the warehouse has
to be rebuilt from the store.
"""

import hashlib
from collections.abc import Callable
from functools import cache
from pathlib import Path

import duckdb

from dsl.data.warehouse_address import is_lake
from dsl.errors import WarehouseError
from warehouse.ducklake import UNFINISHED, without_keys
from warehouse.relations import described, schema_files, table_files, view_files, views_of
from warehouse.statements import HERE, run_file, transaction

BUNDLED = "bundled"
"""The mark of a warehouse that was read from a bundle: its tables and views are those of the code that wrote
it."""


def migrate(connection: duckdb.DuckDBPyConnection, path: Path, is_new: bool = False) -> None:
    """Make tables and views where they are missing, as all are in a new one; make old views and old
    statistics again.

    Raises:
        WarehouseError: the tables that are loaded are those of another version, or not all are.
    """
    found, wanted = {} if is_new else _made_from(connection), _digests()
    if UNFINISHED in found:
        connection.close()
        raise WarehouseError(
            f"{path}: a rebuild was stopped half way, so rows are missing. `xp rebuild` makes it again from"
            " the store."
        )
    if BUNDLED in found:
        raise WarehouseError(
            f"{path}: it holds the bundled study {found[BUNDLED]}, as it was, and takes nothing else. Name"
            " another folder by `--store`"
        )
    if found == wanted:
        return
    if found and found["schema"] != wanted["schema"]:
        connection.close()
        raise WarehouseError(
            f"{path}: its tables are not those of this version of xp. `xp rebuild` makes it again from the"
            " store."
        )
    is_old = bool(found) and found.get("computed") != wanted["computed"]
    with transaction(connection):
        if not found:
            for file in schema_files():
                connection.execute(without_keys(_text(file)) if is_lake(path) else _text(file))
        _make_views(connection, with_tables=not found or is_old)
        if is_old:
            run_file(connection, HERE / "load" / "sql" / "all_stale.sql")
        for part, digest in wanted.items():
            if part != "computed" or not is_old:
                _put_down(connection, part, digest)
    if is_old:
        # numpy and scipy, which most commands do not need
        from warehouse.statistics.refresh import refresh_stale

        refresh_stale(connection)
        # last: a kill begins it again
        _put_down(connection, "computed", wanted["computed"])


def is_current(connection: duckdb.DuckDBPyConnection) -> bool:
    """Return whether tables, views and statistics are those of this version, or a bundle's of their own."""
    found = _made_from(connection)
    return BUNDLED in found or found == _digests()


def _text(file: Path) -> str:
    return file.read_text("utf-8")


def digests(read: Callable[[Path], str] = _text) -> dict[str, str]:
    """Return the digests of the files that make the schema, the views and the statistics."""
    statistics = sorted(file for file in (HERE / "statistics").iterdir() if file.suffix in (".py", ".sql"))
    parts = {
        "schema": schema_files(),
        "views": [HERE / "statistics" / "macros.sql", *view_files()],
        "computed": [*statistics, *views_of("base"), *table_files()],
    }
    return {
        part: hashlib.sha256("\0".join(f"{file.name}\0{read(file)}" for file in files).encode()).hexdigest()
        for part, files in parts.items()
    }


_digests = cache(digests)


def _make_views(connection: duckdb.DuckDBPyConnection, with_tables: bool) -> None:
    """Replace all views and macros and, if asked, the materialised tables by empty ones."""
    views = connection.execute(
        "select view_name from duckdb_views() where database_name = current_database() and not internal"
    ).fetchall()
    for (name,) in views:
        connection.execute(f'drop view "{name}"')
    run_file(connection, HERE / "statistics" / "macros.sql")
    for file in views_of("base"):
        connection.execute(f'create view "{file.stem}" as {_text(file)}')
    for file in table_files() if with_tables else ():
        connection.execute(f'drop table if exists "{file.stem}"')
        connection.execute(f'create table "{file.stem}" as from ({_text(file)}) limit 0')
    for file in views_of("marts"):
        connection.execute(f'create view "{file.stem}" as {_text(file)}')
    for kind, found in described().items():
        what = "view" if kind in ("marts", "base") else "table"
        for name, text in found.items():
            quoted = text.replace("'", "''")
            connection.execute(f"comment on {what} \"{name}\" is '{quoted}'")


def _put_down(connection: duckdb.DuckDBPyConnection, part: str, digest: str) -> None:
    connection.execute("delete from made_from where part = ?", [part])
    connection.execute("insert into made_from values (?, ?)", [part, digest])


def _made_from(connection: duckdb.DuckDBPyConnection) -> dict[str, str]:
    """Return the stored digests: none for an empty file, of nothing for someone else's database."""
    tables = connection.execute(
        "select table_name from duckdb_tables() where database_name = current_database() and not internal"
    ).fetchall()
    if (UNFINISHED,) in tables:
        return {UNFINISHED: ""}
    if ("made_from",) in tables:
        return dict(connection.execute("from made_from").fetchall())
    return {"schema": ""} if tables else {}
