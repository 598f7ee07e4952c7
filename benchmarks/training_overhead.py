"""Overhead of `xp apply` over a bare TRL script: SFT of SmolLM2-135M, the same arguments, the same rows, the
same losses step for step."""

import os
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks._training import study
from benchmarks.measured import Measured

METHOD: dict[str, Any] = {
    "method": "sft",
    "train": "instructions",
    "adapter": {"r": 8, "lora_alpha": 16},
    "training": {
        "max_steps": 24,
        "per_device_train_batch_size": 4,
        "learning_rate": 2.0e-4,
        "max_length": 256,
        "bf16": True,
    },
}


def run() -> Iterator[Measured]:
    """Whole processes, from start to end: Python and its libraries, loading, tokenising, training, writing
    the adapter.

    Both at once, each on a core of its own with one thread, so that whatever slows the machine down slows
    both; then again with the cores exchanged. Sums of the two.
    """
    with TemporaryDirectory() as folder:
        ours, baseline = map(
            sum, zip(*(_both(Path(folder) / str(n), turned=bool(n)) for n in range(2)), strict=True)
        )
    yield Measured("xp apply of an SFT step", ours / 2, baseline / 2, "a bare TRL script", "s", 1.03)


def _both(folder: Path, *, turned: bool) -> tuple[float, float]:
    folder.mkdir()
    spec, store = study.written(folder, {"sft": METHOD}), folder / "store"
    (job,) = study.jobs(spec, store, folder)
    seconds = _seconds_at_once([study.apply(spec, store, "sft"), study.script(job)], turned=turned)
    (losses,) = study.losses(store, "sft").values()
    expected = study.losses_of_script(job)
    assert len(losses) == len(expected) == METHOD["training"]["max_steps"]
    assert max(abs(one - other) for one, other in zip(losses, expected, strict=True)) < 1e-4, (
        losses,
        expected,
    )
    return seconds[0], seconds[1]


def _seconds_at_once(commands: Sequence[Sequence[str]], *, turned: bool) -> list[float]:
    """Seconds of each, all run at once, each on a core of its own."""
    cores = sorted(os.sched_getaffinity(0))[: len(commands)]
    began = time.perf_counter()
    running = {
        place: subprocess.Popen(
            ["taskset", "--cpu-list", str(core), *command],
            env=study.environment(threads=1),
            stdout=subprocess.DEVNULL,
        )
        for place, (command, core) in enumerate(
            zip(commands, reversed(cores) if turned else cores, strict=True)
        )
    }
    seconds: dict[int, float] = {}
    while len(seconds) < len(running):
        for place, process in running.items():
            if place not in seconds and process.poll() is not None:
                assert process.returncode == 0, commands[place]
                seconds[place] = time.perf_counter() - began
        time.sleep(0.01)
    return [seconds[place] for place in range(len(commands))]
