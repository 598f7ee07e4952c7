"""Opens the warehouse file, and sees to it that its tables and views are those of this version.

Only one process can have the file open for writing, and while it has, no other can even read it. So a writer opens it for a moment and
closes it, and whoever finds it taken waits a little before giving up with the name of the process in the way.
"""

import hashlib
import os
import re
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import duckdb

from dsl.errors import WarehouseError
from dsl.words import one_line

HERE = Path(__file__).parent

WAREHOUSE = "warehouse.duckdb"
"""The file's name in a store."""

PATIENCE_SECONDS = 10.0
"""How long to wait for another process to let go of the file: loading a step takes much less."""

WAL_BYTES = 2**30
"""Changes kept beside the file before DuckDB puts them into it: left to itself, it does that after each transaction of a large load."""

MEMORY_BYTES = 5 * 2**30
"""What DuckDB may hold, or half of the machine's memory where that is less. Beyond it, it writes beside the file; what Python holds comes on top."""

COMPUTED = (
    *("paired_scores", "contrast_tests", "language_gaps", "method_strengths"),
    *("size_trends", "score_size_trends", "language_gap_size_trends"),
)
"""Tables of what SQL alone does not compute."""


class _Held(WarehouseError):
    """Another process has the file open."""


def connect(path: Path, read_only: bool = False, patience: float = PATIENCE_SECONDS) -> duckdb.DuckDBPyConnection:
    """Open the warehouse. A new file gets tables and views; views of another version of xp are replaced.

    Args:
        path: The file; with `read_only` it has to be there.
        read_only: The connection can change nothing and can read no other file either, whatever the SQL says.
        patience: Seconds to wait while another process has the file open.

    Raises:
        WarehouseError: there is none to read; another process holds it; it is no warehouse, or has the tables of another version.
    """
    if not read_only:
        path.parent.mkdir(parents=True, exist_ok=True)
        connection = _open(path, read_only, patience)
        with told(path):
            _settle(connection, path)
        return connection
    if not path.exists():
        raise WarehouseError(f"{path}: there is no warehouse yet. `xp apply` makes one; `xp rebuild` makes it again from a store.")
    connection = _open(path, read_only, patience)
    if _made_from(connection) == _digests():
        return connection
    connection.close()
    connect(path, patience=patience).close()  # a writer puts the views right, or says what is wrong
    return _open(path, read_only, patience)


def wait_until_free(path: Path, patience: float = PATIENCE_SECONDS) -> None:
    """Return when no other process has the file open, whatever state the file is in.

    Raises:
        WarehouseError: a process still has it open when patience runs out.
    """
    try:
        _open(path, read_only=False, patience=patience).close()
    except _Held:
        raise
    except WarehouseError:
        return


@contextmanager
def told(about: object) -> Generator[None]:
    """Turn what DuckDB complains of into a WarehouseError that begins with what it is about."""
    try:
        yield
    except duckdb.Error as error:
        raise WarehouseError(f"{about}: {one_line(str(error))}") from error


@contextmanager
def transaction(connection: duckdb.DuckDBPyConnection) -> Generator[None]:
    """All of it or, whatever goes wrong, nothing."""
    connection.begin()
    try:
        yield
    except BaseException:
        connection.rollback()
        raise
    connection.commit()


def run_file(connection: duckdb.DuckDBPyConnection, file: Path, **parameters: object) -> None:
    """Run the statements of an SQL file, each with those of the parameters that it names."""
    for statement in connection.extract_statements(file.read_text("utf-8")):
        connection.execute(statement, {name: parameters[name] for name in statement.named_parameters})


def view_files() -> tuple[Path, ...]:
    """The views, one file each, in an order in which they can be made."""
    return tuple(file for folder in ("base", "marts") for file in sorted((HERE / "views" / folder).glob("*.sql")))


def kept_files() -> tuple[Path, ...]:
    """The questions whose answers are kept in a table of the file's name (`warehouse/statistics/refresh.py`), one file each."""
    return tuple(sorted((HERE / "views" / "kept").glob("*.sql")))


def kept_tables() -> tuple[str, ...]:
    """All that is computed when something was loaded."""
    return (*COMPUTED, *(file.stem for file in kept_files()))


