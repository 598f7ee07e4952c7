"""A study in one file, from which its numbers derive whatever code comes later.

    spec.yaml       the study as a person wrote it
    lock.json       its overrides, and each step with its code's fingerprint and its packages
    rows/*.parquet  the rows of every table of its warehouse: answers, verdicts, training metrics …
    schema.sql      those tables
    views.sql       the views that make the report's numbers of them
    tables/*.csv    the numbers

Any DuckDB reads it: `schema.sql`, then each file of `rows` into the table of its name, then `views.sql`. It
holds no weights. Folders of the machine it was made on, and servers, are taken out of the steps' settings and
out of errors; the spec and its overrides stand as they were written. The same study gives the same bytes.
"""

import io
import json
import re
import tempfile
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, cast

import duckdb

from dsl.errors import ArgumentError, OutputError, WarehouseError
from warehouse.connect import WAREHOUSE, connect
from warehouse.errors import duckdb_errors
from warehouse.migrate import BUNDLED, view_files
from warehouse.query import fetch
from warehouse.report.reading import VIEWS
from warehouse.statements import HERE

_ROWS_OF = {
    "experiment": "experiment = {study}",
    "cell_id": "cell_id in (select cell_id from cells where experiment = {study})",
    "step_id": "step_id in (select step_id from experiment_steps where experiment = {study})",
    "prompt_id": (
        "prompt_id in (select prompt_id from step_completions join experiment_steps using (step_id)"
        " where experiment = {study})"
    ),
}
"""Column of a table -> which of its rows are a study's; the first that a table has."""

_SETTINGS = (
    r"""regexp_replace(regexp_replace(settings::varchar,"""
    r""" '"(path|file|hub)":(\s*)"/[^"]*/([^"/]*)"', '"\1":\2"\3"', 'g'),"""
    r""" '"(base_url|server)":(\s*)"[^"]*"', '"\1":\2null', 'g')::json as settings"""
)
_ERROR = r"""regexp_replace(error, '//[^ ''"`(),]+|/[^ ''"`(),]*/', '', 'g') as error"""

_WITHOUT_PLACES = {
    "steps": _SETTINGS,
    "experiments": "parse_filename(spec_file) as spec_file",
    "runs": f"'' as host, {_ERROR}",
    "step_completions": _ERROR,
}
"""Table -> its columns without hosts, and with names of files instead of their places."""


_UNREADABLE = (
    OSError,
    KeyError,
    ValueError,
    TypeError,
    RuntimeError,
    EOFError,
    zlib.error,
    zipfile.BadZipFile,
)
"""Errors of a file that is damaged, encrypted, or no bundle."""


def write_bundle(warehouse: Path, experiment: str, out: Path) -> int:
    """Write a study of a warehouse into a file. Returns the number of rows in it.

    Raises:
        WarehouseError: the warehouse cannot be read, or does not hold the study.
        OutputError: the file cannot be written.
    """
    import pyarrow.parquet as parquet  # pyright: ignore[reportMissingTypeStubs]

    rows: dict[str, bytes] = {}
    n_rows = 0
    with connect(warehouse, read_only=True) as connection:  # one, so that no apply comes between two tables
        known = [row["experiment"] for row in fetch(connection, "from experiments order by experiment")]
        if experiment not in known:
            raise WarehouseError(
                f"the warehouse holds no experiment {experiment}; it holds: {', '.join(known) or 'none'}"
            )
        study = f"'{experiment}'"  # the name of a study holds no quote
        (spec,) = fetch(connection, f"from experiments where experiment = {study}")
        steps = fetch(
            connection,
            "select step_id, code, outcome_sha256, versions::varchar as versions from steps where"
            f" {_ROWS_OF['step_id'].format(study=study)} order by all",
        )
        tables = fetch(
            connection,
            "select table_name, sql, (select list(column_name) from duckdb_columns() where table_name ="
            " duckdb_tables.table_name) as columns from duckdb_tables() where not internal order by all",
        )
        for table in tables:
            name = table["table_name"]
            ours = next((of for column, of in _ROWS_OF.items() if column in table["columns"]), "false")
            columns = f"* replace ({_WITHOUT_PLACES[name]})" if name in _WITHOUT_PLACES else "*"
            sql = f'select {columns} from "{name}" where {ours.format(study=study)} order by all'
            packed = io.BytesIO()
            with duckdb_errors(warehouse):
                found: Any = connection.sql(sql).to_arrow_table()
            cast(Any, parquet).write_table(found, packed, compression="zstd")
            rows[f"rows/{name}.parquet"] = packed.getvalue()
            n_rows += found.num_rows
    schema, views = "".join(f"{table['sql']}\n" for table in tables), "".join(_views())
    files = {
        "spec.yaml": spec["spec_text"].encode(),
        "lock.json": _json(
            {
                "experiment": experiment,
                "overrides": spec["overrides"],
                "steps": {
                    step.pop("step_id"): step | {"versions": json.loads(step["versions"])} for step in steps
                },
            }
        ),
        "schema.sql": schema.encode(),
        "views.sql": views.encode(),
        **rows,
    }
    with tempfile.TemporaryDirectory() as folder, duckdb.connect() as connection:
        _derive(connection, schema, views, files, Path(folder))
        for view in VIEWS:
            path = Path(folder) / f"{view}.csv"
            connection.execute(f"copy (from {view} order by all) to '{path}' (header)")
            files[f"tables/{view}.csv"] = path.read_bytes()
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_bytes(_zipped(files))
    except OSError as error:
        raise OutputError(f"{out}: cannot be written: {error.strerror}") from error
    return n_rows


