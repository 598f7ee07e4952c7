"""Digests of a finished step's files: written to its `outcome.json`, and compared when files are read.

Bytes are hashed once: as long as size, times and inode of a file are those it had then, it is taken for
unchanged.

A step also records a digest of what each of its inputs held. An input that is made again with the same rows
leaves it as it is; with other rows, the step is no longer that of its inputs.
"""

import contextlib
import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from pydantic import ValidationError

from dsl.data.records import Outcome, WrittenFile, why_invalid
from dsl.data.written_files import written_aside
from dsl.errors import DataError
from dsl.messages import one_line
from dsl.values import Sha256, StepId
from runners.store.faults import MARKER

OUTCOME = "outcome.json"

_NO_RESULT = {OUTCOME, "log.txt", "code.json", ".lock", MARKER}
"""Files of a step that say nothing of its result."""

_UNREAD = {"step.json", "metrics.jsonl"}
"""Files that no other step reads."""

_BLOCK = 2**20
"""Bytes that are read at a time."""

INCIDENTAL = ("seconds", "batch_size", "usd", "provenance")
"""Fields that differ between two makings of the same row."""


def describe(folder: Path) -> dict[str, WrittenFile]:
    """Digests and row counts of a step's files, by their path in its folder."""
    top = f"{folder}/"
    files = [f"{at}/{name}" for at, _, names in os.walk(folder) for name in names if name not in _NO_RESULT]
    return {path.removeprefix(top): _describe(path) for path in sorted(files) if os.path.isfile(path)}


