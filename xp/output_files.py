"""Files that commands write for people and other tools: all of them or none."""

import contextlib
import shutil
from collections.abc import Generator, Mapping
from pathlib import Path

from dsl.data.written_files import written_aside
from dsl.errors import ArgumentError, OutputError
from runners.store.disk_errors import is_disk_full


def write_together(files: Mapping[Path, str]) -> None:
    """Write texts, none of them where one cannot be.

    Raises:
        OutputError: one cannot be written.
    """
    path = Path()
    try:
        with contextlib.ExitStack() as asides:
            for path, text in files.items():
                path.parent.mkdir(parents=True, exist_ok=True)
                asides.enter_context(written_aside(path)).write_text(text, "utf-8")
    except OSError as error:
        raise OutputError(
            f"{error.filename or path}: cannot be written: {error.strerror or error}"
        ) from error


@contextlib.contextmanager
def filled(folder: Path, option: str = "") -> Generator[None]:
    """Have a folder filled that is empty, or made for it; where that fails, nothing is left in it.

    Raises:
        ArgumentError: it holds something. `option` names another.
        OutputError: it cannot be written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise ArgumentError(
                f"{folder} is not empty, and nothing in it is overwritten. Name another{option}"
            )
        try:
            yield
        except BaseException:
            for one in folder.iterdir():
                shutil.rmtree(one) if one.is_dir() else one.unlink()
            raise
    except OSError as error:
        raise OutputError(
            f"{error.filename or folder}: cannot be written: {error.strerror or error}"
        ) from error
    except Exception as error:  # libraries in Rust and C++ raise what they like
        if is_disk_full(error):
            raise OutputError(f"{folder}: cannot be written: {error}") from error
        raise
