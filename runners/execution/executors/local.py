"""Runs steps on this machine: in worker processes, or in this one where a debugger is at work.

A worker sees one GPU, the one that the fewest others use. It takes the steps that share its model one after
another, and ends when none is left or another model needs its place, so that memory comes back. A step that
fails, or takes its worker with it, costs itself and what hangs on it; the rest goes on.
"""

import os
import selectors
import sys
from collections.abc import Callable, Collection, Mapping

from dsl.errors import StepFailed, StoreError
from dsl.steps.steps import Step
from dsl.values import StepId
from runners.execution.attempt import attempt
from runners.execution.events import Ended, Event, Progress, Skipped
from runners.execution.executors import _gpus
from runners.execution.executors._process import Attempt, Worker
from runners.execution.schedule import Schedule
from runners.execution.worker import Task
from runners.store.reusable_rows import Donors
from runners.store.store import Store

OnEvent = Callable[[Event], None]

_LOOK_SECONDS = 0.5
"""How often a worker is looked after that says nothing: children it has forked may hold its pipe open after
its death."""


def run(
    todo: Mapping[StepId, Step],
    done: Collection[StepId],
    store: Store,
    jobs: int,
    on_event: OnEvent,
    *,
    in_process: bool,
) -> None:
    """Run every step of `todo` that can be run, at most `jobs` at once, and tell each thing that happens.

    `todo` comes in an order in which each step is after its inputs; `done` are the steps whose files are
    there.

    Raises:
        StoreError: nothing can be written, as on a full disk; every attempt has been told of as ended.
        KeyboardInterrupt: so were attempts that it interrupted; no process is left behind.
    """
    schedule = Schedule(todo, done)
    for step_id, reason in schedule.without_input().items():
        on_event(Skipped(step_id, reason))
    if schedule.is_over():
        return
    if in_process:
        _run_here(todo, schedule, store, on_event)
    else:
        _run_in_workers(todo, schedule, store, jobs, on_event)


def _settle(ended: Ended, step: Step, schedule: Schedule, reuse_from: Donors, on_event: OnEvent) -> None:
    """What follows from an attempt's end."""
    reuse_from.add(ended.step_id, step)
    on_event(ended)
    if ended.status == "done":
        schedule.done(ended.step_id)
    else:
        for step_id, reason in schedule.failed(ended.step_id).items():
            on_event(Skipped(step_id, reason))


# ---------------------------------------------------------------- in this process


def _run_here(todo: Mapping[StepId, Step], schedule: Schedule, store: Store, on_event: OnEvent) -> None:
    os.environ.update(_gpus.share(_gpus.visible(), []))
    reuse_from, loaded = Donors(store), ""
    while step_id := schedule.take(loaded=[loaded], busy=[]):
        step, now = todo[step_id], Attempt(step_id, os.getpid())
        loaded = step.affinity or loaded
        on_event(now.started())
        try:
            outcome = attempt(
                step_id,
                step,
                store,
                reuse_from.of(step_id, step),
                lambda done, total, step_id=step_id: on_event(Progress(step_id, done, total)),
                to_log=False,
            )
        except StepFailed as error:
            ended = now.failed(str(error))
        except StoreError as error:
            on_event(now.failed(str(error)))
            raise
        except KeyboardInterrupt:
            on_event(now.interrupted())
            raise
        else:
            ended = now.done(outcome)
        _settle(ended, step, schedule, reuse_from, on_event)


# ---------------------------------------------------------------- in workers


def _run_in_workers(
    todo: Mapping[StepId, Step], schedule: Schedule, store: Store, jobs: int, on_event: OnEvent
) -> None:
    reuse_from, gpus = Donors(store), _gpus.visible()
    workers: list[Worker] = []
    try:
        while not schedule.is_over():
            while sum(worker.is_busy for worker in workers) < jobs and (step_id := _next(schedule, workers)):
                worker = _worker_for(todo[step_id].affinity, workers, store, jobs, gpus)
                busy = frozenset(w.now.step_id for w in workers if w.now)
                now = worker.give(
                    Task(
                        step_id=step_id,
                        step=todo[step_id],
                        reuse_from=reuse_from.of(step_id, todo[step_id], busy),
                    )
                )
                on_event(now.started())
            with selectors.DefaultSelector() as selector:
                for worker in workers:
                    selector.register(worker, selectors.EVENT_READ)
                selector.select(_LOOK_SECONDS)
            for worker in list(workers):
                for event in worker.news():
                    if isinstance(event, Progress):
                        on_event(event)
                    else:
                        _settle(event, todo[event.step_id], schedule, reuse_from, on_event)
                if worker.is_over or not (worker.is_busy or schedule.has_left(worker.affinity)):
                    worker.end()
                    workers.remove(worker)
    finally:
        interrupted = [worker.now for worker in workers if worker.now]
        for worker in workers:
            worker.end()
        for now in interrupted:
            on_event(now.interrupted())


def _next(schedule: Schedule, workers: list[Worker]) -> StepId | None:
    return schedule.take(
        loaded=[worker.affinity for worker in workers if not worker.is_busy],
        busy=[worker.affinity for worker in workers if worker.is_busy],
    )


def _worker_for(
    affinity: str, workers: list[Worker], store: Store, jobs: int, gpus: tuple[str, ...]
) -> Worker:
    """A waiting worker that has the model loaded, or a new one; then the waiting ones with other models make
    room."""
    waiting = [worker for worker in workers if not worker.is_busy]
    for worker in waiting:
        if worker.affinity == affinity:
            return worker
    for worker in waiting:
        if affinity and worker.affinity:
            worker.end()
            workers.remove(worker)
    gpu = _gpus.share(gpus, [worker.settings for worker in workers]) if affinity else {}
    worker = Worker(store, affinity, {**_share_of_cores(jobs), **gpu})
    workers.append(worker)
    return worker


def _share_of_cores(jobs: int) -> dict[str, str]:
    """With how many threads a worker computes, unless it has the machine for itself or a person has said."""
    if jobs == 1 or "OMP_NUM_THREADS" in os.environ:
        return {}
    cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    return {"OMP_NUM_THREADS": str(max(1, cores // jobs))}