def content(files: Mapping[str, WrittenFile]) -> Sha256:
    """Return a SHA-256 over what other steps read in these files; equal where equal rows were made again."""
    listing = [
        f"{name} {file.rows_sha256 or file.sha256}"
        for name, file in sorted(files.items())
        if name not in _UNREAD
    ]
    return hashlib.sha256("\n".join(listing).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Checked:
    """A finished step whose files are as they were written."""

    content: Sha256
    inputs: Mapping[StepId, Sha256]
    """Input -> its content when this step was made."""


class Damaged(DataError):
    """A finished step's files are not as they were written."""


@dataclass(frozen=True)
class StepStates:
    """State of a plan's steps in a store."""

    done: frozenset[StepId]
    """Finished, as they were written, and made from what their inputs hold now."""
    damaged: Mapping[StepId, str] = field(default_factory=dict[StepId, str])
    """Finished once, but a file is not as it was written -> which, in words."""
    outdated: Mapping[StepId, str] = field(default_factory=dict[StepId, str])
    """Finished, but made from other rows than an input has now -> which, in words."""

    @property
    def faults(self) -> dict[StepId, str]:
        """Reasons why finished steps are made again."""
        return {**self.damaged, **self.outdated}


_BETWEEN = "|"
"""Separator of the parts of a remembered step. A step with a file of such a name is not remembered."""


class Checks:
    """Checker of finished steps.

    It remembers, in `memory` (a JSON file) if one is given, which files need no second look.
    """

    def __init__(self, memory: Path | None = None) -> None:
        self._memory = memory
        self._is_fresh = False
        self._known: dict[str, str] = {}
        """Folder -> its content, its inputs with theirs, and each file's mark, first that of the outcome; as
        text, which is soon read, and which the garbage collector does not walk through."""
        if memory is not None:
            # a file cut short by a full disk is only a lost memory
            with contextlib.suppress(OSError, ValueError):
                found = json.loads(memory.read_bytes())
                self._known = cast("dict[str, str]", found) if isinstance(found, dict) else {}

    def states(self, steps: Path, step_ids: Iterable[StepId]) -> StepStates:
        """Sort steps into finished, damaged and outdated.

        Bytes are read only of files that have changed since the last check.
        """
        found: dict[StepId, Checked] = {}
        damaged: dict[StepId, str] = {}
        there = frozenset(os.listdir(steps) if steps.is_dir() else ())
        for step_id in step_ids:
            if step_id not in there:
                continue
            try:
                checked = self.check(f"{steps}/{step_id}", step_id)
            except Damaged as error:
                damaged[step_id] = str(error)
            else:
                if checked is not None:
                    found[step_id] = checked
        outdated = {step_id: why for step_id, checked in found.items() if (why := _outdated(checked, found))}
        return StepStates(frozenset(found.keys() - outdated.keys()), damaged, outdated)

    def check(self, folder: str, step_id: StepId | None = None) -> Checked | None:
        """The step in a folder, if it is finished there.

        Raises:
            Damaged: a file is not as it was written, or the outcome is not that of `step_id`.
        """
        try:
            held, inputs, *marks = self._known[folder].split(_BETWEEN)
            if marks and marks == [_mark(folder, mark.rsplit(" ", 4)[0]) for mark in marks]:
                words = inputs.split()
                return Checked(held, dict(zip(words[::2], words[1::2], strict=True)))
        # nothing remembered, nonsense remembered, a file that is gone
        except (KeyError, ValueError, AttributeError, OSError):
            pass
        return self._check_bytes(folder, step_id)

    def files(self, folder: str) -> Mapping[str, WrittenFile]:
        """Return the files of a finished step by their path in its folder.

        None where it is not finished, or an older version recorded none.

        Raises:
            Damaged: as `check`.
        """
        outcome = _outcome(folder) if self.check(folder) is not None else None
        return {} if outcome is None else outcome.files

    def forget(self, folder: str) -> None:
        """Have the bytes of a step's files read by the next check."""
        self._is_fresh |= self._known.pop(folder, None) is not None

    def has_no_digests(self, folder: str) -> bool:
        """Check if a finished step was written by a version that recorded no digests."""
        return folder in self._known and len(self._known[folder].split(_BETWEEN)) == 3

    def save(self) -> None:
        """Write the memory aside, then move it.

        On a full disk, or in a folder that is read-only, it is lost.
        """
        if self._memory is not None and self._is_fresh:
            with contextlib.suppress(OSError):
                self._memory.parent.mkdir(parents=True, exist_ok=True)
                with written_aside(self._memory, is_of_many=True) as aside:
                    aside.write_text(json.dumps(self._known, separators=(",", ":")), "utf-8")
                self._is_fresh = False

    def _check_bytes(self, folder: str, step_id: StepId | None) -> Checked | None:
        outcome = _outcome(folder)
        if outcome is None:
            return None
        if step_id is not None and outcome.step_id != step_id:
            raise Damaged(f"{OUTCOME} is that of {one_line(outcome.step_id)}")
        marks = [_mark(folder, OUTCOME)]
        for name, written in outcome.files.items():
            path = f"{folder}/{name}"
            try:
                marks.append(_mark(folder, name))  # before the bytes, so that a later change is seen
                if _sha256(path) != written.sha256:
                    raise Damaged(_difference(name, written, _describe(path)))
            except OSError as error:
                raise Damaged(f"{name} cannot be read: {error.strerror}") from error
        checked = Checked(content(outcome.files), outcome.inputs)
        if not any(_BETWEEN in name for name in outcome.files):
            inputs = " ".join(f"{step_id} {held}" for step_id, held in checked.inputs.items())
            self._known[folder] = _BETWEEN.join((checked.content, inputs, *marks))
            self._is_fresh = True
        return checked


def _outcome(folder: str) -> Outcome | None:
    try:
        with open(f"{folder}/{OUTCOME}", "rb", buffering=0) as file:
            return Outcome.model_validate_json(file.read())
    except FileNotFoundError:
        return None
    except NotADirectoryError as error:
        raise Damaged("a file lies in the place of its folder") from error
    except OSError as error:
        raise Damaged(f"{OUTCOME} cannot be read: {error.strerror}") from error
    except ValidationError as error:
        raise Damaged(f"{OUTCOME} cannot be read: {why_invalid(error)}") from error


def _outdated(checked: Checked, found: Mapping[StepId, Checked]) -> str:
    """Describe the input that holds other rows now; empty where none does, or it is not there."""
    for step_id, content in checked.inputs.items():
        if step_id in found and found[step_id].content != content:
            return f"its input {step_id} was made again and holds other rows"
    return ""


def _sha256(path: str) -> Sha256:
    whole = hashlib.sha256()
    with open(path, "rb", buffering=0) as file:
        while block := file.read(_BLOCK):
            whole.update(block)
    return whole.hexdigest()


def _describe(path: str) -> WrittenFile:
    if not path.endswith(".jsonl"):
        return WrittenFile(sha256=_sha256(path), n_bytes=os.path.getsize(path))
    whole, rows, n_bytes = hashlib.sha256(), list[bytes](), 0
    with open(path, "rb") as lines:
        for line in lines:
            whole.update(line)
            n_bytes += len(line)
            rows.append(hashlib.sha256(_lasting(line)).digest())
    rows_sha256 = hashlib.sha256(b"".join(sorted(rows))).hexdigest()
    return WrittenFile(sha256=whole.hexdigest(), n_bytes=n_bytes, n_rows=len(rows), rows_sha256=rows_sha256)


def _lasting(line: bytes) -> bytes:
    """A row without what differs when it is made again; what is no row as it is."""
    try:
        row = json.loads(line)
        return json.dumps({name: value for name, value in row.items() if name not in INCIDENTAL}).encode()
    except (ValueError, AttributeError, RecursionError):
        return line


def _difference(name: str, written: WrittenFile, found: WrittenFile) -> str:
    if found.n_rows != written.n_rows:
        return f"{name} has {found.n_rows} of the {written.n_rows} rows it was written with"
    if found.n_bytes != written.n_bytes:
        return f"{name} has {found.n_bytes:,} of the {written.n_bytes:,} bytes it was written with"
    return f"{name} holds other bytes than it was written with"


def _mark(folder: str, name: str) -> str:
    """A file's name, size, times and inode."""
    stat = os.stat(f"{folder}/{name}")
    return f"{name} {stat.st_size} {stat.st_mtime_ns} {stat.st_ctime_ns} {stat.st_ino}"
