"""Numbers of a study, derived from the rows in a bundle: in one thread, since sums of floats hang on their
order."""

import hashlib
import io
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast

import duckdb
from pydantic import ConfigDict

from dsl.errors import WarehouseError
from dsl.values import Name, StepId, Value
from warehouse.connect import memory_limit
from warehouse.migrate import digests, migrate
from warehouse.relations import computed_tables, view_files
from warehouse.report.page import as_html
from warehouse.report.reading import read_from, views_in
from warehouse.statements import HERE, fetch, run_file
from warehouse.statistics.refresh import refresh_stale

Files = dict[str, bytes]
"""Files of a bundle, by name."""

ROWS = re.compile(r"rows/([a-z_]+)\.parquet")
_LIMITS = f"set threads = 1; set memory_limit = '{memory_limit()}'"


class BundleLock(Value):
    """The part of a bundle that names its study, steps and code: `lock.json`."""

    model_config = ConfigDict(extra="ignore")  # another version of xp may say more

    experiment: Name
    overrides: tuple[str, ...] = ()
    steps: dict[StepId, dict[str, Any]]
    """Step -> its code's fingerprint, the digest of its outcome, its packages."""
    made_by: dict[str, str] = {}
    """Digests of the code that made the numbers, as `made_by` returns them."""
    adapters: dict[str, str] = {}
    """File of an adapter -> its SHA-256."""


def made_by() -> dict[str, str]:
    """Return digests of the code that derives tables, statistics and report."""
    found = (file for room in ("report", "charts") for file in (HERE / room).rglob("*"))
    pages = sorted(file for file in found if file.is_file() and file.suffix != ".pyc")
    text = b"\0".join(file.name.encode() + b"\0" + file.read_bytes() for file in pages)
    return {**digests(), "report": hashlib.sha256(text).hexdigest()}


def written_of(connection: duckdb.DuckDBPyConnection, experiment: str) -> tuple[str, BundleLock]:
    """Return what a study's rows say of it: its spec as a person wrote it, overrides and steps.

    Raises:
        WarehouseError: the rows hold no such study.
    """
    found = fetch(connection, "from experiments where experiment = ?", [experiment])
    if not found:
        raise WarehouseError(f"the rows hold no study {experiment}")
    steps = fetch(
        connection,
        "select step_id, code, outcome_sha256, versions::varchar as versions from steps where step_id in"
        " (select step_id from experiment_steps where experiment = ?)",
        [experiment],
    )
    said = {step.pop("step_id"): step | {"versions": json.loads(step["versions"])} for step in steps}
    lock = BundleLock(experiment=experiment, overrides=tuple(found[0]["overrides"]), steps=said)
    return found[0]["spec_text"], lock


def schema_sql(connection: duckdb.DuckDBPyConnection) -> str:
    """Return the SQL of a warehouse's tables."""
    tables = fetch(connection, "select sql from duckdb_tables() where not internal order by table_name")
    return "".join(f"{table['sql']}\n" for table in tables)


def our_sql(folder: Path) -> Files:
    """Return the SQL of this version's tables and views, as a bundle holds it."""
    with duckdb.connect() as connection:
        migrate(connection, folder)
        return {"schema.sql": schema_sql(connection).encode(), "views.sql": views_sql().encode()}


def written_in(files: Mapping[str, bytes], experiment: str, folder: Path) -> tuple[str, BundleLock]:
    """Return what the rows of a bundle say of its study, as `written_of`."""
    of = ("schema.sql", *(f"rows/{name}.parquet" for name in ("experiments", "experiment_steps", "steps")))
    with duckdb.connect() as connection:
        load(connection, {name: files[name] for name in of if name in files} | {"views.sql": b""}, folder)
        return written_of(connection, experiment)


def statistics_of(files: Mapping[str, bytes], folder: Path) -> Files:
    """Derive the tables of statistics from a bundle's other rows, by this version's code."""
    computed = computed_tables()
    with duckdb.connect() as connection:
        connection.execute(_LIMITS)
        migrate(connection, folder)
        _insert(
            connection, {name: rows for name, rows in files.items() if _table(name) not in computed}, folder
        )
        run_file(connection, HERE / "load" / "sql" / "all_stale.sql")
        refresh_stale(connection)
        found = {f"rows/{name}.parquet": connection.sql(f'from "{name}" order by all') for name in computed}
        return {name: as_parquet(rows.to_arrow_table()) for name, rows in found.items()}


def numbers_of(files: Mapping[str, bytes], experiment: str, folder: Path) -> Files:
    """Derive the report, and the numbers of those views that a bundle has, from all rows by its own SQL."""
    with duckdb.connect() as connection:
        load(connection, files, folder)
        found: Files = {}
        for view in views_in(connection):
            path = folder / f"{view}.csv"
            connection.execute(f"copy (from {view} order by all) to '{path}' (header)")
            found[f"tables/{view}.csv"] = path.read_bytes()
        return found | {"report.html": as_html(read_from(connection, experiment)).encode()}


def load(connection: duckdb.DuckDBPyConnection, files: Mapping[str, bytes], folder: Path) -> None:
    """Make a bundle's tables and views by its SQL, all of whose reach is the empty `folder`."""
    connection.execute(f"{_LIMITS}; set allowed_directories = ['{folder}']")
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
