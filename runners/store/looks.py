"""Looks at a contrast, as sequential_test steps write them and later slices read them."""

from pathlib import Path

from dsl.data.records import Look
from runners.store.step_io import read_rows

FILE = "looks.jsonl"


def last_look(folder: Path) -> Look:
    """Return the look of a sequential_test step."""
    (look,) = read_rows(folder / FILE, Look)
    return look


def is_settled(folder: Path) -> bool:
    """Test whether a sequential_test step has settled its contrast, or one before it has."""
    return last_look(folder).is_settled
