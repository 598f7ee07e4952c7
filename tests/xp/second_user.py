"""The rights of another user than the owner of files, for tests that run as root."""

import ctypes
import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

OWNER = 12_345
"""A user that nobody is."""
_RIGHTS_OVER_FILES = 0b1111
"""Capabilities by which root passes by owners and modes of files."""
_VERSION_3 = 0x20080522


def give_away(folder: Path) -> None:
    """Make another user the owner of a folder and all that is in it."""
    for path in (folder, *folder.rglob("*")):
        os.chown(path, OWNER, OWNER)


@contextmanager
def as_another_user() -> Generator[None]:
    """Have no rights over others' files but those that their modes give."""
    libc = ctypes.CDLL(None, use_errno=True)
    header, held = (ctypes.c_uint32 * 2)(_VERSION_3, 0), (ctypes.c_uint32 * 6)()
    assert libc.capget(header, held) == 0
    fewer = (ctypes.c_uint32 * 6)(*held)
    fewer[0] &= ~_RIGHTS_OVER_FILES  # of the effective ones
    assert libc.capset(header, fewer) == 0
    try:
        yield
    finally:
        assert libc.capset(header, held) == 0
