"""Errors of a disk that is full, or of a file that cannot be written."""

import errno
from pathlib import Path

from dsl.errors import StoreError


def is_disk_full(error: BaseException | None) -> bool:
    """Check if an error, or one below it, says that there is no room.

    Libraries in Rust and C++ raise what they like, so words count.
    """
    while error is not None:
        if getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            return True
        if any(words in str(error) for words in ("No space left on device", "File too large")):
            return True
        error = error.__cause__ or error.__context__
    return False


def unwritten(error: BaseException, path: Path) -> StoreError:
    """Return the error to raise where a file could not be written."""
    if is_disk_full(error) and getattr(error, "errno", None) != errno.EFBIG:
        return StoreError(f"no space left on device while writing {path}. Free space and apply again")
    return StoreError(f"{path}: cannot be written: {getattr(error, 'strerror', None) or error}")
