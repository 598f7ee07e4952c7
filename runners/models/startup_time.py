"""Start-up time of a process: its own start and the import of libraries."""

import contextlib
import os
import time
from collections.abc import Generator
from pathlib import Path

_seconds = 0.0


@contextlib.contextmanager
def importing() -> Generator[None]:
    """Count the time of a block that imports heavy libraries; the second time it is next to nothing."""
    global _seconds
    began = time.perf_counter()
    try:
        yield
    finally:
        _seconds += time.perf_counter() - began


def count_process() -> None:
    """Count the time since this process started, where the system reports it."""
    global _seconds
    with contextlib.suppress(OSError):
        # proc(5): starttime, the 22nd field
        ticks = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
        _seconds += max(
            0.0, float(Path("/proc/uptime").read_text().split()[0]) - ticks / os.sysconf("SC_CLK_TCK")
        )


def taken() -> float:
    """Return the seconds counted since the last call."""
    global _seconds
    counted, _seconds = _seconds, 0.0
    return counted
