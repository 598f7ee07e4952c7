"""Queue of a run: its steps as they get ready, with the cached rows that each can reuse.

A step is claimed before it is handed out. One that another apply has claimed is waited for: it is done when
that one has made it, and made here when that one has not, or was killed. Where steps are shared through a
bucket, the same holds of applies of other stores, by leases there.
"""

import time
from collections.abc import Collection, Iterable, Mapping
from functools import cached_property
from typing import cast

from dsl.spec.resources import Resources, is_sharded, n_processes
from dsl.steps.steps import AnyStep, Step
from dsl.values import StepId
from runners.execution.events import Awaited, Ended, OnEvent, Shared, Skipped, Started
from runners.execution.schedule import Schedule
from runners.execution.worker import Task
from runners.store.reusable_rows import ReuseIndex
from runners.store.same_fingerprint import drop_rows_of_other_code
from runners.store.store import Store

LOOK_SECONDS = 0.2
"""Time between two looks at the steps that another apply makes."""


class Queue:
    """Steps that are to run; each event of theirs goes to `on_event`."""

    def __init__(
        self,
        todo: Mapping[StepId, Step],
        done: Collection[StepId],
        store: Store,
        on_event: OnEvent,
        resources: Mapping[str, Resources],
    ) -> None:
        """Skip the steps whose inputs are neither in `done` nor in `todo`, where each comes after its
        inputs."""
        self.steps, self.store, self.on_event, self.resources = todo, store, on_event, resources
        self.schedule = Schedule(todo, done)
        self._awaited: dict[StepId, None] = {}
        self._look_at = 0.0
        self._skip(self.schedule.without_input())

    def take(self, loaded: Iterable[str], busy: Collection[str], full: Collection[str] = ()) -> StepId | None:
        """Take out the next step to run, as `Schedule.take` has it; None while every step left waits for
        another, or is made by another apply."""
        if self._awaited and time.monotonic() >= self._look_at:
            self._look_at = time.monotonic() + LOOK_SECONDS
            for step_id in tuple(self._awaited):
                if self.steps[step_id].affinity not in full and self._has_claimed(step_id):
                    return step_id
        while (step_id := self.schedule.take(loaded, busy, full)) is not None:
            if self._has_claimed(step_id):
                return step_id
        return None

    def task(
        self, step_id: StepId, busy: Collection[StepId] = (), part: tuple[int, int] | None = None
    ) -> Task:
        """Return a step, or a shard of it, as a worker is handed it; `busy` steps are being written."""
        step = self.steps[step_id]
        return Task(
            step_id=step_id,
            step=cast("AnyStep", step),
            reuse_from=self._reuse_index.steps_for(step_id, step, frozenset(busy)),
            part=part,
            n_processes=self.n_processes(step_id),
            fsdp=is_sharded(step, self.resources),
            charge=self.store.charge,
        )

    def n_processes(self, step_id: StepId) -> int:
        """Return the number of processes that a step is shared out to, each with a GPU of its own."""
        return n_processes(self.steps[step_id], self.resources)

    def end(self, ended: Ended) -> None:
        """Take note of an attempt's end: others can reuse its rows, and run, or are skipped."""
        for event in self.ended(ended):
            self.tell(event)

    def ended(self, ended: Ended) -> tuple[Ended | Skipped, ...]:
        """Take note of an attempt's end as `end`; return the events of it, for `tell`."""
        self._reuse_index.add(ended.step_id, self.steps[ended.step_id])
        self.store.claims.drop(ended.step_id)
        if ended.status == "done":
            self.schedule.done(ended.step_id)
            return (ended,)
        reasons = self.schedule.failed(ended.step_id, ended.status)
        return ended, *(Skipped(step_id, reason) for step_id, reason in reasons.items())

    def tell(self, event: Started | Ended | Skipped) -> None:
        """Tell an event. A step is shared after its end was told: with the record of its attempt."""
        self.on_event(event)
        if isinstance(event, Ended) and self.store.share is not None:
            self.store.share.end(event.step_id, is_done=event.status == "done")

    def _has_claimed(self, step_id: StepId) -> bool:
        """Claim a step that is to be made; not one that another apply is making, or has made."""
        claims, share, by = self.store.claims, self.store.share, None
        if not claims.take(step_id):
            by = claims.holder(step_id) or "another apply"
        elif share is not None and not self.store.is_done(step_id):
            by = share.take(step_id, self.steps[step_id])
        if by is not None:
            claims.drop(step_id)
            if step_id not in self._awaited:
                self._awaited[step_id] = None
                self.on_event(Awaited(step_id, by))
            return False
        self._awaited.pop(step_id, None)
        if self.store.is_done(step_id):
            claims.drop(step_id)
            self._reuse_index.add(step_id, self.steps[step_id])
            self.on_event(Shared(step_id))
            self.schedule.done(step_id)
            return False
        if not self.store.is_shared:
            drop_rows_of_other_code(self.store, step_id, self.steps[step_id])
        return True

    def _skip(self, reasons: Mapping[StepId, str]) -> None:
        for step_id, reason in reasons.items():
            self.on_event(Skipped(step_id, reason))

    @cached_property
    def _reuse_index(self) -> ReuseIndex:  # it reads every step's settings, and a run may have no step
        return ReuseIndex(self.store)
