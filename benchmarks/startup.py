"""Whole processes, from the shell's point of view: how long until `xp` has said what it was asked."""

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks._command import median_seconds
from benchmarks.measured import Measured, within

QUICKSTART = Path(__file__).resolve().parents[1] / "specs" / "quickstart.yaml"


def run() -> Iterator[Measured]:
    yield within("xp --help", median_seconds("--help"), 0.3)
    with TemporaryDirectory() as store:
        yield within(
            "xp plan specs/quickstart.yaml, nothing done",
            median_seconds("plan", str(QUICKSTART), "--store", store),
            0.6,
        )
