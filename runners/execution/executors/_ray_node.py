"""Task of a node of a Ray cluster: hand the step to a worker process, the same as on a single machine.

So the step gets the environment that a worker's libraries need before Python starts, a crash is one failed
step, and a model stays loaded from one task to the next as long as they come without a pause. All of this is
state of one of Ray's own processes, which loads no model.
"""

import contextlib
import os
import sys
import threading
from collections.abc import Generator
from pathlib import Path
from typing import Any

from runners.execution.events import Ended
from runners.execution.executors import _node
from runners.execution.executors._node import unfit
from runners.execution.executors._process import Attempt, Worker
from runners.execution.worker import Task
from runners.store.store import Store

_IDLE_SECONDS = 2.0
"""So long a worker is kept that has nothing to do: its memory, and its GPU, belong to whom Ray gives them
next."""

_Kept = tuple[tuple[str, ...], Worker]
"""A worker, and what it was started for."""

_kept: dict[bool, _Kept] = {}
"""The last one that loaded a model, and the last one that loads none."""

_lock = threading.Lock()


def perform(task_json: str, root: str, folder: str, threads: int, news: Any) -> tuple[Ended, bool]:
    """Make one attempt at a step or a shard of it.

    Returns its end, and if the store is at fault, so that no other attempt would fare better.

    Args:
        task_json: a `Task` as JSON.
        root: the store.
        folder: where `xp` was started: a spec may name files relative to it.
        threads: with how many the libraries of the step compute.
        news: a `ray.util.queue.Queue` that is told of the beginning and of the progress: ((step, part),
            event).
    """
    task, store = Task.model_validate_json(task_json), Store(Path(root))
    unit = (task.step_id, task.part)
    if reason := unfit(task, store, Path(folder)):
        now = Attempt(task.step_id, os.getpid())
        news.put((unit, now.started()))
        return now.failed(reason), False
    import ray

    gpus = ray.get_runtime_context().get_accelerator_ids().get("GPU", [])
    with _worker(store, Path(folder), task.step.affinity, threads, tuple(gpus)) as worker:
        return _node.perform(task, worker, lambda event: news.put((unit, event)))


@contextlib.contextmanager
def _worker(
    store: Store, folder: Path, affinity: str, threads: int, gpus: tuple[str, ...]
) -> Generator[Worker]:
    """The worker of a task before if it fits, else a new one."""
    wanted = (str(store.root), str(folder), affinity, str(threads), *gpus)
    import ray

    rays = Path(ray.__file__).parent  # Ray puts packages of its own before everyone's
    modules = [path for path in sys.path if path and not Path(path).is_relative_to(rays)]
    settings = {"OMP_NUM_THREADS": str(threads), "PYTHONPATH": os.pathsep.join(modules)}
    if not gpus:  # Ray shows a task the GPUs that it is given; one that is given none it shows all of them
        settings["CUDA_VISIBLE_DEVICES"] = ""
    with _lock:
        kept = _kept.pop(bool(affinity), None)
    if kept is not None and (kept[0] != wanted or kept[1].is_over):
        kept[1].end()
        kept = None
    worker = kept[1] if kept else Worker(store, affinity, settings, folder)
    try:
        yield worker
    except BaseException:
        worker.end()
        raise
    if worker.is_over:
        worker.end()
        return
    with _lock:
        _kept[bool(affinity)] = idle = (wanted, worker)
    timer = threading.Timer(_IDLE_SECONDS, _end_idle, (bool(affinity), idle))
    timer.daemon = True
    timer.start()


def _end_idle(loads: bool, idle: _Kept) -> None:
    """End a worker if it has not been taken since. Taken and kept again, it is another tuple."""
    with _lock:
        if _kept.get(loads) is not idle:
            return
        del _kept[loads]
    idle[1].end()