def _open(path: Path, read_only: bool, patience: float) -> duckdb.DuckDBPyConnection:
    config: dict[str, str | bool | int | float | list[str]] = {
        "autoinstall_known_extensions": False,
        "enable_external_access": not read_only,
        "wal_autocheckpoint": f"{WAL_BYTES}B",
        "memory_limit": f"{min(MEMORY_BYTES, os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') // 2)}B",
    }
    until = time.monotonic() + patience
    while True:
        try:
            return duckdb.connect(str(path), read_only=read_only, config=config)
        except duckdb.Error as error:
            holder = re.search(r"Conflicting lock is held in (.*?) ?\(PID (\d+)\)", str(error))
            if holder is None:
                raise WarehouseError(f"{path}: {one_line(str(error))}") from error
            if time.monotonic() >= until:
                program, pid = holder.groups()
                raise _Held(
                    f"{path}: process {pid} ({one_line(program)}) has the warehouse open and did not close it within {patience:g} s. "
                    "Close it there, or wait until it is done, and try again."
                ) from error
        time.sleep(0.05)


def _settle(connection: duckdb.DuckDBPyConnection, path: Path) -> None:
    """Make tables and views where they are missing, views again where they are old, and what is computed where another version did."""
    found, wanted = _made_from(connection), _digests()
    if found == wanted:
        return
    if found and found["schema"] != wanted["schema"]:
        connection.close()
        raise WarehouseError(f"{path}: its tables are not those of this version of xp. `xp rebuild` makes it again from the store.")
    with transaction(connection):
        if not found:
            run_file(connection, HERE / "schema.sql")
        is_old = bool(found) and found.get("computed") != wanted["computed"]
        for (name,) in connection.execute("select view_name from duckdb_views() where not internal").fetchall():
            connection.execute(f'drop view "{name}"')
        run_file(connection, HERE / "statistics" / "macros.sql")
        for file in view_files():
            if file.parent.name == "base":
                _make_view(connection, file)
        if not found or is_old:
            for file in kept_files():
                connection.execute(f'drop table if exists "{file.stem}"')
                connection.execute(f'create table "{file.stem}" as from ({file.read_text("utf-8")}) limit 0')
        for file in view_files():
            if file.parent.name == "marts":
                _make_view(connection, file)
        if is_old:
            run_file(connection, HERE / "loads" / "all_stale.sql")
        now = [(part, digest) for part, digest in wanted.items() if part != "computed" or not is_old]
        connection.executemany("insert or replace into made_from values (?, ?)", now)
    if is_old:
        from warehouse.statistics.refresh import refresh_stale  # numpy and scipy, which most commands do not need

        refresh_stale(connection)
        connection.execute("insert or replace into made_from values ('computed', ?)", [wanted["computed"]])  # last: a kill begins it again


def _make_view(connection: duckdb.DuckDBPyConnection, file: Path) -> None:
    connection.execute(f'create view "{file.stem}" as {file.read_text("utf-8")}')


def _text(file: Path) -> str:
    return file.read_text("utf-8")


def _made_from(connection: duckdb.DuckDBPyConnection) -> dict[str, str]:
    """Digests of what tables and views were made from: none for an empty file, of nothing for someone else's database."""
    tables = {name for (name,) in connection.execute("select table_name from duckdb_tables() where not internal").fetchall()}
    if "made_from" in tables:
        return dict(connection.execute("from made_from").fetchall())
    return {"schema": ""} if tables else {}


def digests(read: Callable[[Path], str] = _text) -> dict[str, str]:
    """Digests of what tables and views are made from here: the tables of what is loaded, the views, and all that decides what is computed."""
    statistics = sorted(file for file in (HERE / "statistics").iterdir() if file.suffix in (".py", ".sql"))
    base = [file for file in view_files() if file.parent.name == "base"]
    parts = {
        "schema": [HERE / "schema.sql"],
        "views": [HERE / "statistics" / "macros.sql", *view_files()],
        "computed": [*statistics, *base, *kept_files()],
    }
    return {
        part: hashlib.sha256("\0".join(f"{file.name}\0{read(file)}" for file in files).encode()).hexdigest()
        for part, files in parts.items()
    }


_digests = cache(digests)
