"""Run steps on the nodes of a Ray cluster.

The store, and the files that the spec names, lie on paths that every node shares.

Ray decides which node takes what, and gives what a lost node had to another, which reuses the rows that are
on the disk. A step is one task of Ray's, a large generate step as many as it has shards: nodes ask for
more as they get free, so a slow one ends up with few.

The cluster is the one that `RAY_ADDRESS` names, else one that runs on this machine, else one that is started
here for the time of the run. Nothing of this process's environment is sent to it, because Ray writes down
what it is sent: a key that a spec names by its environment variable has to be set on the nodes.
"""

import os
import time
from collections import deque
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from dsl.data.records import Outcome
from dsl.errors import StoreError
from dsl.messages import one_line
from dsl.spec.resources import Resources
from dsl.steps.steps import Step
from dsl.values import StepId
from runners.execution import shards
from runners.execution.events import Ended, OnEvent, Progress, Started
from runners.execution.executors import _ray_node
from runners.execution.executors._process import Attempt
from runners.execution.executors._queue import Queue
from runners.execution.executors._ray_cluster import check_nodes, connected, options_of
from runners.store.disk_errors import unwritten
from runners.store.store import Store

_AHEAD = 16
"""Tasks that wait in Ray's queue for a node. Not all at once: what is submitted later may reuse more rows,
and steps of one model stay together."""

_LOOK_SECONDS = 0.2


def run(
    todo: Mapping[StepId, Step],
    done: Collection[StepId],
    store: Store,
    on_event: OnEvent,
    jobs: int | None,
    resources: Mapping[str, Resources],
) -> None:
    """Run every step of `todo` that can be run; the contract is in `runners.execution.executors`.

    Raises:
        XpError: ray is not installed, its cluster does not answer, or no node has what the spec asks for.
    """
    queue = Queue(todo, done, store, on_event, resources)
    if queue.schedule.is_over():
        return
    options = {kind: options_of(resources.get(kind)) for kind in {step.kind for step in todo.values()}}
    shard_rows = {kind: given.shard_rows for kind, given in resources.items()}
    with connected() as ray:
        check_nodes(ray, options, {step.kind for step in todo.values() if step.affinity})
        drive = _Drive(ray, queue, options, shard_rows)
        try:
            drive.to_the_end()
        finally:
            drive.stop()


_Unit = tuple[StepId, range | None]
"""The work of one task of Ray's: a step, or one shard of it."""


@dataclass
class _Split:
    """State of a step in shards."""

    parts: tuple[range, ...]
    now: Attempt | None = None
    """None until the first shard begins."""
    rows: dict[range, int] = field(default_factory=dict[range, int])
    outcomes: dict[range, Outcome] = field(default_factory=dict[range, Outcome])


