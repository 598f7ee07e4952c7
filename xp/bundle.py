"""A study in one file, from which its numbers derive whatever code comes later.

    spec.yaml       the study as a person wrote it
    spec.lock       its lock, where one lies beside the spec
    lock.json       its overrides, and each step with its code's fingerprint and its packages; digests of the
                    adapters, and of the code that made the numbers
    rows/*.parquet  the rows of every table of its warehouse: answers, verdicts, training metrics …
    schema.sql      those tables
    views.sql       the views that make the report's numbers of them
    tables/*.csv    the numbers
    report.html     the report
    adapters/       the weights that each training added to its model, unless they were left out

Any DuckDB reads it: `schema.sql`, then each file of `rows` into the table of its name, then `views.sql`.
Statistics, numbers and report are derived from the bundle's own rows, so that `xp verify` derives them again
to the bit. Folders of the machine it was made on, and servers, are taken out of the steps' settings and out
of what answers failed of; of a failed attempt it is said only that it failed. The spec, its overrides and
its lock stand as they were written. The same study gives the same bytes.
"""

import contextlib
import hashlib
import io
import json
import shutil
import zipfile
import zlib
from collections.abc import Generator, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import duckdb

from dsl.data.warehouse_address import is_lake
from dsl.data.written_files import scratch_folder, written_aside
from dsl.errors import ArgumentError, OutputError, WarehouseError
from dsl.messages import one_line
from dsl.values import StepId
from runners.store.digests import Checks
from warehouse.connect import STORAGE_VERSION, WAREHOUSE, connect, half_of_memory, remove
from warehouse.errors import duckdb_errors
from warehouse.load import make_warehouse
from warehouse.migrate import BUNDLED
from warehouse.statements import fetch
from xp.derived import (
    BundleLock,
    Files,
    as_parquet,
    load,
    made_by,
    numbers_of,
    our_sql,
    schema_sql,
    statistics_of,
    views_sql,
    written_of,
)

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
_ERROR = r"""regexp_replace(error, '//[^ ''"`(),]+|/[^ ''"`(),]*/|[\w.-]+:\d{2,5}\b', '', 'g') as error"""

_WITHOUT_PLACES = {
    "steps": _SETTINGS,
    "experiments": "parse_filename(spec_file) as spec_file, true as is_computed",
    "runs": "'' as host, if(error is null, null, 'an error, which a bundle leaves out') as error",
    "step_completions": _ERROR,
}
"""Table -> its columns without hosts, and with names of files instead of their places."""

_IN_THE_SPEC_S_ORDER = {"cells", "cell_judges", "contrasts"}
"""Tables whose rows are shown in the order in which they were loaded."""

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


def write_bundle(warehouse: Path, experiment: str, out: Path, *, with_adapters: bool = True) -> int:
    """Write a study of a warehouse into a file. Returns the number of rows in it.

    Without its adapters, which no number hangs on, it is small enough for a repository.

    Raises:
        WarehouseError: the warehouse cannot be read, or does not hold the study.
        DataError: a step's files are not as they were written.
        OutputError: the file cannot be written.
    """
    with _as_file(warehouse) as file:
        files, n_rows = _read_rows(file, experiment, with_adapters=with_adapters)
    with scratch_folder() as folder, duckdb_errors(warehouse):
        files |= statistics_of(files, folder)
    with scratch_folder() as folder, duckdb_errors(warehouse):
        files |= numbers_of(files, experiment, folder)
    lock = json.loads(files["lock.json"])
    weights = dict(_adapters(warehouse.parent / "steps", lock["steps"] if with_adapters else ()))
    lock["adapters"] = {name: _sha256(content) for name, content in weights.items()}
    _write(out, {**files, **weights, "lock.json": _json(lock)})
    return n_rows


@contextlib.contextmanager
def _as_file(warehouse: Path) -> Generator[Path]:
    """The warehouse, or a file with what a DuckLake holds: tables of a bundle have their keys."""
    if not is_lake(warehouse):
        yield warehouse
        return
    with scratch_folder() as folder:
        make_warehouse(warehouse.parent, folder / WAREHOUSE)
        yield folder / WAREHOUSE


