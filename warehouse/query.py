"""Answers SQL queries, read-only and without access to other files."""

import importlib
import re
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, BinaryIO, Literal, TypeVar, cast

import duckdb

from dsl.errors import ArgumentError, WarehouseError
from warehouse.connect import connect
from warehouse.errors import MADE_AGAIN, is_unreadable
from warehouse.query_formats import Rows, as_csv, as_json, as_plain, as_table

_READING = {duckdb.StatementType.SELECT, duckdb.StatementType.PRAGMA}

_WRITES = re.compile(r"\b(copy|export|attach|execute)\b", re.IGNORECASE)

_PLACES = re.compile(
    r"\b(read_(blob|text|duckdb)|(ducklake|postgres)_\w+)\b"
    r'|\bquery"?(\s|/\*.*?\*/|--[^\n]*\n)*\(',
    re.IGNORECASE | re.DOTALL,
)
"""Functions that reach beside the tables: files, and the server of a DuckLake; and the one that runs a text,
which may be put together of parts, as SQL."""

Format = Literal["table", "csv", "json", "parquet"]

Library = Literal["pandas", "polars"]

T = TypeVar("T")


def run(path: Path, sql: str, format: Format, out: BinaryIO, width: int | None = None) -> None:
    """Write what a query finds to a stream of bytes, text as UTF-8.

    A table shows every row, long text cut and unprintable characters escaped; the other formats hold the
    values as they are. Columns of equal names are numbered.

    Args:
        width: Columns of the terminal that a table is read on: it is cut to them, and a line below it has
            what it leaves out. None leaves nothing out.

    Raises:
        WarehouseError: the warehouse cannot be opened, or DuckDB refuses the query; its own words are kept.
        KeyboardInterrupt: on Ctrl-C, which ends the query.
    """
    if format == "parquet":
        import pyarrow.parquet as parquet  # pyright: ignore[reportMissingTypeStubs]

        cast(Any, parquet).write_table(_found(path, sql, _as_arrow), out, compression="zstd")
        return
    names, rows = _found(path, sql, _as_rows)
    match format:
        case "table":
            text = as_table(names, rows, width)
        case "csv":
            text = as_csv(names, rows)
        case "json":
            text = as_json(names, rows)
    out.write(text.encode())


def frame(path: Path, sql: str, library: Library) -> Any:
    """Return what a query finds as a data frame of a library, with the columns that `run` writes.

    Raises:
        ArgumentError: the library is not installed.
        WarehouseError, KeyboardInterrupt: as `run`.
    """
    try:
        found: Any = importlib.import_module(library)
    except ImportError as error:
        raise ArgumentError(
            f"{library} cannot be imported ({error}). Install it: pip install {library}"
        ) from error
    table = _found(path, sql, _as_arrow)
    return table.to_pandas() if library == "pandas" else found.from_arrow(table)


def first_rows(
    connection: duckdb.DuckDBPyConnection, sql: str, n: int
) -> tuple[list[str], list[list[object]], bool]:
    """Return a query's columns, its first `n` rows as JSON knows them, and whether there are more.

    Raises:
        ArgumentError: it is more than one statement, or none that reads.
        WarehouseError: DuckDB refuses it; its own words are kept.
    """
    try:
        if _kinds(connection, sql) != [duckdb.StatementType.SELECT]:
            raise ArgumentError("One query is answered, as: select * from score_by_method_language")
        found = connection.sql(sql)
        rows = found.limit(n + 1).fetchall()
    except (duckdb.Error, OverflowError) as error:  # the latter of values that Python has no type for
        raise WarehouseError(str(error).strip()) from error
    return _numbered(found.columns), [[as_plain(value) for value in row] for row in rows[:n]], len(rows) > n


def _kinds(connection: duckdb.DuckDBPyConnection, sql: str) -> list[duckdb.StatementType]:
    """Return the kinds of a text's statements.

    Raises:
        WarehouseError: one may write to the warehouse's own file, which DuckDB lets through, or reads it as a
            file, which gives away the lock that keeps a writer off; or one reaches the server of a DuckLake.
    """
    kinds = [statement.type for statement in connection.extract_statements(sql)]
    if not {*kinds} <= _READING and _WRITES.search(sql):
        raise WarehouseError("A query reads only: it copies, exports and attaches nothing.")
    if _PLACES.search(sql):
        raise WarehouseError("A query reads tables and views of the warehouse, and no files.")
    return kinds


def _found(path: Path, sql: str, take: Callable[[duckdb.DuckDBPyRelation], T]) -> T:
    """Run a person's query, and take what it finds before the warehouse is closed."""

    def find() -> T:
        _kinds(connection, sql)
        found = connection.sql(sql)
        # DuckDB's answer to nothing but spaces
        if found is None:  # pyright: ignore[reportUnnecessaryComparison]
            raise WarehouseError("There is no query. Try: select * from score_by_method_language")
        return take(found)

    with connect(path, read_only=True) as connection, ThreadPoolExecutor(1) as beside:
        try:
            # beside this thread, which alone hears Ctrl-C, and not while DuckDB computes in it
            return beside.submit(find).result()
        except KeyboardInterrupt:
            connection.interrupt()
            raise
        except duckdb.Error as error:
            raise WarehouseError(
                f"{str(error).strip()}{f' {MADE_AGAIN}' if is_unreadable(error) else ''}"
            ) from error


def _as_rows(found: duckdb.DuckDBPyRelation) -> tuple[list[str], Rows]:
    return _numbered(found.columns), found.fetchall()


def _as_arrow(found: duckdb.DuckDBPyRelation) -> Any:
    return cast(Any, found).to_arrow_table().rename_columns(_numbered(found.columns))


def _numbered(names: Sequence[str]) -> list[str]:
    """The names, a second `n` as `n_2`."""
    found: list[str] = []
    for name in names:
        number, free = 1, name
        while free in found:
            number += 1
            free = f"{name}_{number}"
        found.append(free)
    return found
