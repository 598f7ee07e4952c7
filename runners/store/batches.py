"""Batches of requests that a step has left at a provider.

    <attempt's folder>/batches/<name>.json    a batch: written before it is submitted, and as it goes on
    <attempt's folder>/batches/<name>.jsonl   its answers, line by line as the provider gives them
    <attempt's folder>/batches/<name>.errors.jsonl

A kill at any moment leaves a name to look for at the provider: it stands in the batch's metadata. The folder
is dropped when the step is finished. A process makes one step at a time: `kept_in` says whose folder it is.
"""

import contextlib
import shutil
from collections.abc import Generator
from pathlib import Path

from dsl.data.records import Record, read_record
from runners.store.disk_errors import unwritten
from runners.store.step_io import write_json

_FOLDER = "batches"


class Batch(Record):
    """One batch."""

    IF_LOST = "It names a batch at the provider. Delete it, and its requests are submitted again"

    name: str
    requests: tuple[str, ...]
    """Their `custom_id`s."""
    batch_id: str | None = None
    """The provider's name of it; None until that is known."""
    status: str = "unknown"
    """State that the provider gave last."""
    is_fetched: bool = False
    """It has ended, and its answers lie here."""
    error: str | None = None
    """The provider's reason why a request has no answer, where it says one for the whole batch."""
    is_over: bool = False
    """A generation had all of its answers: what failed in it is asked again."""


_attempt: Path | None = None


@contextlib.contextmanager
def kept_in(folder: Path) -> Generator[None]:
    """Keep the batches of the attempt in the block in its folder."""
    global _attempt
    _attempt = folder
    try:
        yield
    finally:
        _attempt = None


def place() -> Path | None:
    """Return the folder of the attempt at work; None outside of one, where nobody could come back."""
    return _attempt


def read(attempt: Path) -> list[Batch]:
    """Return an attempt's batches, those that are over first.

    Raises DataError where one cannot be read.
    """
    found = [read_record(path, Batch) for path in sorted((attempt / _FOLDER).glob("*.json"))]
    return sorted(found, key=lambda batch: not batch.is_over)


def write(attempt: Path, batch: Batch) -> None:
    """Write a batch, in the place of what was known of it. Raises StoreError."""
    path = path_of(attempt, batch)
    try:
        path.parent.mkdir(exist_ok=True)
        write_json(path, batch)
    except OSError as error:
        raise unwritten(error, path) from error


def forget(attempt: Path, batch: Batch) -> None:
    """Delete a batch that was never submitted."""
    path_of(attempt, batch).unlink(missing_ok=True)


def path_of(attempt: Path, batch: Batch) -> Path:
    """Return a batch's file."""
    return attempt / _FOLDER / f"{batch.name}.json"


def answers_of(attempt: Path, batch: Batch) -> tuple[Path, Path]:
    """Return the files for a batch's answers, and for its errors; either may not be there."""
    path = path_of(attempt, batch)
    return path.with_suffix(".jsonl"), path.with_suffix(".errors.jsonl")


def n_waiting(attempt: Path) -> int:
    """Return the number of an attempt's requests that wait at a provider."""
    return sum(len(batch.requests) for batch in read(attempt) if not batch.is_fetched)


def are_waiting() -> bool:
    """Test whether requests of the attempt at work wait at a provider, or may."""
    return _attempt is not None and n_waiting(_attempt) > 0


def drop(attempt: Path) -> None:
    """Delete the batches of an attempt that is finished: its rows hold their answers."""
    shutil.rmtree(attempt / _FOLDER, ignore_errors=True)
