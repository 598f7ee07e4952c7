"""Connections to the warehouse: a file, or a DuckLake (`warehouse.ducklake`).

Only one process can have the file open for writing, and while it has, no other can even read it. So a writer
opens it for a moment and closes it; a process that finds the file locked waits a little, then gives up with
the name of the process in the way.

A new file is written under another name and renamed when it is complete, so that a kill or a full disk leaves
no half of one.
"""

import contextlib
import os
import re
import shutil
import time
from collections.abc import Generator
from pathlib import Path

import duckdb

from dsl.data.regular_files import sync
from dsl.data.warehouse_address import WAREHOUSE as WAREHOUSE
from dsl.data.warehouse_address import is_lake
from dsl.errors import WarehouseError
from dsl.messages import one_line
from warehouse.ducklake import UNFINISHED, attach_lake, emptied, open_lake, swept
from warehouse.errors import WarehouseHeld, duckdb_errors, warehouse_error
from warehouse.migrate import is_current, migrate

STORAGE_VERSION = "v1.5.0"
"""Release of DuckDB whose clients open a new file, as do all later ones: the one before the pinned. Left to
itself, DuckDB writes files for its own. A file that was made before stays as it is, and is used as it is."""

PATIENCE_SECONDS = 10.0
"""Time to wait for another process to close the file: loading a step takes much less."""

WAL_BYTES = 2**30
"""Changes kept beside the file before DuckDB puts them into it: left to itself, it does that after each
transaction of a large load."""

MEMORY_BYTES = 5 * 2**30
"""DuckDB's memory limit, or half of the machine's memory where that is less. Beyond it, it spills to files
beside the warehouse; Python's own memory comes on top."""


def connect(
    path: Path, read_only: bool = False, patience: float = PATIENCE_SECONDS, may_migrate: bool = True
) -> duckdb.DuckDBPyConnection:
    """Open the warehouse. A new one gets tables and views; views of another version of xp are replaced.

    Args:
        path: The file, or the one with a DuckLake's address; with `read_only` it has to be there.
        read_only: The connection can change nothing and can read no other file either, whatever the SQL says.
        patience: Seconds to wait while another process has the file open.
        may_migrate: A reader may first have a writer replace views of another version.

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
        with duckdb_errors(path):
            migrate(connection, path)
        return connection
    if not path.exists():
        raise WarehouseError(
            f"{path}: there is no warehouse yet. `xp apply` makes one; `xp rebuild` makes it again from a"
            " store."
        )
    connection = _open(path, read_only, patience)
    with duckdb_errors(path):
        if is_current(connection):
            return connection
    connection.close()
    if not may_migrate:
        raise WarehouseError(
            f"{path}: its views are those of another version of xp. `xp query` or `xp apply` makes them anew;"
            " if xp was updated while this runs, start this again."
        )
    connect(path, patience=patience).close()  # a writer puts the views right, or says what is wrong
    return _open(path, read_only, patience)


@contextlib.contextmanager
def made_aside(path: Path) -> Generator[duckdb.DuckDBPyConnection]:
    """Make a new warehouse, filled by the block, then put in the place of what is at `path`.

    Raises:
        WarehouseError: it cannot be written. What is at `path` stays as it is then, as it does if the block
            raises. A DuckLake is emptied first, and read by nobody until it is filled.
    """
    if is_lake(path):
        with contextlib.closing(_open(path, False, PATIENCE_SECONDS)) as connection, duckdb_errors(path):
            emptied(connection)
            migrate(connection, path, is_new=True)
            yield connection
            connection.execute(f"drop table {UNFINISHED}")
            swept(connection)
        path.touch()  # by which `xp view` sees that there is something new
        return
    aside = path.with_name(f"{path.name}.new")
    path.parent.mkdir(parents=True, exist_ok=True)
    remove(aside)
    try:
        connection = _open(aside, read_only=False, patience=0.0)
        with contextlib.closing(connection), duckdb_errors(path):
            migrate(connection, aside)
            yield connection
            connection.execute("checkpoint")
    except BaseException:
        remove(aside)
        raise
    sync(aside)
    if path.is_dir():
        set_aside(path)
    _clear(_log_of(path))  # or DuckDB would play the old one's last changes into the new one
    aside.replace(path)
    sync(path.parent)


def set_aside(path: Path) -> Path:
    """Move an unreadable warehouse out of the way, over one moved before, and return its new path."""
    moved = path.with_name(f"{path.name}.unreadable")
    for one in (moved, _log_of(path)):
        _clear(one)
    path.replace(moved)
    return moved


def remove(path: Path) -> None:
    """Remove a database, then its log: a log alone is not read. A DuckLake stays, to be made again."""
    if is_lake(path):
        return
    for one in (path, _log_of(path)):
        _clear(one)


def _clear(path: Path) -> None:
    """Delete what is at a path: a file, a link, or a folder that somebody put there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def wait_until_free(path: Path, patience: float = PATIENCE_SECONDS) -> None:
    """Wait until no other process has the file open, whatever state the file is in.

    Raises:
        WarehouseError: a process still has it open when patience runs out.
    """
    if not path.exists():  # opened, it would be made
        return
    try:
        _open(path, read_only=False, patience=patience).close()
    except WarehouseHeld:
        raise
    except WarehouseError:
        return


def attach(connection: duckdb.DuckDBPyConnection, path: Path, name: str) -> None:
    """Attach a warehouse under a name, read-only."""
    if is_lake(path):
        attach_lake(connection, path, name, read_only=True)
    else:
        quoted = str(path).replace("'", "''")
        connection.execute(f"attach '{quoted}' as {name} (read_only)")


def half_of_memory() -> int:
    """Return half of the machine's memory in bytes."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2


def memory_limit() -> str:
    """Return DuckDB's memory limit, as its setting takes it."""
    return f"{min(MEMORY_BYTES, half_of_memory())}B"


def _open(path: Path, read_only: bool, patience: float) -> duckdb.DuckDBPyConnection:
    if is_lake(path):
        return open_lake(path, read_only, patience, memory_limit())
    config: dict[str, str | bool | int | float | list[str]] = {
        "autoinstall_known_extensions": False,
        "enable_external_access": not read_only,
        # settings too: logging to a file, which may not be reached, ends the process
        "lock_configuration": read_only,
        "storage_compatibility_version": STORAGE_VERSION,
        "wal_autocheckpoint": f"{WAL_BYTES}B",
        "memory_limit": memory_limit(),
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
                raise warehouse_error(path, error) from error
            if time.monotonic() >= until:
                program, pid = holder.groups()
                raise WarehouseHeld(
                    f"{path}: process {pid} ({one_line(program)}) has the warehouse open and did not close it"
                    f" within {patience:g} s. Close it there, or wait until it is done, and try again."
                ) from error
        time.sleep(0.05)


def _log_of(path: Path) -> Path:
    """Return DuckDB's write-ahead log: changes that are not in the file yet."""
    return path.with_name(f"{path.name}.wal")
