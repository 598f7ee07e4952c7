"""Ledger of a study's spending: `<store>/spending/<experiment>.jsonl`, which all of its processes append to.

A request is entered before it is sent, with the most that it may cost, and again when it is over, with what
it did; a batch in one entry, when it is submitted. A line is written under the file's lock (`flock`), so that
two processes on one machine, or on two that share the store, never both take what is left for one. A kill at
any moment leaves the entries of requests under way, which count in full: nobody knows if the server charges
for them. A batch stays under way: it waits at its provider, whatever becomes of the process.
"""

import contextlib
import fcntl
import os
import uuid
from collections.abc import Generator
from pathlib import Path
from typing import BinaryIO

from pydantic import ValidationError

from dsl.errors import StoreError
from dsl.spec.budget import Budget, Use
from dsl.values import Value
from runners.store.applies import alive
from runners.store.disk_errors import unwritten


class Entry(Value):
    """One line."""

    request: str = ""
    """Name of a request; empty for time that is over."""
    is_over: bool
    use: Use
    is_batch: bool = False
    apply: str = ""
    """Name of the apply that its process works for."""


class Ledger:
    """Entries of one file, of which this process reads what is new at each look."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.apply = ""
        """Name of the apply that this process works for."""
        self._n_read = 0
        self._settled = Use()
        self._under_way: dict[str, Entry] = {}

    @property
    def spent(self) -> Use:
        """Spending by the last look, with requests under way at the most that they may cost."""
        # a copy: the thread that sends requests enters and takes out some meanwhile
        return sum((entry.use for entry in [*self._under_way.values()]), self._settled)

    @property
    def is_settled(self) -> bool:
        """No request is under way but those in batches."""
        return all(entry.is_batch for entry in [*self._under_way.values()])

    def look(self) -> None:
        """Read what others have written, also of a store that this process may not write. Raises
        StoreError."""
        try:
            with self.path.open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_SH)
                self._read(file)
        except FileNotFoundError:
            pass
        except OSError as error:
            raise StoreError(f"{self.path} cannot be read: {error.strerror}") from error

    def reserve(self, most: Use, budget: Budget, batch: str | None = None) -> str | None:
        """Enter a request that may cost `most`, or a batch of this name; returns its name, or None where the
        budget has no room."""
        with self._locked() as file:
            if exceeded(self.spent + most, budget):
                return None
            request = batch or uuid.uuid4().hex
            is_batch = batch is not None
            entry = Entry(request=request, is_over=False, use=most, is_batch=is_batch, apply=self.apply)
            self._append(file, entry)
            return request

    def settle(self, request: str, use: Use | None) -> None:
        """Enter the end of a request; None is all that was reserved for it."""
        with self._locked() as file:
            if (reserved := self._under_way.get(request)) is not None:
                spent = reserved.use if use is None else use
                self._append(file, Entry(request=request, is_over=True, use=spent))

    def settle_killed(self) -> int:
        """Enter the end of requests whose apply was killed, and return their number. Batches go on."""
        self.look()
        at_work = alive(self.path.parent.parent)  # asked after they were read
        killed = [
            request
            for request, entry in self._under_way.items()
            if not entry.is_batch and entry.apply not in at_work
        ]
        for request in killed:
            self.settle(request, None)
        return len(killed)

    def add(self, use: Use) -> None:
        """Enter what was spent without a reservation."""
        with self._locked() as file:
            self._append(file, Entry(is_over=True, use=use))

    @contextlib.contextmanager
    def _locked(self) -> Generator[int]:
        """Hold the file's lock; what others have written is read by then, and half a line cut off."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            file = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o666)
        except OSError as error:
            raise unwritten(error, self.path) from error
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
            with os.fdopen(os.dup(file), "rb") as lines:
                self._read(lines)
            os.ftruncate(file, self._n_read)
            yield file
        except OSError as error:
            raise unwritten(error, self.path) from error
        finally:
            os.close(file)

    def _read(self, lines: BinaryIO) -> None:
        lines.seek(self._n_read)
        for line in lines:
            if line.endswith(b"\n"):  # else its writer was killed before it sent anything
                self._take(line)

    def _take(self, line: bytes) -> None:
        try:
            entry = Entry.model_validate_json(line)
        except ValidationError as error:
            raise StoreError(
                f"{self.path}: byte {self._n_read} begins a line that is no entry of a ledger. Delete that"
                " line, or raise the budget by what the file would have held and delete the file"
            ) from error
        self._n_read += len(line)
        if not entry.is_over:
            self._under_way[entry.request] = entry
        elif not entry.request or self._under_way.pop(entry.request, None) is not None:
            self._settled += entry.use

    def _append(self, file: int, entry: Entry) -> None:
        line = entry.model_dump_json(exclude_defaults=True).encode() + b"\n"
        left = line
        while left:
            left = left[os.pwrite(file, left, self._n_read + len(line) - len(left)) :]
        self._take(line)


def exceeded(use: Use, budget: Budget) -> str | None:
    """Return the name of the first limit that a use is beyond, or None."""
    used = {"usd": use.usd, "tokens": use.tokens, "device_hours": use.device_seconds / 3600}
    return next(
        (name for name, n in used.items() if (limit := getattr(budget, name)) is not None and n > limit), None
    )
