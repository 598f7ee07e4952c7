"""Opens the warehouse file, and sees to it that its tables and views are those of this version.

Only one process can have the file open for writing, and while it has, no other can even read it. So a writer
opens it for a moment and closes it, and whoever finds it taken waits a little before giving up with the name
of the process in the way.

A new file is made aside and renamed when it is whole, so that a kill or a full disk leaves no half of one.
"""

import contextlib
import hashlib
import os
import re
import shutil
import time
from collections.abc import Callable, Generator
from functools import cache
from pathlib import Path

import duckdb

from dsl.data.regular_files import sync
from dsl.errors import WarehouseError
from dsl.messages import one_line

HERE = Path(__file__).parent

WAREHOUSE = "warehouse.duckdb"
"""The file's name in a store."""

PATIENCE_SECONDS = 10.0
"""How long to wait for another process to let go of the file: loading a step takes much less."""

WAL_BYTES = 2**30
"""Changes kept beside the file before DuckDB puts them into it: left to itself, it does that after each
transaction of a large load."""

MEMORY_BYTES = 5 * 2**30
"""What DuckDB may hold, or half of the machine's memory where that is less. Beyond it, it writes beside the
file; what Python holds comes on top."""

COMPUTED = ("paired_scores", "contrast_tests", "language_gaps", "method_strengths", "size_trends")
"""Tables of what SQL alone does not compute."""


MADE_AGAIN = "`xp apply` on a spec or `xp rebuild` makes it again from the store's files."


class WarehouseHeld(WarehouseError):
    """Another process has the file open."""


class WarehouseUnreadable(WarehouseError):
    """The file is there and is no whole database: nothing in it can be relied on."""


_UNREADABLE = re.compile(
    "not a valid DuckDB database|Corrupt database|Could not read (enough|from)|checksum|invalidated|Failed to"
    " load metadata|deserializ|version number",
    re.IGNORECASE,
)
"""Words in which DuckDB says so, under several of its exceptions."""


def connect(
    path: Path, read_only: bool = False, patience: float = PATIENCE_SECONDS
) -> duckdb.DuckDBPyConnection:
    """Open the warehouse. A new file gets tables and views; views of another version of xp are replaced.

    Args:
        path: The file; with `read_only` it has to be there.
        read_only: The connection can change nothing and can read no other file either, whatever the SQL says.
        patience: Seconds to wait while another process has the file open.

    Raises:
        WarehouseHeld: another process has it open.
        WarehouseUnreadable: it is damaged.
        WarehouseError: there is none to read, or it has the tables of another version.
    """
    if not read_only:
        if not path.exists():
            with made_aside(path):
                pass
        connection = _open(path, read_only, patience)
        with told(path):
            _settle(connection, path)
        return connection
    if not path.exists():
        raise WarehouseError(
            f"{path}: there is no warehouse yet. `xp apply` makes one; `xp rebuild` makes it again from a"
            " store."
        )
    connection = _open(path, read_only, patience)
    with told(path):
        if _made_from(connection) == _digests():
            return connection
    connection.close()
    connect(path, patience=patience).close()  # a writer puts the views right, or says what is wrong
    return _open(path, read_only, patience)


@contextlib.contextmanager
def made_aside(path: Path) -> Generator[duckdb.DuckDBPyConnection]:
    """A new warehouse with tables and views, filled by the block, then put in the place of what is at `path`.

    Raises:
        WarehouseError: it cannot be written. What is at `path` stays as it is then, as it does if the block
            raises.
    """
    aside = path.with_name(f"{path.name}.new")
    path.parent.mkdir(parents=True, exist_ok=True)
    _remove(aside)
    try:
        connection = _open(aside, read_only=False, patience=0.0)
        with contextlib.closing(connection), told(path):
            _settle(connection, aside)
            yield connection
            connection.execute("checkpoint")
    except BaseException:
        _remove(aside)
        raise
    sync(aside)
    if path.is_dir():
        set_aside(path)
    _log_of(path).unlink(missing_ok=True)  # or DuckDB would play the old one's last changes into the new one
    aside.replace(path)
    sync(path.parent)


def set_aside(path: Path) -> Path:
    """Move an unreadable warehouse out of the way, in the place of one that was moved before. Returns where
    it lies now."""
    kept = path.with_name(f"{path.name}.unreadable")
    if kept.is_dir():
        shutil.rmtree(kept)
    _log_of(path).unlink(missing_ok=True)
    path.replace(kept)
    return kept


def wait_until_free(path: Path, patience: float = PATIENCE_SECONDS) -> None:
    """Return when no other process has the file open, whatever state the file is in.

    Raises:
        WarehouseError: a process still has it open when patience runs out.
    """
    try:
        _open(path, read_only=False, patience=patience).close()
    except WarehouseHeld:
        raise
    except WarehouseError:
        return


