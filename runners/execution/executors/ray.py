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
from collections.abc import Collection, Mapping
from typing import Any

from dsl.messages import one_line
from dsl.spec.resources import Resources
from dsl.steps.steps import Step
from dsl.values import StepId
from runners.execution import shards
from runners.execution.events import OnEvent, Started
from runners.execution.executors import _ray_node
from runners.execution.executors._queue import Queue
from runners.execution.executors._ray_cluster import check_nodes, connected, options_of
from runners.execution.executors._units import Unit, Units
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
    units = Units(queue, {kind: given.shard_rows for kind, given in resources.items()})
    with connected() as ray:
        check_nodes(ray, options, {step.kind for step in todo.values() if step.affinity})
        drive = _Drive(ray, units, options, store)
        try:
            while not queue.schedule.is_over():
                drive.look()
        finally:
            drive.stop()


class _Drive:
    """Submitter of units to Ray, as they get ready, and reader of their results."""

    def __init__(self, ray: Any, units: Units, options: Mapping[str, dict[str, Any]], store: Store) -> None:
        from ray.util import queue as ray_queue
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        self._ray, self._units, self._options, self._store = ray, units, options, store
        here = NodeAffinitySchedulingStrategy(node_id=ray.get_runtime_context().get_node_id(), soft=False)
        self._news: Any = ray_queue.Queue(actor_options={"num_cpus": 0, "scheduling_strategy": here})
        # 0 is without end: a process that holds a GPU is kept for the next task too; `_ray_node` sees to its
        # memory
        self._perform: Any = ray.remote(max_calls=0)(_ray_node.perform)
        self._tasks: dict[Any, Unit] = {}

    def look(self) -> None:
        """Submit what is ready, and wait a moment for news."""
        self._submit()
        if not self._tasks:  # another apply makes what is left
            time.sleep(_LOOK_SECONDS)
        ready, _ = self._ray.wait(list(self._tasks), timeout=_LOOK_SECONDS)
        self._hear()
        for task in ready:
            if task in self._tasks:  # else its step has failed meanwhile
                self._take_back(task, self._tasks.pop(task))

    def stop(self) -> None:
        """Cancel all tasks, and report what was interrupted."""
        for task in self._tasks:
            self._ray.cancel(task, force=True)
        self._tasks = {}
        self._units.stop()

    # -------- there

    def _submit(self) -> None:
        while self._units.n_waiting < _AHEAD and (unit := self._units.next()):
            step_id, part = unit
            task = self._units.task(unit)
            options = self._options[task.step.kind]
            name = step_id if part is None else f"{step_id} {shards.name_of(part)}"
            threads = max(1, int(options["num_cpus"]))
            places = str(self._store.root), os.getcwd()
            remote = self._perform.options(name=name, **options).remote(
                task.model_dump_json(), *places, threads, self._news
            )
            self._tasks[remote] = unit

    # -------- and back

    def _hear(self) -> None:
        """Read the nodes' messages since the last look."""
        for (step_id, part), event in self._news.get_nowait_batch(self._news.qsize()):
            unit = (step_id, None if part is None else range(*part))
            if isinstance(event, Started) and (before := self._units.given.get(unit)) is not None:
                self._units.lose(
                    unit,
                    f"lost with the node {before[0].host}, or with Ray's process there; Ray has given the"
                    " step to another",
                )
            self._units.hear(unit, event)

    def _take_back(self, task: Any, unit: Unit) -> None:
        """A task is over."""
        is_store_error = False
        try:
            ended, is_store_error = self._ray.get(task)
        except self._ray.exceptions.RayError as error:  # given up by Ray after several tries
            ended = one_line(f"{type(error).__name__}: {error}")[:600]
        called_back = self._units.end(unit, ended, is_store_error=is_store_error)
        for other in [other for other, unit in self._tasks.items() if unit in called_back]:
            del self._tasks[other]
            self._ray.cancel(other, force=True)