class _Drive:
    """Submitter of steps to Ray, as they get ready, and reader of their results."""

    def __init__(
        self,
        ray: Any,
        queue: Queue,
        options: Mapping[str, dict[str, Any]],
        shard_rows: Mapping[str, int | None],
    ) -> None:
        from ray.util import queue as ray_queue
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        self._ray, self._queue, self._options, self._shard_rows = ray, queue, options, shard_rows
        here = NodeAffinitySchedulingStrategy(node_id=ray.get_runtime_context().get_node_id(), soft=False)
        self._news: Any = ray_queue.Queue(actor_options={"num_cpus": 0, "scheduling_strategy": here})
        # 0 is without end: a process that holds a GPU is kept for the next task too; `_ray_node` sees to its
        # memory
        self._perform: Any = ray.remote(max_calls=0)(_ray_node.perform)
        self._tasks: dict[Any, _Unit] = {}
        self._begun: dict[_Unit, tuple[Started, float]] = {}
        self._splits: dict[StepId, _Split] = {}
        self._shards: deque[_Unit] = deque()
        self._affinity = ""

    def to_the_end(self) -> None:
        while not self._queue.schedule.is_over():
            self._submit()
            ready, _ = self._ray.wait(list(self._tasks), timeout=_LOOK_SECONDS)
            self._hear()
            for task in ready:
                if task in self._tasks:  # else its step has failed meanwhile
                    self._take_back(task, self._tasks.pop(task))

    def stop(self) -> None:
        """Cancel all tasks, and report what was interrupted."""
        for task in self._tasks:
            self._ray.cancel(task, force=True)
        interrupted = [_interrupted(*begun) for (_, part), begun in self._begun.items() if part is None]
        interrupted += [split.now.interrupted() for split in self._splits.values() if split.now]
        self._tasks, self._begun, self._splits = {}, {}, {}
        for event in interrupted:
            self._queue.on_event(event)

    # -------- there

    def _submit(self) -> None:
        while len(self._tasks) - len(self._begun) < _AHEAD and (unit := self._next()):
            step_id, part = unit
            busy = [step_id for step_id, _ in self._tasks.values()]
            task = self._queue.task(step_id, busy, None if part is None else (part.start, part.stop))
            options = self._options[task.step.kind]
            name = step_id if part is None else f"{step_id} {shards.name_of(part)}"
            threads = max(1, int(options["num_cpus"]))
            places = str(self._queue.store.root), os.getcwd()
            remote = self._perform.options(name=name, **options).remote(
                task.model_dump_json(), *places, threads, self._news
            )
            self._tasks[remote] = unit

    def _next(self) -> _Unit | None:
        if not self._shards and (step_id := self._queue.schedule.take(loaded=[self._affinity], busy=[])):
            step = self._queue.steps[step_id]
            self._affinity = step.affinity or self._affinity
            if parts := shards.parts_of(step, self._queue.store, self._shard_rows.get(step.kind)):
                self._splits[step_id] = _Split(parts)
            self._shards.extend((step_id, part) for part in parts or (None,))
        return self._shards.popleft() if self._shards else None

    # -------- and back

    def _hear(self) -> None:
        """Read the nodes' messages since the last look."""
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
                        self._queue.on_event(
                            _interrupted(
                                *before,
                                error=(
                                    f"lost with the node {before[0].host}, or with Ray's process there; Ray"
                                    " has given the step to another"
                                ),
                            )
                        )
                    self._queue.on_event(event)
                else:
                    self._begin_split(step_id, split)
            elif split is None:
                self._queue.on_event(event)
            else:
                assert unit[1] is not None
                split.rows[unit[1]] = event.done
                self._queue.on_event(Progress(step_id, sum(split.rows.values()), split.parts[-1].stop))

    def _begin_split(self, step_id: StepId, split: _Split) -> Attempt:
        """Return the attempt at a step in shards, which begins with the first shard that does.

        The process at work on the whole of it is this one.
        """
        if split.now is None:
            split.now = Attempt(step_id, os.getpid())
            self._queue.on_event(split.now.started())
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
                    self._queue.on_event(begun[0])
            ended = _ended(*begun, "failed", one_line(f"{type(error).__name__}: {error}")[:600])
        split = self._splits.get(step_id)
        if split is not None:
            assert part is not None
            if (ended := self._end_shard(step_id, split, part, ended)) is None:
                return
            del self._splits[step_id]
        self._queue.end(ended)
        if is_store_error:
            raise StoreError(ended.error)

    def _end_shard(self, step_id: StepId, split: _Split, part: range, ended: Ended) -> Ended | None:
        """Return the end of the step, if the end of this shard is one."""
        now = self._begin_split(step_id, split)
        if ended.outcome is None:
            self._drop(step_id)
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
        except OSError as error:
            full = unwritten(error, self._queue.store.unfinished_folder(step_id))
            self._queue.on_event(now.failed(str(full)))
            split.now = None
            raise full from error

    def _drop(self, step_id: StepId) -> None:
        """Call back what is left of a step of which one shard has failed."""
        self._shards = deque(unit for unit in self._shards if unit[0] != step_id)
        for task in [task for task, unit in self._tasks.items() if unit[0] == step_id]:
            self._begun.pop(self._tasks.pop(task), None)
            self._ray.cancel(task, force=True)


def _interrupted(started: Started, clock: float, error: str = "interrupted") -> Ended:
    return _ended(started, clock, "interrupted", error)


def _ended(started: Started, clock: float, status: Any, error: str) -> Ended:
    """Return the end of an attempt that could not report it. `clock`: the time at which its beginning was
    read."""
    seconds = time.monotonic() - clock
    return Ended(
        started.step_id, started.started_at, started.pid, seconds, status, error=error, host=started.host
    )
