"""The warehouse of a large study: 20 models × 4 languages × 10 methods × 5 seeds on two data sets, 10 million
completions of a few hundred characters and 60 million verdicts of eight judges.

One model of the twenty lies in a store as its runners leave it, 2,600 steps in files of JSON lines, and is
loaded as `xp apply` loads it, into a warehouse that holds the other nineteen: files to tables, and all that
is computed of what was loaded. The nineteen are put there by SQL, and what is kept of them is a copy of what
was computed of the one, under their names: as many rows as it would be.

Each measurement is one process's: the memory is the most that any of them held. Times of views are of a fresh
process's first look.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks._scale.study import Shape
from benchmarks.measured import Measured, within

ROWS_A_SECOND = 100_000
VIEW_SECONDS = 5.0
REPORT_BYTES = 10_000_000
MEMORY_BYTES = 8 * 10**9


def run() -> Iterator[Measured]:
    """One run of each: they take minutes."""
    yield from measure(Shape())


def measure(shape: Shape) -> Iterator[Measured]:
    """The benchmark for a study of any size."""
    with TemporaryDirectory() as folder:
        peaks: list[float] = []

        def alone(what: str) -> dict[str, Any]:
            """Run one of the functions below in a process of its own."""
            arguments = json.dumps([what, folder, shape.models, shape.items])
            done = subprocess.run(
                [sys.executable, "-m", "benchmarks._scale", arguments], check=True, stdout=subprocess.PIPE
            )
            found = json.loads(done.stdout)
            peaks.append(found["peak_bytes"])
            return found

        alone("fill")
        loaded, read = alone("load"), alone("views")
        n_completions, n_verdicts = shape.n_completions, read["n_verdicts"]
        size = f"{n_completions / 1e6:.3g} million completions, {n_verdicts / 1e6:.3g} million verdicts"
        name = f"load {loaded['n_rows'] / 1e6:.2g} million rows into {size}, with what is computed of them"
        yield Measured(
            name,
            loaded["n_rows"] / loaded["seconds"],
            ROWS_A_SECOND,
            "the least",
            "rows/s",
            1.0,
            is_least=True,
        )
        seconds: dict[str, float] = read["seconds"]
        slowest = max(seconds, key=lambda view: seconds[view])
        yield within(
            f"the slowest view of the report ({slowest}) over {size}", seconds[slowest], VIEW_SECONDS
        )
        made = alone("report")
        yield Measured(
            f"the report of {size}", made["bytes"] / 1e6, REPORT_BYTES / 1e6, "the limit", "MB", 1.0
        )
        yield Measured(
            f"most memory of a process with {size}",
            max(peaks) / 1e9,
            MEMORY_BYTES / 1e9,
            "the limit",
            "GB",
            1.0,
        )
