"""Locks of a store, on the whole of it and on each attempt at a step.

They are the system's own (`flock`), which end with the process however it ends, so what a killed process left
behind needs no clearing. Applies hold the whole of it together (`runners.store.applies`), and a command that
rewrites it holds it alone. The second kind is there so that a worker that outlived its parent and a new one
never write the same step.
"""

import contextlib
import datetime
import fcntl
import json
import os
import shlex
import socket
import sys
import time
from collections.abc import Callable, Generator, Iterable
from pathlib import Path

from dsl.errors import StoreError, StoreLocked
from runners.store.disk_errors import unwritten

ORPHAN_SECONDS = 120.0
"""Time that an attempt waits for a process that still holds the same step: a worker whose parent was killed
ends in a second or two, and a file server lets go of a lost machine's locks after a minute and a half
(NFSv4)."""

APPLIES = "applies"
"""Folder of a store with a file for each apply at work, which that one holds."""


def holder(path: Path) -> str | None:
    """Describe the process that holds a lock file; None where there is none.

    `flock` has no way to ask but to take a shared lock, for the moment until the file is closed. Who wants to
    hold it (`hold_store`) tells that from a holder.
    """
    try:
        with path.open("rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return _describe(file.read())  # by its name it may be gone by now
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        pass
    return None


def holders(root: Path) -> tuple[str, ...]:
    """Describe the processes that hold a store: a command alone, or applies side by side."""
    if (alone := holder(root / "lock")) is not None:
        return (alone,)
    found = (holder(path) for path in sorted((root / APPLIES).glob("*")))
    return tuple(one for one in found if one is not None)


def is_left(root: Path) -> bool:
    """Test whether a process was killed that held a store, of those that nobody holds."""
    return any(
        path.is_file() and path.stat().st_size for path in (root / "lock", *(root / APPLIES).glob("*"))
    )


@contextlib.contextmanager
def hold_store(root: Path) -> Generator[None]:
    """Hold the lock in a store's folder alone; the folder is made if need be.

    Raises:
        StoreLocked: someone else holds it; the message names the process, its host and since when.
        StoreError: the folder cannot be written.
    """
    path = root / "lock"
    handle = opened(path)
    try:
        take_whole(root, handle, fcntl.LOCK_EX, lambda: holders(root))
        write_holder(handle, path)
        yield
        os.ftruncate(handle, 0)
    finally:
        os.close(handle)


def take_whole(root: Path, handle: int, how: int, others: Callable[[], Iterable[str]]) -> None:
    """Take the lock of a whole store, alone or beside others (`how`).

    Raises:
        StoreLocked: `others` names somebody who has it.
        StoreError: the file system gives no locks.
    """
    while not is_taken(handle, root / "lock", how):
        if found := "; ".join(others()):
            raise StoreLocked(f"{root} is in use: {found}. Wait until it ends, or choose another `--store`")
        time.sleep(0.001)  # somebody looked who holds it


@contextlib.contextmanager
def turn(path: Path, patience: float) -> Generator[None]:
    """Wait for a lock that is held for a moment at a time, and hold it in the block.

    Raises:
        StoreLocked: another process has it for longer than `patience`, in seconds.
        StoreError: the file cannot be written.
    """
    handle, until = opened(path), time.monotonic() + patience
    try:
        while not is_taken(handle, path):
            if time.monotonic() >= until:
                raise StoreLocked(f"{path} is held by {holder(path) or 'another process'}")
            time.sleep(0.01)
        write_holder(handle, path, is_synced=False)
        yield
    finally:
        os.close(handle)


def take(path: Path) -> int | None:
    """Take the lock of a file that ends with it (`drop`), and return its descriptor; None where another
    process holds it.

    Raises StoreError where the file cannot be written.
    """
    while True:
        handle = opened(path)
        if not is_taken(handle, path):
            os.close(handle)
            return None
        if _is_at(handle, path):
            write_holder(handle, path, is_synced=False)
            return handle
        os.close(handle)  # its holder was just dropping it


def drop(handle: int, path: Path) -> None:
    """Let go of a file's lock, and of the file."""
    with contextlib.suppress(OSError):
        path.unlink()
    os.close(handle)


def hold_step(folder: Path) -> int:
    """Take the lock in an attempt's folder and return its descriptor.

    The holder may be finishing just now, which moves the folder away: then the lock just taken was that
    folder's, and a new one is needed.
    """
    patience = time.monotonic() + ORPHAN_SECONDS
    while True:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            handle = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT, 0o666)
        except (FileNotFoundError, FileExistsError):  # moved away as it was looked at
            if os.path.lexists(folder) and not folder.is_dir():
                raise
            continue
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_at(handle, folder / ".lock"):
                _write_holder(handle)
                return handle
            os.close(handle)
        except BlockingIOError:
            other = os.pread(handle, 10_000, 0)
            os.close(handle)
            if time.monotonic() > patience:
                raise StoreLocked(f"{folder.stem} is being made already: {_describe(other)}") from None
            time.sleep(0.05)


def opened(path: Path) -> int:
    """Open a lock's file, which is made if need be. Raises StoreError."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return os.open(path, os.O_RDWR | os.O_CREAT, 0o666)  # but for the umask: a group may share it
    except OSError as error:
        raise unwritten(error, path) from error


def is_taken(handle: int, path: Path, how: int = fcntl.LOCK_EX) -> bool:
    """Take a lock, unless another process has it. Raises StoreError where there are no locks."""
    try:
        fcntl.flock(handle, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        raise StoreError(f"{path}: this file system gives no locks ({error.strerror})") from error
    return True


def write_holder(handle: int, path: Path, *, is_synced: bool = True, **more: str) -> None:
    """Write who holds a lock, for all machines to read. Raises StoreError."""
    try:
        _write_holder(handle, **more)
        if is_synced:  # or NFS keeps it here for half a minute, while jobs on other nodes ask for it
            os.fsync(handle)
    except OSError as error:
        raise unwritten(error, path) from error


def _is_at(handle: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except FileNotFoundError:
        return False


def _write_holder(handle: int, **more: str) -> None:
    holder = {
        "pid": os.getpid(),
        "host": socket.gethostname(),
        "since": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "command": shlex.join(sys.orig_argv),
        **more,
    }
    written = json.dumps(holder).encode()
    os.pwrite(handle, written, 0)
    os.ftruncate(handle, len(written))  # to 0 before, and ext4 would write it to the disk at its closing


def _describe(holder: bytes) -> str:
    try:
        known = json.loads(holder)
        return f"process {known['pid']} on {known['host']} since {known['since']} ({known['command']})"
    except (ValueError, KeyError, TypeError):  # between taking the lock and writing who took it
        return "another process, begun just now"
