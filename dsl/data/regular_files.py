"""Read the files that a spec names, regular ones only; and sync written files to disk.

A spec may come from a stranger: a pipe would never end, and what the kernel shows of processes and devices is
no data.
"""

import io
import os
import re
import stat
from collections.abc import Iterable
from pathlib import Path

from dsl.errors import DataError

_OF_THE_KERNEL = (Path("/proc"), Path("/sys"), Path("/dev"))
_NAME = re.compile(r"[\w .()/\-]{1,40}")


def open_regular(path: Path) -> io.BufferedReader:
    """Open a file for reading.

    Raises:
        DataError: it is missing, is not a regular file, or cannot be read.
    """
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK)  # a pipe would wait for its writer
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: {getattr(error, 'strerror', None) or error}") from error
    if stat.S_ISREG(os.fstat(handle).st_mode) and not any(
        path.resolve().is_relative_to(top) for top in _OF_THE_KERNEL
    ):
        return open(handle, "rb")
    kind = "a folder" if stat.S_ISDIR(os.fstat(handle).st_mode) else "not a regular file"
    os.close(handle)
    raise DataError(f"{path}: this is {kind}; a file is needed")


def read_regular(path: Path) -> bytes:
    """The bytes of a file.

    Raises:
        DataError: as `open_regular`.
    """
    try:
        with open_regular(path) as file:
            return file.read()
    except OSError as error:
        raise DataError(f"{path}: {error.strerror or error}") from error


def are_column_names(names: Iterable[str]) -> bool:
    """Test whether an error may show these: the first line of any other file is not for errors."""
    every = list(names)
    return len(every) > 1 and all(_NAME.fullmatch(name) for name in every)


def begins_as(content: str, keys: Iterable[str]) -> bool:
    """Test whether a YAML text has one of these keys at its top level: only then may an error quote it."""
    return re.search(rf"^(?:{'|'.join(map(re.escape, keys))})\s*:", content, re.MULTILINE) is not None


def sync(path: Path) -> None:
    """Have the system put a file or a folder on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
