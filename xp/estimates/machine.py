"""Machine that a plan's steps would run on: its name, memory and speed, without torch."""

import json
import os
import platform
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from functools import cache, cached_property
from pathlib import Path
from typing import Any, cast

from runners.execution.gpus import visible

GPUS = {
    "H200": (989e12, 4.8e12),
    "H100": (989e12, 3.35e12),
    "A100": (312e12, 1.55e12),
    "L40S": (362e12, 0.86e12),
    "L4": (121e12, 0.30e12),
    "A10": (125e12, 0.60e12),
    "T4": (65e12, 0.32e12),
    "V100": (125e12, 0.90e12),
}
"""Word in a GPU's name -> dense half-precision FLOP/s and bytes per second of its memory, as NVIDIA's data
sheets state them; of several forms the slower one (SXM for H100 and H200)."""

REACHED = (0.7, 0.5)
"""Parts of a processor's measured FLOP/s and memory speed that a model reaches: as steps of 135M and 270M
parameters did on two cores."""

REACHED_OF_PEAK = (0.35, 0.5)
"""The same of the peaks of a GPU's data sheet."""


@dataclass(frozen=True, slots=True)
class Speed:
    """Speed at which a device computes."""

    flops: float
    """Floating-point operations per second."""
    bytes_per_second: float
    """At which weights are read from memory, once for each token that a batch decodes."""

    def reached(self, parts: tuple[float, float]) -> "Speed":
        """Return so much of it."""
        return Speed(self.flops * parts[0], self.bytes_per_second * parts[1])


@dataclass(frozen=True)
class Machine:
    """Device that loads models."""

    name: str
    device: str
    """`cuda` or `cpu`, as steps record it."""
    memory_bytes: int
    """Memory of the device: a GPU's own, or this machine's, or that of its container."""
    measure: Callable[[], Speed] = field(repr=False)
    is_known: bool = True
    """False for a GPU that `GPUS` lacks: its speed is a guess, the slowest of the list."""

    @cached_property
    def speed(self) -> Speed:
        """Speed that a model reaches on it, measured when it is first asked for."""
        return self.measure()


def machine(cache_folder: Path | None = None) -> Machine:
    """Describe the machine that this process is on.

    Args:
        cache_folder: Folder of a store, in which a processor's measured speed is kept; None keeps nothing.
    """
    return _gpu() or _processor(cache_folder)


@cache
def _gpu() -> Machine | None:
    """The first GPU that this process sees; None where it sees none."""
    seen = visible()
    if not seen:
        return None
    query = ["nvidia-smi", "--query-gpu=index,uuid,name,memory.total", "--format=csv,noheader,nounits"]
    try:
        done = subprocess.run(query, capture_output=True, text=True, timeout=10, check=True)
        gpus = [line.split(", ") for line in done.stdout.splitlines()]
        # CUDA takes the first letters of a UUID for the whole; an instance of a GPU has one of its own
        first = next((gpu for gpu in gpus if gpu[0] == seen[0] or gpu[1].startswith(seen[0])), gpus[0])
        _, _, name, mebibytes = first
        memory = int(mebibytes) * 2**20
    except (OSError, subprocess.SubprocessError, IndexError, ValueError):
        return None
    peaks = next((GPUS[word] for word in name.replace("-", " ").split() if word in GPUS), None)
    speed = Speed(*(peaks or map(min, zip(*GPUS.values(), strict=True)))).reached(REACHED_OF_PEAK)
    return Machine(name, "cuda", memory, lambda: speed, is_known=peaks is not None)


def _processor(cache_folder: Path | None) -> Machine:
    n_cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    kept = None if cache_folder is None else cache_folder / "machine.json"
    mark = [platform.node(), platform.machine(), n_cores]

    def measure() -> Speed:
        speed = _kept(kept, mark)
        if speed is None:
            speed = _measured(n_cores)
            if kept is not None:
                with suppress(OSError):
                    kept.write_text(json.dumps([mark, asdict(speed)]), "utf-8")
        return speed.reached(REACHED)

    return Machine(f"{n_cores} CPU core{'s' if n_cores > 1 else ''}", "cpu", _memory_bytes(), measure)


def _kept(file: Path | None, mark: list[str | int]) -> Speed | None:
    """The speed that was measured on this machine before."""
    if file is None:
        return None
    with suppress(OSError, ValueError, TypeError):
        whose, speed = cast("list[Any]", json.loads(file.read_bytes()))
        if whose == mark:
            return Speed(**speed)
    return None


@cache
def _measured(n_cores: int) -> Speed:
    """Multiply matrices in float32 and read memory, for a few hundredths of a second.

    Both on one core, in pieces shorter than the time that a scheduler gives a process, of which the best
    counts: other work on the machine matters little then.
    """
    import numpy as np  # a third of a second, which only a plan that needs the speed pays

    n_matrices, side = 32, 64  # so small that a product stays on one core
    matrices = np.ones((n_matrices, side, side), np.float32)
    product, numbers = np.empty_like(matrices), np.ones(2**23, np.float32)

    def best(work: Callable[[], object]) -> float:
        seconds: list[float] = []
        for _ in range(20):
            began = time.perf_counter()
            work()
            seconds.append(time.perf_counter() - began)
        return max(min(seconds), 1e-9)

    flops = 2 * n_matrices * side**3 / best(lambda: np.matmul(matrices, matrices, out=product))
    return Speed(n_cores * flops, numbers.nbytes / best(numbers.max))


def _memory_bytes() -> int:
    import psutil

    total = int(psutil.virtual_memory().total)
    with suppress(OSError, ValueError):  # no such container, or `max`: no limit
        return min(total, int(Path("/sys/fs/cgroup/memory.max").read_text()))
    return total
