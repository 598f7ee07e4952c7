"""One unit of work on a node of a cluster, with the worker process that does it."""

import selectors
import socket
from collections.abc import Callable
from pathlib import Path

from dsl.errors import StoreError
from dsl.steps import identity
from runners.execution.events import Ended, Progress, Started
from runners.execution.executors._process import Worker
from runners.execution.worker import Task
from runners.store.store import Store

_LOOK_SECONDS = 0.5


def unfit(task: Task, store: Store, folder: Path) -> str | None:
    """Return the reason why this node cannot run a task; None where it can.

    `folder`: where `xp` was started. The store's lock is held as long as steps run.
    """
    if identity.step_id(task.step) != task.step_id:
        return (
            f"{socket.gethostname()} has another version of xp, to which this is another step: install the"
            " same one on all nodes"
        )
    missing = [path for path in (store.root / "lock", folder) if not path.exists()]
    if missing:
        return (
            f"{socket.gethostname()} does not see {missing[0]}, which must lie on a path that all nodes share"
        )
    return None


def perform(
    task: Task,
    worker: Worker,
    tell: Callable[[Started | Progress], None],
    look: Callable[[], None] = lambda: None,
) -> tuple[Ended, bool]:
    """Give a worker a task and tell of its events until it is over.

    Returns its end, and if the store is at fault, so that no other attempt would fare better. `look` is
    called every half second at least.
    """
    now = worker.give(task)
    tell(now.started())
    ended, is_store_error = None, False
    with selectors.DefaultSelector() as selector:
        selector.register(worker, selectors.EVENT_READ)
        while ended is None:
            selector.select(_LOOK_SECONDS)
            look()
            try:
                for event in worker.news():
                    if isinstance(event, Progress):
                        tell(event)
                    else:
                        ended = event
            except StoreError:  # told after the event
                is_store_error = True
    return ended, is_store_error
