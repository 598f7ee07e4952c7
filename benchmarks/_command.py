"""Whole processes of `xp`, from the shell's point of view."""

import os
import statistics
import subprocess
import sys
import time


def median_seconds(*arguments: str) -> float:
    """Return the median duration of seven runs of an `xp` command. One before them does not
    count: it fills the system's caches and leaves the modules compiled, as the first on any machine does,
    also where an environment variable forbids Python to keep them."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}

    def seconds() -> float:
        begin = time.perf_counter()
        subprocess.run(
            [sys.executable, "-m", "xp", *arguments], check=True, stdout=subprocess.DEVNULL, env=environment
        )
        return time.perf_counter() - begin

    seconds()
    return statistics.median(seconds() for _ in range(7))