def _read_rows(warehouse: Path, experiment: str, *, with_adapters: bool) -> tuple[Files, int]:
    """Return a study's rows as files of a bundle, with its spec, and how many rows there are.

    Rows that were read from a bundle are put into the tables of this version.
    """
    files, n_rows = Files(), 0
    with connect(warehouse, read_only=True) as connection:  # one, so that no apply comes between two tables
        known = [row["experiment"] for row in fetch(connection, "from experiments order by experiment")]
        if experiment not in known:
            raise WarehouseError(
                f"the warehouse holds no experiment {experiment}; it holds: {', '.join(known) or 'none'}"
            )
        is_bundled = bool(fetch(connection, f"from made_from where part = '{BUNDLED}'"))
        if is_bundled and with_adapters:
            raise WarehouseError(
                f"{warehouse} was read from a bundle, of which it holds no weights: copy that file. Or derive"
                " its numbers by this version of xp: `--no-adapters`"
            )
        study = f"'{experiment}'"  # the name of a study holds no quote
        ((spec_file,),) = connection.execute(
            f"select spec_file from experiments where experiment = {study}"
        ).fetchall()
        spec, lock = written_of(connection, experiment)
        with scratch_folder() as folder:
            ours = our_sql(folder) if is_bundled else {"schema.sql": schema_sql(connection).encode()}
        files["schema.sql"] = ours["schema.sql"]
        tables = fetch(
            connection,
            "select table_name, (select list(column_name) from duckdb_columns() where table_name ="
            " duckdb_tables.table_name) as columns from duckdb_tables() where not internal order by all",
        )
        for table in tables:
            name = table["table_name"]
            ours = next((of for column, of in _ROWS_OF.items() if column in table["columns"]), "false")
            columns = f"* replace ({_WITHOUT_PLACES[name]})" if name in _WITHOUT_PLACES else "*"
            order = "rowid" if name in _IN_THE_SPEC_S_ORDER else "all"
            sql = f'select {columns} from "{name}" where {ours.format(study=study)} order by {order}'
            with duckdb_errors(warehouse):
                found: Any = connection.sql(sql).to_arrow_table()
            files[f"rows/{name}.parquet"] = as_parquet(found)
            n_rows += found.num_rows
    files["spec.yaml"] = spec.encode()
    files["lock.json"] = _json(lock.model_copy(update={"made_by": made_by()}).model_dump(mode="json"))
    files["views.sql"] = views_sql().encode()
    with contextlib.suppress(OSError):
        files["spec.lock"] = Path(f"{spec_file}.lock").read_bytes()
    return files, n_rows


def _adapters(steps: Path, step_ids: Iterable[StepId]) -> Iterator[tuple[str, Path | bytes]]:
    """Yield each adapter's weights and settings, without the folder that its model lay in."""
    checks = Checks()
    for step_id in step_ids:
        for name in checks.files(f"{steps}/{step_id}"):
            file = steps / step_id / name
            if name == "adapter/adapter_model.safetensors":
                yield f"adapters/{step_id}/{file.name}", file
            elif name == "adapter/adapter_config.json":
                config = json.loads(file.read_bytes())
                base = Path(config.get("base_model_name_or_path") or "")
                if base.is_absolute():
                    config["base_model_name_or_path"] = base.name
                yield f"adapters/{step_id}/{file.name}", _json(config)


def read_files(bundle: Path) -> tuple[Files, BundleLock]:
    """Return the files of a bundle, and its lock.

    Raises:
        ArgumentError: the file is no bundle, or larger than half of the machine's memory when unpacked.
    """
    try:
        with zipfile.ZipFile(bundle) as file:
            n_bytes, most = sum(info.file_size for info in file.infolist()), half_of_memory()
            if n_bytes > most:
                raise ArgumentError(
                    f"{bundle}: {n_bytes:,} bytes when unpacked; this machine can read {most:,}, half of its"
                    " memory. Read it on one with more"
                )
            files = {name: file.read(name) for name in file.namelist()}
        for name in ("schema.sql", "views.sql"):
            files[name].decode()
        return files, BundleLock.model_validate_json(files["lock.json"])
    except _UNREADABLE as error:
        raise ArgumentError(
            f"{bundle}: no bundle of a study: {one_line(str(error))}. `xp bundle` writes one"
        ) from error


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
    files, lock = read_files(bundle)
    store.mkdir(parents=True, exist_ok=True)
    remove(aside)  # of a read that was killed
    try:
        with (
            scratch_folder() as folder,
            duckdb_errors(bundle),
            duckdb.connect(
                str(aside), config={"storage_compatibility_version": STORAGE_VERSION}
            ) as connection,
        ):
            load(connection, files, folder)
            connection.execute("insert into made_from values (?, ?)", [BUNDLED, lock.experiment])
        aside.replace(store / WAREHOUSE)
    except BaseException:
        remove(aside)
        raise
    return lock.experiment


def _write(out: Path, files: Mapping[str, Path | bytes]) -> None:
    """Pack files in the order of their names, without times: aside, then in the place of what is there."""
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with written_aside(out) as aside, zipfile.ZipFile(aside, "w", zipfile.ZIP_DEFLATED) as packed:
            for name, content in sorted(files.items()):
                header = zipfile.ZipInfo(name)
                header.compress_type = zipfile.ZIP_DEFLATED
                header.file_size = len(content) if isinstance(content, bytes) else content.stat().st_size
                with packed.open(header, "w") as into, _opened(content) as source:
                    shutil.copyfileobj(source, into)
    except OSError as error:
        raise OutputError(f"{out}: cannot be written: {error.strerror or error}") from error


def _opened(content: Path | bytes) -> io.BufferedIOBase:
    return content.open("rb") if isinstance(content, Path) else io.BytesIO(content)


def _sha256(content: Path | bytes) -> str:
    with _opened(content) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()  # pyright: ignore[reportArgumentType]


def _json(value: object) -> bytes:
    return (json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False) + "\n").encode()
