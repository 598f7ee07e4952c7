"""Numbers of a study, derived from the rows in a bundle: in one thread, since sums of floats hang on their
order."""

import hashlib
import io
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast

import duckdb

from warehouse.migrate import computed_tables, digests, migrate, view_files
from warehouse.report.page import as_html
from warehouse.report.reading import VIEWS, read_from
from warehouse.statements import HERE, run_file
from warehouse.statistics.refresh import refresh_stale

Files = dict[str, bytes]
"""Files of a bundle, by name."""

ROWS = re.compile(r"rows/([a-z_]+)\.parquet")
_ONE_THREAD = "set threads = 1"


def made_by() -> dict[str, str]:
    """Return digests of the code that derives tables, statistics and report."""
    found = (file for room in ("report", "charts") for file in (HERE / room).rglob("*"))
    pages = sorted(file for file in found if file.is_file() and file.suffix != ".pyc")
    text = b"\0".join(file.name.encode() + b"\0" + file.read_bytes() for file in pages)
    return {**digests(), "report": hashlib.sha256(text).hexdigest()}


def statistics_of(files: Mapping[str, bytes], folder: Path) -> Files:
    """Derive the tables of statistics from a bundle's other rows, by this version's code."""
    computed = computed_tables()
    with duckdb.connect() as connection:
        connection.execute(_ONE_THREAD)
        migrate(connection, folder)
        _insert(
            connection, {name: rows for name, rows in files.items() if _table(name) not in computed}, folder
        )
        run_file(connection, HERE / "load" / "sql" / "all_stale.sql")
        refresh_stale(connection)
        found = {f"rows/{name}.parquet": connection.sql(f'from "{name}" order by all') for name in computed}
        return {name: as_parquet(rows.to_arrow_table()) for name, rows in found.items()}


def numbers_of(files: Mapping[str, bytes], experiment: str, folder: Path) -> Files:
    """Derive the tables of numbers and the report from all rows of a bundle, by its own SQL."""
    with duckdb.connect() as connection:
        load(connection, files, folder)
        found: Files = {}
        for view in VIEWS:
            path = folder / f"{view}.csv"
            connection.execute(f"copy (from {view} order by all) to '{path}' (header)")
            found[f"tables/{view}.csv"] = path.read_bytes()
        return found | {"report.html": as_html(read_from(connection, experiment)).encode()}


def load(connection: duckdb.DuckDBPyConnection, files: Mapping[str, bytes], folder: Path) -> None:
    """Make a bundle's tables and views by its SQL, all of whose reach is the empty `folder`."""
    connection.execute(f"{_ONE_THREAD}; set allowed_directories = ['{folder}']")
    connection.execute("set enable_external_access = false; set lock_configuration = true")
    connection.execute(files["schema.sql"].decode())
    _insert(connection, files, folder)
    connection.execute(files["views.sql"].decode())


def as_text(rows: bytes, folder: Path) -> bytes:
    """Return a table of a bundle as CSV, whose numbers are its own to the bit."""
    (folder / "rows.parquet").write_bytes(rows)
    with duckdb.connect() as connection:
        connection.execute(
            f"copy (from '{folder}/rows.parquet' order by all) to '{folder}/rows.csv' (header)"
        )
    return (folder / "rows.csv").read_bytes()


def as_parquet(table: Any) -> bytes:
    """Return an Arrow table as a Parquet file."""
    import pyarrow.parquet as parquet  # pyright: ignore[reportMissingTypeStubs]

    packed = io.BytesIO()
    cast(Any, parquet).write_table(table, packed, compression="zstd")
    return packed.getvalue()


def views_sql() -> str:
    """Return the SQL of the macros and views."""
    return "".join(_views())


def _views() -> Iterator[str]:
    yield (HERE / "statistics" / "macros.sql").read_text("utf-8")
    for file in view_files():
        yield f'create view "{file.stem}" as {file.read_text("utf-8")};\n'


def _table(name: str) -> str | None:
    named = ROWS.fullmatch(name)
    return named and named[1]


def _insert(connection: duckdb.DuckDBPyConnection, files: Mapping[str, bytes], folder: Path) -> None:
    for name in sorted(files):
        if (table := _table(name)) is not None:
            path = folder / f"{table}.parquet"
            path.write_bytes(files[name])
            connection.execute(f'insert into "{table}" by name from read_parquet(?)', [str(path)])
