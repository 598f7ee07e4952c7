"""Answers SQL queries, read-only and without access to other files.

As a table for the eye, or as CSV, JSON or Parquet for a program.
"""

import csv
import datetime
import io
import json
import math
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path
from typing import Any, BinaryIO, Literal, TypeAlias, cast

import duckdb

from dsl.errors import ArgumentError, WarehouseError
from dsl.messages import one_line
from warehouse.connect import connect
from warehouse.errors import MADE_AGAIN, duckdb_errors, is_unreadable

Format = Literal["table", "csv", "json", "parquet"]

Rows: TypeAlias = Sequence[Sequence[object]]

_WIDEST = 80
"""Characters of a cell that a table shows."""


def run(path: Path, sql: str, format: Format, out: BinaryIO) -> None:
    """Write what a query finds to a stream of bytes, text as UTF-8.

    A table shows every row, long text cut and unprintable characters escaped; the other formats hold the
    values as they are. Columns of equal names are numbered.

    Raises:
        WarehouseError: the warehouse cannot be opened, or DuckDB refuses the query; its own words are kept.
        KeyboardInterrupt: on Ctrl-C, which ends the query.
    """

    def find() -> tuple[list[str], Rows] | None:
        found = connection.sql(sql)
        # DuckDB's answer to nothing but spaces
        if found is None:  # pyright: ignore[reportUnnecessaryComparison]
            raise WarehouseError("There is no query. Try: select * from score_by_method_language")
        names = _numbered(found.columns)
        if format == "parquet":
            _write_parquet(found, names, out)
            return None
        return names, found.fetchall()

    with connect(path, read_only=True) as connection, ThreadPoolExecutor(1) as beside:
        try:
            # beside this thread, which alone hears Ctrl-C, and not while DuckDB computes in it
            found = beside.submit(find).result()
        except KeyboardInterrupt:
            connection.interrupt()
            raise
        except duckdb.Error as error:
            raise WarehouseError(
                f"{str(error).strip()}{f' {MADE_AGAIN}' if is_unreadable(error) else ''}"
            ) from error
    if found is None:
        return
    names, rows = found
    form = {"table": _as_table, "csv": _as_csv, "json": _as_json}[format]
    out.write(form(names, rows).encode())


def fetch(
    connection: duckdb.DuckDBPyConnection, sql: str, parameters: Sequence[object] | Mapping[str, object] = ()
) -> list[dict[str, Any]]:
    """Run a query and return its rows as mappings. Raises WarehouseError."""
    with duckdb_errors("the warehouse"):
        found = connection.execute(sql, parameters)
        names = [column[0] for column in found.description]
        return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


def first_rows(
    connection: duckdb.DuckDBPyConnection, sql: str, n: int
) -> tuple[list[str], list[list[object]], bool]:
    """Return a query's columns, its first `n` rows as JSON knows them, and whether there are more.

    Raises:
        ArgumentError: it is more than one statement, or none that reads.
        WarehouseError: DuckDB refuses it; its own words are kept.
    """
    try:
        kinds = [statement.type for statement in connection.extract_statements(sql)]
        if kinds != [duckdb.StatementType.SELECT]:
            raise ArgumentError("One query is answered, as: select * from score_by_method_language")
        found = connection.sql(sql)
        rows = found.limit(n + 1).fetchall()
    except duckdb.Error as error:
        raise WarehouseError(str(error).strip()) from error
    return _numbered(found.columns), [[_plain(value) for value in row] for row in rows[:n]], len(rows) > n


def _write_parquet(found: duckdb.DuckDBPyRelation, names: Sequence[str], out: BinaryIO) -> None:
    import pyarrow.parquet as parquet  # pyright: ignore[reportMissingTypeStubs]

    table = cast(Any, found).to_arrow_table().rename_columns(list(names))
    cast(Any, parquet).write_table(table, out, compression="zstd")


def _as_table(names: Sequence[str], rows: Rows) -> str:
    cells = [[one_line(name) for name in names], *([_shown(value) for value in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    is_number = [any(isinstance(row[i], int | float | Decimal) for row in rows) for i in range(len(names))]
    lines = [
        [c.rjust(w) if right else c.ljust(w) for c, w, right in zip(row, widths, is_number, strict=True)]
        for row in cells
    ]
    lines.insert(1, ["─" * width for width in widths])
    counted = f"{len(rows)} row{'s' * (len(rows) != 1)}"
    return "".join("  ".join(line).rstrip() + "\n" for line in lines) + counted + "\n"


def _as_csv(names: Sequence[str], rows: Rows) -> str:
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(names)
    for row in rows:
        writer.writerow([_flat(value) for value in row])
    return text.getvalue()


def _as_json(names: Sequence[str], rows: Rows) -> str:
    """A list of objects, one a line."""
    lines = [
        json.dumps({name: _plain(v) for name, v in zip(names, row, strict=True)}, ensure_ascii=False)
        for row in rows
    ]
    return "[\n" + ",\n".join(lines) + "\n]\n" if lines else "[]\n"


def _shown(value: object) -> str:
    if value is None:
        return "null"
    if isinstance(value, float):
        return f"{value:.6g}"
    text = str(_flat(value))
    short = one_line(text[: 2 * _WIDEST])
    return short if len(short) <= _WIDEST and len(text) <= 2 * _WIDEST else short[: _WIDEST - 1] + "…"


def _flat(value: object) -> object:
    """Lists and mappings as JSON text, everything else as it is."""
    plain = _plain(value)
    return json.dumps(plain, ensure_ascii=False) if isinstance(plain, list | dict) else value


def _plain(value: object) -> object:
    """The value as JSON knows it: what is not finite becomes null, dates and the like their text."""
    match value:
        case None | bool() | int() | str():
            return value
        case float():
            return value if math.isfinite(value) else None
        case Decimal():
            return _plain(float(value))
        case list() | tuple():
            return [_plain(inner) for inner in cast("Sequence[object]", value)]
        case dict():
            return {str(key): _plain(inner) for key, inner in cast("Mapping[object, object]", value).items()}
        case datetime.datetime() | datetime.date() | datetime.time():
            return value.isoformat()
        case _:
            return str(value)


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