def read_bundle(bundle: Path, store: Path) -> str:
    """Make the warehouse of a bundle in a new store, to be read only. Returns the study's name.

    Its SQL is run without access to any other file.

    Raises:
        ArgumentError: the file is no bundle, or the store holds something already.
        WarehouseError: the warehouse cannot be made.
    """
    aside = store / f"{WAREHOUSE}.new"
    unfinished = (aside, aside.with_name(f"{aside.name}.wal"))
    if store.exists() and any(path not in unfinished for path in store.iterdir()):
        raise ArgumentError(f"{store} is not empty: a bundle is read into a new store. Name one by `--store`")
    try:
        with zipfile.ZipFile(bundle) as file:
            files = {name: file.read(name) for name in file.namelist()}
        experiment = str(json.loads(files["lock.json"])["experiment"])
        schema, views = files["schema.sql"].decode(), files["views.sql"].decode()
    except _UNREADABLE as error:
        raise ArgumentError(f"{bundle}: no bundle of a study: {error}. `xp bundle` writes one") from error
    store.mkdir(parents=True, exist_ok=True)
    _remove(unfinished)  # of a read that was killed
    try:
        with (
            tempfile.TemporaryDirectory() as folder,
            duckdb_errors(bundle),
            duckdb.connect(str(aside)) as connection,
        ):
            _derive(connection, schema, views, files, Path(folder))
            connection.execute("insert into made_from values (?, ?)", [BUNDLED, experiment])
        aside.replace(store / WAREHOUSE)
    except BaseException:
        _remove(unfinished)
        raise
    return experiment


def _remove(files: Iterable[Path]) -> None:
    for file in files:
        file.unlink(missing_ok=True)


def _derive(
    connection: duckdb.DuckDBPyConnection, schema: str, views: str, files: Mapping[str, bytes], folder: Path
) -> None:
    """Make a bundle's tables and views; `folder` is all that its SQL can reach.

    In one thread, since sums of floats hang on their order.
    """
    connection.execute(f"set threads = 1; set allowed_directories = ['{folder}']")
    connection.execute("set enable_external_access = false; set lock_configuration = true")
    connection.execute(schema)
    for name in sorted(files):
        if re.fullmatch(r"rows/[a-z_]+\.parquet", name):
            path = folder / Path(name).name
            path.write_bytes(files[name])
            connection.execute(f'insert into "{path.stem}" by name from read_parquet(?)', [str(path)])
    connection.execute(views)


def _views() -> Iterator[str]:
    yield (HERE / "statistics" / "macros.sql").read_text("utf-8")
    for file in view_files():
        yield f'create view "{file.stem}" as {file.read_text("utf-8")};\n'


def _json(value: object) -> bytes:
    return (json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False) + "\n").encode()


def _zipped(files: dict[str, bytes]) -> bytes:
    """Pack files in the order of their names, without times."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as packed:
        for name in sorted(files):
            packed.writestr(zipfile.ZipInfo(name), files[name], zipfile.ZIP_DEFLATED)
    return out.getvalue()
