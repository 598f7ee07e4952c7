"""Runs steps on the nodes of a Ray cluster. The store, and the files that the spec names, lie on paths that
every node shares.

Ray decides which node takes what, and gives what a lost node had to another, which takes over the rows that
are on the disk. A step is one task of Ray's, a large generate step as many as it has shards: nodes ask for
more as they get free, so a slow one ends up with few.

The cluster is the one that `RAY_ADDRESS` names, else one that runs on this machine, else one that is started
here for the time of the run. Nothing of this process's environment is sent to it, because Ray writes down
what it is sent: a key that a spec names by its environment variable has to be set on the nodes.
"""

import os
import time
from collections import deque
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from dsl.data.records import Outcome
from dsl.errors import StoreError
from dsl.messages import one_line
from dsl.spec.resources import Resources
from dsl.steps.steps import Step
from dsl.values import StepId
from runners.execution import shards
from runners.execution.events import Ended, Event, Progress, Skipped, Started
from runners.execution.executors import _ray_node
from runners.execution.executors._process import Attempt
from runners.execution.executors._ray_cluster import check_nodes, connected, options_of
from runners.execution.schedule import Schedule
from runners.execution.worker import Task
from runners.store.reusable_rows import Donors
from runners.store.store import Store, unwritten

OnEvent = Callable[[Event], None]

_AHEAD = 16
"""So many tasks wait in Ray's queue for a node. Not all at once: what is handed over later may take over more
rows, and steps of one model stay together."""

_LOOK_SECONDS = 0.2


def run(
    todo: Mapping[StepId, Step],
    done: Collection[StepId],
    store: Store,
    resources: Mapping[str, Resources],
    on_event: OnEvent,
) -> None:
    """Run every step of `todo` that can be run, each with what `resources` gives its kind, and tell each
    thing that happens.

    `todo` comes in an order in which each step is after its inputs; `done` are the steps whose files are
    there.

    Raises:
        XpError: ray is not installed, its cluster does not answer, or no node has what the spec asks for.
        StoreError: nothing can be written, as on a full disk; every attempt has been told of as ended.
        KeyboardInterrupt: so were attempts that it interrupted; no process is left behind.
    """
    schedule = Schedule(todo, done)
    for step_id, reason in schedule.without_input().items():
        on_event(Skipped(step_id, reason))
    if schedule.is_over():
        return
    options = {kind: options_of(resources.get(kind)) for kind in {step.kind for step in todo.values()}}
    sizes = {kind: given.shard_rows for kind, given in resources.items()}
    with connected() as ray:
        check_nodes(ray, options, {step.kind for step in todo.values() if step.affinity})
        drive = _Drive(ray, todo, schedule, store, options, sizes, on_event)
        try:
            drive.to_the_end()
        finally:
            drive.stop()


_Unit = tuple[StepId, range | None]
"""What one task of Ray's does: a step, or one shard of it."""


@dataclass
class _Split:
    """A step in shards, as far as it is."""

    parts: tuple[range, ...]
    now: Attempt | None = None
    """None until the first shard begins."""
    rows: dict[range, int] = field(default_factory=dict[range, int])
    outcomes: dict[range, Outcome] = field(default_factory=dict[range, Outcome])