@contextlib.contextmanager
def told(about: object) -> Generator[None]:
    """Turn what DuckDB complains of into a WarehouseError that begins with what it is about."""
    try:
        yield
    except duckdb.Error as error:
        raise _error(about, error) from error


@contextlib.contextmanager
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
    return tuple(
        file for folder in ("base", "marts") for file in sorted((HERE / "views" / folder).glob("*.sql"))
    )


def kept_files() -> tuple[Path, ...]:
    """The questions whose answers are kept in a table of the file's name (`warehouse/statistics/refresh.py`),
    one file each."""
    return tuple(sorted((HERE / "views" / "kept").glob("*.sql")))


def kept_tables() -> tuple[str, ...]:
    """All that is computed when something was loaded."""
    return (*COMPUTED, *(file.stem for file in kept_files()))


def _open(path: Path, read_only: bool, patience: float) -> duckdb.DuckDBPyConnection:
    config: dict[str, str | bool | int | float | list[str]] = {
        "autoinstall_known_extensions": False,
        "enable_external_access": not read_only,
        "wal_autocheckpoint": f"{WAL_BYTES}B",
        "memory_limit": (
            f"{min(MEMORY_BYTES, os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') // 2)}B"
        ),
    }
    if odd := re.search(r"[?\\]", str(path.resolve())):
        raise WarehouseError(
            f"{path}: DuckDB opens no file below a folder with `{odd[0]}` in its name. Name another folder by"
            " `--store`"
        )
    until = time.monotonic() + patience
    while True:
        try:
            return duckdb.connect(str(path), read_only=read_only, config=config)
        except duckdb.Error as error:
            holder = re.search(r"Conflicting lock is held in (.*?) ?\(PID (\d+)\)", str(error))
            if holder is None:
                raise _error(path, error) from error
            if time.monotonic() >= until:
                program, pid = holder.groups()
                raise WarehouseHeld(
                    f"{path}: process {pid} ({one_line(program)}) has the warehouse open and did not close it"
                    f" within {patience:g} s. Close it there, or wait until it is done, and try again."
                ) from error
        time.sleep(0.05)


def is_unreadable(error: duckdb.Error) -> bool:
    """Whether DuckDB says that the file itself is damaged."""
    always = (duckdb.InternalException, duckdb.FatalException, duckdb.SerializationException)
    return isinstance(error, always) or _UNREADABLE.search(str(error)) is not None


def _error(about: object, error: duckdb.Error) -> WarehouseError:
    words = one_line(str(error))
    if is_unreadable(error):
        return WarehouseUnreadable(f"{about}: this is no readable warehouse ({words}). {MADE_AGAIN}")
    return WarehouseError(f"{about}: {words}")


def _log_of(path: Path) -> Path:
    """Where DuckDB keeps changes that are not in the file yet."""
    return path.with_name(f"{path.name}.wal")


def _remove(path: Path) -> None:
    for file in (path, _log_of(path)):
        file.unlink(missing_ok=True)


def _settle(connection: duckdb.DuckDBPyConnection, path: Path) -> None:
    """Make tables and views where they are missing, views again where they are old, and what is computed
    where another version did."""
    found, wanted = _made_from(connection), _digests()
    if found == wanted:
        return
    if found and found["schema"] != wanted["schema"]:
        connection.close()
        raise WarehouseError(
            f"{path}: its tables are not those of this version of xp. `xp rebuild` makes it again from the"
            " store."
        )
    with transaction(connection):
        if not found:
            run_file(connection, HERE / "schema.sql")
        is_old = bool(found) and found.get("computed") != wanted["computed"]
        for (name,) in connection.execute(
            "select view_name from duckdb_views() where not internal"
        ).fetchall():
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
        # numpy and scipy, which most commands do not need
        from warehouse.statistics.refresh import refresh_stale

        refresh_stale(connection)
        # last: a kill begins it again
        connection.execute("insert or replace into made_from values ('computed', ?)", [wanted["computed"]])


def _make_view(connection: duckdb.DuckDBPyConnection, file: Path) -> None:
    connection.execute(f'create view "{file.stem}" as {file.read_text("utf-8")}')


def _text(file: Path) -> str:
    return file.read_text("utf-8")


def _made_from(connection: duckdb.DuckDBPyConnection) -> dict[str, str]:
    """Digests of what tables and views were made from: none for an empty file, of nothing for someone else's
    database."""
    tables = {
        name
        for (name,) in connection.execute(
            "select table_name from duckdb_tables() where not internal"
        ).fetchall()
    }
    if "made_from" in tables:
        return dict(connection.execute("from made_from").fetchall())
    return {"schema": ""} if tables else {}


def digests(read: Callable[[Path], str] = _text) -> dict[str, str]:
    """Digests of what tables and views are made from here: the tables of what is loaded, the views, and all
    that decides what is computed."""
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
