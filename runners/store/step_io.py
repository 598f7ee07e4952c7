"""Contract of a runner: its context, its result, and its rows. `runners/steps/<kind>.py` has one function:

    def run(step, context: StepContext, out: Path) -> StepResult

It reads the files of its inputs, writes its own into `out`, and returns what it counted. It knows no plan, no
database, no other runner. Rows are appended to JSON lines as they are made (`RowWriter`), so that a killed
run loses at most the batch in flight. What an earlier attempt has left lies in `out` still, what other steps
have made is found through `context.reuse_from`; a row's `row_key` says if it is valid.
"""

import json
import os
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

from pydantic import ValidationError

from dsl.data.fingerprints import file_sha256
from dsl.data.records import why_invalid
from dsl.data.regular_files import sync
from dsl.data.written_files import written_aside
from dsl.values import StepId, Value
from runners.store import faults
from runners.store.digests import Checks

CODE = "code.json"
"""A file of an attempt at a training: the code whose checkpoints lie there, since they do not say it as rows
do."""
CHECKS = Checks()
"""Checks of the finished steps that this process has read."""

Row = TypeVar("Row", bound=Value)


def _silent(done: int, total: int) -> None:
    """Progress that nobody watches."""


@dataclass(frozen=True)
class StepContext:
    """Folders and settings that a step works with."""

    folders: Mapping[StepId, Path]
    """Each input step's finished folder."""
    cache: Path
    """For what can be made again, such as converted weights; shared by all steps of the store."""
    reuse_from: tuple[str, ...] = ()
    """Other steps of the same kind whose rows can be reused, the most promising first: each by the folder
    that it has once it is finished. As text, since they are many for a step of few rows."""
    report: Callable[[int, int], None] = field(default=_silent)
    """Called with (rows done, rows in all) as work goes on."""
    earlier: tuple[Path, ...] = ()
    """Folders, besides `out`, in which earlier attempts at this very step have left rows."""
    part: range | None = None
    """The slice of its examples that a generate step is to answer now; None is all of them."""
    n_processes: int = 1
    """Processes that a training is shared out to."""
    fsdp: bool = False
    """They hold a part of its weights each."""

    def __getitem__(self, step_id: StepId) -> Path:
        return self.folders[step_id]


@dataclass(frozen=True)
class StepResult:
    """Counts and facts of a runner's work."""

    n_rows: int = 0
    n_reused: int = 0
    n_open: int = 0
    n_of_other_code: int = 0
    """Reused rows that other code made; of a training, optimiser steps."""
    load_seconds: float = 0.0
    peak_memory_bytes: int = 0
    """Peak of a process that did the work in the place of this one."""
    facts: Mapping[str, str | int | float | bool | None] = field(
        default_factory=dict[str, str | int | float | bool | None]
    )


class RowWriter:
    """Appends values to a JSON lines file, each line whole and handed to the system at once.

    A file left by a killed attempt may end in half a line: that half is cut off before anything is added.
    """

    def __init__(self, path: Path) -> None:
        if path.exists():
            whole = path.read_bytes().rfind(b"\n") + 1
            os.truncate(path, whole)
        self._file = path.open("ab", buffering=0)

    def write(self, row: Value) -> None:
        line = row.model_dump_json().encode() + b"\n"
        # a system that is short of room takes a part, and says so when it is asked to take the rest
        while line:
            line = line[self._file.write(line) :]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()


KEY = b'{"row_key":"'
"""Beginning of a line, before its row's key."""


def read_rows(path: Path, row: type[Row], keys: Container[str] | None = None) -> Iterator[Row]:
    """Yield the whole rows of a JSON lines file, without the half line that a killed attempt leaves.

    A missing file has none.

    Args:
        keys: only rows with one of these `row_key`s. A line begins with its key, so that the others are not
            parsed.

    Raises:
        ValueError: a line that is not the last one cannot be read.
    """
    for number, found in whole_rows(path, row, keys):
        if isinstance(found, ValidationError):
            raise ValueError(f"{path}:{number}: not a {row.__name__}: {why_invalid(found)}") from found
        yield found


def whole_rows(
    path: Path, row: type[Row], keys: Container[str] | None
) -> Iterator[tuple[int, Row | ValidationError]]:
    """Yield each whole line's number and its row, or why it is none; arguments as of `read_rows`."""
    try:
        lines = path.open("rb")  # bytes, because half a line may end in half a character
    except FileNotFoundError:
        return
    with lines:
        for number, line in enumerate(lines, 1):
            if not line.endswith(b"\n"):
                return
            if (
                keys is not None
                and line.startswith(KEY)
                and line[len(KEY) : len(KEY) + 64].decode("latin-1") not in keys
            ):
                continue
            try:
                yield number, row.model_validate_json(line)
            except ValidationError as error:
                yield number, error


def tuned_weights(folder: Path | None) -> list[str]:
    """Path and SHA-256 of each weight file of a training step; none where nothing was tuned.

    They are part of row keys, since the same step trained again, on a GPU say, need not give the same
    weights. A finished step's hashes are read from its outcome.
    """
    if folder is None:
        return []
    written = CHECKS.files(str(folder))
    names = [str(file.relative_to(folder)) for file in sorted(folder.rglob("*.safetensors"))]
    return [
        f"{name} {written[name].sha256 if name in written else file_sha256(folder / name)}" for name in names
    ]


def rows_left_open(folders: Iterable[Path], file: str, row: type[Row]) -> list[Row]:
    """Return the rows of a step that was finished but for some, the newest last.

    They are in the first of its folders that has them.
    """
    for folder in folders:
        if faults.were_left_in(folder):
            return [*read_rows(folder / faults.MARKER, row), *read_rows(folder / file, row)]
    return []


def rewrite_rows(path: Path, rows: Iterable[Value]) -> None:
    """Write the rows aside, then move them, so that what an earlier attempt left is there until then."""
    aside = path.with_suffix(".aside")
    aside.unlink(missing_ok=True)
    with RowWriter(aside) as writer:
        for row in rows:
            writer.write(row)
    aside.replace(path)


def codes_of(folder: Path) -> frozenset[str]:
    """Read the fingerprints of the code that has worked on an attempt at a training.

    An empty one where that was not recorded.
    """
    try:
        return frozenset(json.loads((folder / CODE).read_bytes())["fingerprints"])
    except (OSError, ValueError, KeyError, TypeError):
        return frozenset({""})


def write_codes(folder: Path, codes: Iterable[str]) -> None:
    """Record which code works on an attempt at a training: checkpoints do not say it, as rows do."""
    write_json(folder / CODE, {"fingerprints": sorted(codes)})


def changed_at(path: Path) -> float | None:
    """Return the time of a path's last change; None where another apply has moved it away meanwhile."""
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return None


def write_json(path: Path, value: Value | Mapping[str, object], *, is_synced: bool = True) -> None:
    """Write a small file aside, then move it: it is there whole or not at all, after a power cut too where it
    is synced."""
    text = value.model_dump_json(indent=1) if isinstance(value, Value) else json.dumps(value, indent=1)
    with written_aside(path) as aside, aside.open("wb") as file:
        file.write(text.encode())
        if is_synced:
            file.flush()
            os.fsync(file.fileno())
    if is_synced:
        sync(path.parent)
