"""Locks of a store, on the whole of it and on each attempt at a step.

They are the system's own (`flock`), which end with the process however it ends, so what a killed process left
behind needs no clearing. The second kind is there so that a worker that outlived its parent and a new one
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
from collections.abc import Generator
from pathlib import Path

from dsl.errors import StoreError, StoreLocked
from runners.store.disk_errors import unwritten

ORPHAN_SECONDS = 120.0
"""Time that an attempt waits for a process that still holds the same step: a worker whose parent was killed
ends in a second or two, and a file server lets go of a lost machine's locks after a minute and a half
(NFSv4)."""


def holder(path: Path) -> str | None:
    """Describe the process that holds a lock file; None where there is none.

    `flock` has no way to ask but to take a shared lock, for the moment until the file is closed. Who wants to
    hold it (`hold_store`) tells that from a holder.
    """
    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _describe(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        pass
    return None


@contextlib.contextmanager
def hold_store(root: Path) -> Generator[None]:
    """Hold the lock in a store's folder, which is made if need be.

    Raises:
        StoreLocked: someone else holds it; the message names the process, its host and since when.
        StoreError: the folder cannot be written.
    """
    path = root / "lock"
    try:
        root.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise unwritten(error, path) from error
    try:
        while not _is_taken(handle, path):
            if other := holder(path):
                raise StoreLocked(
                    f"{root} is in use: {other}. Wait until it ends, or choose another `--store`"
                )
            time.sleep(0.001)  # somebody looked who holds it
        try:
            _write_holder(handle)
            os.fsync(handle)  # or NFS keeps it here for half a minute, while jobs on other nodes ask for it
        except OSError as error:
            raise unwritten(error, path) from error
        yield
        os.ftruncate(handle, 0)
    finally:
        os.close(handle)


def hold_step(folder: Path) -> int:
    """Take the lock in an attempt's folder and return its descriptor.

    The holder may be finishing just now, which moves the folder away: then the lock just taken was that
    folder's, and a new one is needed.
    """
    patience = time.monotonic() + ORPHAN_SECONDS
    while True:
        folder.mkdir(parents=True, exist_ok=True)
        try:
            handle = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT, 0o644)
        except FileNotFoundError:
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


def _is_taken(handle: int, path: Path) -> bool:
    """Take a lock, unless another process has it."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        raise StoreError(f"{path}: this file system gives no locks ({error.strerror})") from error
    return True


def _is_at(handle: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except FileNotFoundError:
        return False


def _write_holder(handle: int) -> None:
    holder = {
        "pid": os.getpid(),
        "host": socket.gethostname(),
        "since": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "command": shlex.join(sys.orig_argv),
    }
    os.ftruncate(handle, 0)
    os.pwrite(handle, json.dumps(holder).encode(), 0)


def _describe(holder: bytes) -> str:
    try:
        known = json.loads(holder)
        return f"process {known['pid']} on {known['host']} since {known['since']} ({known['command']})"
    except (ValueError, KeyError, TypeError):  # between taking the lock and writing who took it
        return "another process, begun just now"
