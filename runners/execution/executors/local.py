"""Run steps in worker processes on this machine.

A worker sees one GPU, the one that the fewest others use, or as many as a training or a server is given. It
takes the steps that share its model one after another, and ends when none is left or another model needs its
place, so that memory comes back. A step that fails, or takes its worker with it, costs itself and what hangs
on it; the rest goes on.
"""

import os
import selectors
import sys
from collections import Counter
from collections.abc import Callable, Collection, Mapping

from dsl.errors import XpError
from dsl.spec.resources import Resources, n_gpus, started
from dsl.steps.steps import Step
from dsl.values import StepId
from runners.execution.events import Ended, OnEvent, Progress, Skipped, Started
from runners.execution.executors._process import Worker
from runners.execution.executors._queue import Queue
from runners.execution.gpus import VISIBLE, lacking, share, visible
from runners.store.store import Store

_LOOK_SECONDS = 0.5
"""Interval at which a silent worker is looked after: children it has forked may hold its pipe open after its
death."""


def run(
    todo: Mapping[StepId, Step],
    done: Collection[StepId],
    store: Store,
    on_event: OnEvent,
    jobs: int | None,
    resources: Mapping[str, Resources],
) -> None:
    """Run every step of `todo` that can be run; the contract is in `runners.execution.executors`."""
    queue = Queue(todo, done, store, on_event, resources)
    schedule = queue.schedule
    if schedule.is_over():
        return
    gpus, workers, events = visible(), list[Worker](), list[Started | Ended | Skipped]()
    of_servers = _gpus_of_servers(queue, gpus)
    jobs = jobs or max(1, len(gpus))
    waiting: StepId | None = None
    try:
        while not schedule.is_over():
            while sum(map(_n_gpus, _busy(workers))) < jobs and (
                step_id := waiting or _next(queue, workers, _full(workers, of_servers, max(1, len(gpus))))
            ):
                affinity = todo[step_id].affinity
                n = of_servers.get(affinity) or queue.n_processes(step_id)
                waiting = None if _has_room(workers, n, jobs) else step_id
                if waiting:
                    break
                worker = _worker_for(affinity, workers, store, jobs, gpus, n)
                now = worker.give(queue.task(step_id, busy=[w.now.step_id for w in workers if w.now]))
                events.append(now.started())
            # once workers have their next steps: writing it down waits for the disk
            _tell(events, queue.tell)
            with selectors.DefaultSelector() as selector:
                for worker in workers:
                    selector.register(worker, selectors.EVENT_READ)
                selector.select(_LOOK_SECONDS)
            for worker in list(workers):
                for event in worker.news():
                    if isinstance(event, Progress):
                        on_event(event)
                    else:
                        events += queue.ended(event)
                if worker.is_over or not (worker.is_busy or schedule.has_left(worker.affinity)):
                    worker.end()
                    workers.remove(worker)
    finally:
        interrupted = [worker.now for worker in workers if worker.now]
        for worker in workers:
            worker.end()
        _tell(events, queue.tell)
        for now in interrupted:
            on_event(now.interrupted())


def _tell(events: list[Started | Ended | Skipped], tell: Callable[[Started | Ended | Skipped], None]) -> None:
    """Tell events in their order, each of them once."""
    while events:
        tell(events.pop(0))


def _busy(workers: list[Worker]) -> list[Worker]:
    return [worker for worker in workers if worker.is_busy]


def _n_gpus(worker: Worker) -> int:
    """Number of GPUs that a worker sees of several, or 1 for the one of this machine, or for none."""
    return worker.settings.get(VISIBLE, "").count(",") + 1


def _has_room(workers: list[Worker], n: int, jobs: int) -> bool:
    """Test whether a step on several GPUs has them for itself, as far as so many jobs at a time allow:
    beside others its memory would run out."""
    in_use = sum(_n_gpus(worker) for worker in _busy(workers) if worker.affinity)
    return n == 1 or not in_use or in_use + n <= jobs


def _next(queue: Queue, workers: list[Worker], full: Collection[str]) -> StepId | None:
    return queue.take(
        loaded=[worker.affinity for worker in workers if not worker.is_busy],
        busy=[worker.affinity for worker in _busy(workers)],
        full=full,
    )


def _full(workers: list[Worker], of_servers: Mapping[str, int], n_here: int) -> set[str]:
    """Return the models whose servers are at work on every GPU, each of which has room for one of them."""
    busy = Counter(worker.affinity for worker in _busy(workers))
    return {model for model, n in of_servers.items() if (busy[model] + 1) * n > n_here}


def _gpus_of_servers(queue: Queue, gpus: tuple[str, ...]) -> dict[str, int]:
    """Return the number of GPUs that each server sees: the most that a step of it needs.

    Raises XpError where this machine has fewer than a server or a training needs.
    """
    for why in lacking(queue.steps.values(), queue.resources, len(gpus)):
        raise XpError(why)
    found = dict[str, int]()
    for step in queue.steps.values():
        if started(step):
            needed = min(n_gpus(step, queue.resources), max(1, len(gpus)))
            found[step.affinity] = max(needed, found.get(step.affinity, 1))
    return found


def _worker_for(
    affinity: str, workers: list[Worker], store: Store, jobs: int, gpus: tuple[str, ...], n: int = 1
) -> Worker:
    """Return a waiting worker that has the model loaded, and sees so many GPUs, or a new one.

    Before a new one starts, waiting workers with other models end.
    """
    waiting = [worker for worker in workers if not worker.is_busy]
    for worker in waiting:
        if worker.affinity == affinity and _n_gpus(worker) == n:
            return worker
    for worker in waiting:
        if affinity and worker.affinity:
            worker.end()
            workers.remove(worker)
    # a second copy of a model goes where the first is not
    taken = [worker for worker in workers for _ in range(1 + len(workers) * (worker.affinity == affinity))]
    gpu = share(gpus, [worker.settings for worker in taken], n) if affinity else {}
    worker = Worker(store, affinity, {**_share_of_cores(jobs), **gpu})
    workers.append(worker)
    return worker


def _share_of_cores(jobs: int) -> dict[str, str]:
    """Limit a worker's threads to its share of the cores, unless it is alone or a person has set a number."""
    if jobs == 1 or "OMP_NUM_THREADS" in os.environ:
        return {}
    cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    return {"OMP_NUM_THREADS": str(max(1, cores // jobs))}