class _Drive:
    """Hands steps to Ray as they get ready, and tells what comes back."""

    def __init__(
        self,
        ray: Any,
        todo: Mapping[StepId, Step],
        schedule: Schedule,
        store: Store,
        options: Mapping[str, dict[str, Any]],
        shard_rows: Mapping[str, int | None],
        on_event: OnEvent,
    ) -> None:
        from ray.util.queue import Queue
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        self._ray, self._todo, self._schedule, self._store, self._on_event = (
            ray,
            todo,
            schedule,
            store,
            on_event,
        )
        self._options, self._shard_rows = options, shard_rows
        self._reuse_from = Donors(store)
        here = NodeAffinitySchedulingStrategy(node_id=ray.get_runtime_context().get_node_id(), soft=False)
        self._news: Any = Queue(actor_options={"num_cpus": 0, "scheduling_strategy": here})
        # 0 is without end: a process that holds a GPU is kept for the next task too; `_ray_node` sees to its
        # memory
        self._perform: Any = ray.remote(max_calls=0)(_ray_node.perform)
        self._tasks: dict[Any, _Unit] = {}
        self._begun: dict[_Unit, tuple[Started, float]] = {}
        self._splits: dict[StepId, _Split] = {}
        self._shards: deque[_Unit] = deque()
        self._affinity = ""

    def to_the_end(self) -> None:
        while not self._schedule.is_over():
            self._submit()
            ready, _ = self._ray.wait(list(self._tasks), timeout=_LOOK_SECONDS)
            self._hear()
            for task in ready:
                if task in self._tasks:  # else its step has failed meanwhile
                    self._take_back(task, self._tasks.pop(task))

    def stop(self) -> None:
        """Let nothing go on, and tell of what was interrupted."""
        for task in self._tasks:
            self._ray.cancel(task, force=True)
        interrupted = [_interrupted(*begun) for (_, part), begun in self._begun.items() if part is None]
        interrupted += [split.now.interrupted() for split in self._splits.values() if split.now]
        self._tasks, self._begun, self._splits = {}, {}, {}
        for event in interrupted:
            self._on_event(event)

    # -------- there

    def _submit(self) -> None:
        while len(self._tasks) - len(self._begun) < _AHEAD and (unit := self._next()):
            step_id, part = unit
            step = self._todo[step_id]
            task = Task(
                step_id=step_id,
                step=step,
                reuse_from=self._reuse_from.of(
                    step_id, step, frozenset(step_id for step_id, _ in self._tasks.values())
                ),
                part=None if part is None else (part.start, part.stop),
            )
            options = self._options[step.kind]
            name = step_id if part is None else f"{step_id} {shards.name_of(part)}"
            threads = max(1, int(options["num_cpus"]))
            places = str(self._store.root), os.getcwd()
            remote = self._perform.options(name=name, **options).remote(
                task.model_dump_json(), *places, threads, self._news
            )
            self._tasks[remote] = unit

    def _next(self) -> _Unit | None:
        if not self._shards and (step_id := self._schedule.take(loaded=[self._affinity], busy=[])):
            step = self._todo[step_id]
            self._affinity = step.affinity or self._affinity
            if parts := shards.parts_of(step, self._store, self._shard_rows.get(step.kind)):
                self._splits[step_id] = _Split(parts)
            self._shards.extend((step_id, part) for part in parts or (None,))
        return self._shards.popleft() if self._shards else None

    # -------- and back

    def _hear(self) -> None:
        """What the nodes have said since the last look."""
        for (step_id, part), event in self._news.get_nowait_batch(self._news.qsize()):
            unit = (step_id, None if part is None else range(*part))
            if unit not in self._tasks.values():
                continue
            split = self._splits.get(step_id)
            if isinstance(event, Started):
                before = self._begun.get(unit)
                self._begun[unit] = (event, time.monotonic())
                if split is None:
                    if before is not None:
                        self._on_event(
                            _interrupted(
                                *before,
                                error=(
                                    f"lost with the node {before[0].host}, or with Ray's process there; Ray"
                                    " has given the step to another"
                                ),
                            )
                        )
                    self._on_event(event)
                else:
                    self._begin_split(step_id, split)
            elif split is None:
                self._on_event(event)
            else:
                assert unit[1] is not None
                split.rows[unit[1]] = event.done
                self._on_event(Progress(step_id, sum(split.rows.values()), split.parts[-1].stop))

    def _begin_split(self, step_id: StepId, split: _Split) -> Attempt:
        """A step in shards begins with the first that does; the process at work on the whole of it is this
        one."""
        if split.now is None:
            split.now = Attempt(step_id, os.getpid())
            self._on_event(split.now.started())
        return split.now

    def _take_back(self, task: Any, unit: _Unit) -> None:
        """A task is over."""
        step_id, part = unit
        begun = self._begun.pop(unit, None)
        is_store_error = False
        try:
            ended, is_store_error = self._ray.get(task)
        except self._ray.exceptions.RayError as error:  # given up by Ray after several tries
            if begun is None:
                begun = Attempt(step_id, os.getpid()).started(), time.monotonic()
                if part is None:
                    self._on_event(begun[0])
            ended = _ended(*begun, "failed", one_line(f"{type(error).__name__}: {error}")[:600])
        split = self._splits.get(step_id)
        if split is not None:
            assert part is not None
            if (ended := self._end_shard(step_id, split, part, ended)) is None:
                return
            del self._splits[step_id]
        self._settle(ended)
        if is_store_error:
            raise StoreError(ended.error)

    def _end_shard(self, step_id: StepId, split: _Split, part: range, ended: Ended) -> Ended | None:
        """What follows for the step, if anything does."""
        now = self._begin_split(step_id, split)
        if ended.outcome is None:
            self._drop(step_id)
            shards.show_log(step_id, self._store, part)
            return now.failed(f"rows {part.start} to {part.stop}: {ended.error}")
        split.outcomes[part] = ended.outcome
        if len(split.outcomes) < len(split.parts):
            return None
        try:
            outcomes = [split.outcomes[part] for part in split.parts]
            return now.done(shards.combine(step_id, self._todo[step_id], self._store, split.parts, outcomes))
        except OSError as error:
            self._on_event(now.failed(str(unwritten(error, self._store.unfinished_folder(step_id)))))
            split.now = None
            raise unwritten(error, self._store.unfinished_folder(step_id)) from error

    def _drop(self, step_id: StepId) -> None:
        """Call back what is left of a step of which one shard has failed."""
        self._shards = deque(unit for unit in self._shards if unit[0] != step_id)
        for task in [task for task, unit in self._tasks.items() if unit[0] == step_id]:
            self._begun.pop(self._tasks.pop(task), None)
            self._ray.cancel(task, force=True)

    def _settle(self, ended: Ended) -> None:
        """What follows from an attempt's end."""
        self._reuse_from.add(ended.step_id, self._todo[ended.step_id])
        self._on_event(ended)
        if ended.status == "done":
            self._schedule.done(ended.step_id)
        else:
            for step_id, reason in self._schedule.failed(ended.step_id).items():
                self._on_event(Skipped(step_id, reason))


def _interrupted(started: Started, clock: float, error: str = "interrupted") -> Ended:
    return _ended(started, clock, "interrupted", error)


def _ended(started: Started, clock: float, status: Any, error: str) -> Ended:
    """The end of an attempt that could not tell it itself. `clock`: when its beginning was heard of."""
    seconds = time.monotonic() - clock
    return Ended(
        started.step_id, started.started_at, started.pid, seconds, status, error=error, host=started.host
    )
