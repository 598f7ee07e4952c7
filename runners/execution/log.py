"""A step's log: all that libraries print, and tracebacks."""

import contextlib
import os
import sys
import traceback
from collections.abc import Generator
from pathlib import Path


@contextlib.contextmanager
def output_to(log: Path) -> Generator[None]:
    """Send file descriptors 1 and 2 to the end of a file: C libraries and child processes write there too."""
    sys.stdout.flush()
    sys.stderr.flush()
    before = os.dup(1), os.dup(2)
    with log.open("ab", buffering=0) as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):  # a full disk: what is lost is output
            sys.stdout.flush()
            sys.stderr.flush()
        for number, copy in zip((1, 2), before, strict=True):
            os.dup2(copy, number)
            os.close(copy)


def log_traceback(error: Exception, log: Path) -> None:
    """Add an error's traceback to the log, where there is room on the disk."""
    with contextlib.suppress(OSError), log.open("a", encoding="utf-8") as file:
        file.write("".join(traceback.format_exception(error)))
