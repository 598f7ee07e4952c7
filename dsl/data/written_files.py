"""Files that are there whole or not at all, and folders for scratch files: on a full disk, too."""

import contextlib
import errno
import os
import tempfile
from collections.abc import Generator
from pathlib import Path

from dsl.errors import OutputError

REFUSALS = {
    *(errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO),
    *(errno.EMFILE, errno.ENFILE),
}
"""Errors by which the machine refuses a file, whichever it is: no bug."""


@contextlib.contextmanager
def written_aside(path: Path, *, is_of_many: bool = False) -> Generator[Path]:
    """Give the block a file beside `path` to write, which takes its place when the block ends, and is removed
    where it fails.

    Args:
        is_of_many: Several processes may write it at a time.

    Raises:
        OSError: it cannot be written; its `filename` is there in any case.
    """
    aside = path.with_name(f"{path.name}.{os.getpid()}.tmp" if is_of_many else f"{path.name}.tmp")
    try:
        yield aside
        aside.replace(path)
    except BaseException as error:
        with contextlib.suppress(OSError):
            aside.unlink(missing_ok=True)
        if isinstance(error, OSError) and (error.filename is None or error.filename == str(aside)):
            error.filename, error.filename2 = str(path), None  # a write names no file
        raise


@contextlib.contextmanager
def scratch_folder() -> Generator[Path]:
    """Make a folder for scratch files, which is removed in the end.

    Raises:
        OutputError: the system's place for such files (TMPDIR) takes none.
    """
    try:
        place = tempfile.gettempdir()  # to find it, Python writes a file
    except OSError as error:
        raise OutputError(
            f"scratch files: {error.strerror or error}. TMPDIR names a folder for them"
        ) from error
    try:
        with tempfile.TemporaryDirectory(prefix="xp-") as folder:
            yield Path(folder)
    except OSError as error:
        if error.errno in REFUSALS and str(error.filename or place).startswith(place):
            raise OutputError(
                f"{place}: scratch files cannot be written: {error.strerror}. TMPDIR names another folder"
            ) from error
        raise
