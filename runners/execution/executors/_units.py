"""Units of work that a cluster is handed: steps, and the shards of large ones; events of units become those
of steps."""

import os
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from dsl.data.records import Outcome
from dsl.errors import StoreError
from dsl.values import StepId
from runners.execution import shards
from runners.execution.events import Ended, Progress, Started
from runners.execution.executors._process import Attempt
from runners.execution.executors._queue import Queue
from runners.execution.worker import Task
from runners.store.disk_errors import unwritten
from runners.store.store import Finished

Unit = tuple[StepId, range | None]
"""A step, or one shard of it."""

_Begun = tuple[Started, float]
"""Beginning of an attempt, and the time at which it was read."""


@dataclass
class _Split:
    """State of a step in shards."""

    parts: tuple[range, ...]
    now: Attempt | None = None
    """None until the first shard begins."""
    rows: dict[range, int] = field(default_factory=dict[range, int])
    outcomes: dict[range, Outcome] = field(default_factory=dict[range, Outcome])


class Units:
    """Source of units, as their steps get ready, and reader of what comes back."""

    def __init__(self, queue: Queue, shard_rows: Mapping[str, int | None]) -> None:
        self.given: dict[Unit, _Begun | None] = {}
        """Units that were handed out and are not over, with their beginning once it is known."""
        self._queue, self._shard_rows = queue, shard_rows
        self._splits: dict[StepId, _Split] = {}
        self._shards: deque[Unit] = deque()
        self._affinity = ""

    @property
    def n_waiting(self) -> int:
        """Units that were handed out and have not begun."""
        return sum(begun is None for begun in self.given.values())

    def next(self) -> Unit | None:
        """Take out the next unit; None while there is none. Units of one model come together."""
        if not self._shards and (step_id := self._queue.take(loaded=[self._affinity], busy=[])):
            step = self._queue.steps[step_id]
            self._affinity = step.affinity or self._affinity
            if parts := shards.parts_of(step, self._queue.store, self._shard_rows.get(step.kind)):
                self._splits[step_id] = _Split(parts)
            self._shards.extend((step_id, part) for part in parts or (None,))
        if not self._shards:
            return None
        unit = self._shards.popleft()
        self.given[unit] = None
        return unit

    def task(self, unit: Unit) -> Task:
        """Return a unit as a worker is handed it."""
        step_id, part = unit
        busy = {step_id for step_id, _ in self.given}
        return self._queue.task(step_id, busy, None if part is None else (part.start, part.stop))

    def hear(self, unit: Unit, event: Started | Progress) -> None:
        """Take note of a unit's beginning or progress. Word of one that is over is passed over."""
        if unit not in self.given:
            return
        step_id, part = unit
        split = self._splits.get(step_id)
        if isinstance(event, Started):
            self.given[unit] = (event, time.monotonic())
        if split is None:
            self._queue.on_event(event)
        elif isinstance(event, Started):
            self._begin_split(step_id, split)
        else:
            assert part is not None
            split.rows[part] = event.done
            self._queue.on_event(Progress(step_id, sum(split.rows.values()), split.parts[-1].stop))

    def lose(self, unit: Unit, why: str) -> None:
        """Report the end of an attempt that another one goes on from."""
        begun, self.given[unit] = self.given[unit], None
        if begun is not None and unit[1] is None:
            self._queue.on_event(_ended(*begun, "interrupted", why))

    def end(self, unit: Unit, ended: Ended | str, *, is_store_error: bool = False) -> tuple[Unit, ...]:
        """Take note of a unit's end: its own word, or the error of one that could not say it.

        Returns the units that are to be called back, because theirs was a shard of the same step and failed.

        Raises:
            StoreError: no other step would fare better.
        """
        step_id, part = unit
        begun, called_back = self.given.pop(unit), tuple[Unit, ...]()
        if isinstance(ended, str):
            if begun is None:
                begun = Attempt(step_id, os.getpid()).started(), time.monotonic()
                if part is None:
                    self._queue.on_event(begun[0])
            ended = _ended(*begun, "failed", ended)
        split = self._splits.get(step_id)
        if split is not None:
            assert part is not None
            if ended.outcome is None:
                called_back = self._drop(step_id)
            if (whole := self._end_shard(step_id, split, part, ended)) is None:
                return ()
            ended = whole
            del self._splits[step_id]
        self._queue.end(ended)
        if is_store_error:
            raise StoreError(ended.error)
        return called_back

    def stop(self) -> None:
        """Report what was interrupted."""
        begun = [(unit, begun) for unit, begun in self.given.items() if begun is not None]
        interrupted = [
            _ended(*begun, "interrupted", "interrupted") for unit, begun in begun if unit[1] is None
        ]
        interrupted += [split.now.interrupted() for split in self._splits.values() if split.now]
        self.given, self._splits = {}, {}
        for event in interrupted:
            self._queue.on_event(event)

    def _begin_split(self, step_id: StepId, split: _Split) -> Attempt:
        """Return the attempt at a step in shards, which begins with the first shard that does.

        The process at work on the whole of it is this one.
        """
        if split.now is None:
            split.now = Attempt(step_id, os.getpid())
            self._queue.on_event(split.now.started())
        return split.now

    def _end_shard(self, step_id: StepId, split: _Split, part: range, ended: Ended) -> Ended | None:
        """Return the end of the step, if the end of this shard is one."""
        now = self._begin_split(step_id, split)
        if ended.outcome is None:
            shards.show_log(step_id, self._queue.store, part)
            if ended.status == "stopped":
                return now.stopped(ended.error or "")
            return now.failed(f"rows {part.start} to {part.stop}: {ended.error}")
        split.outcomes[part] = ended.outcome
        if len(split.outcomes) < len(split.parts):
            return None
        try:
            outcomes = [split.outcomes[part] for part in split.parts]
            step, store = self._queue.steps[step_id], self._queue.store
            return now.done(shards.combine(step_id, step, store, split.parts, outcomes))
        except Finished as found:
            return now.done(found.outcome)
        except OSError as error:
            full = unwritten(error, self._queue.store.unfinished_folder(step_id))
            self._queue.on_event(now.failed(str(full)))
            split.now = None
            raise full from error

    def _drop(self, step_id: StepId) -> tuple[Unit, ...]:
        """Take out what is left of a step of which one shard has failed, and return what was handed out."""
        self._shards = deque(unit for unit in self._shards if unit[0] != step_id)
        given = tuple(unit for unit in self.given if unit[0] == step_id)
        for unit in given:
            del self.given[unit]
        return given


def _ended(started: Started, clock: float, status: Any, error: str) -> Ended:
    """Return the end of an attempt that could not report it. `clock`: the time at which its beginning was
    read."""
    seconds = time.monotonic() - clock
    return Ended(
        started.step_id, started.started_at, started.pid, seconds, status, error=error, host=started.host
    )
