"""Job of a Slurm cluster: one unit of work, from a task in a file to what came of it in another.

    python -m runners.execution.executors._slurm_job FOLDER N

reads `N.json` in a folder of the store and adds lines to `N.jsonl`. It ends its worker when the apply that
submitted it has ended, which it sees by that one's lock in the store, so that nothing is left at work after a
kill.
"""

import os
import sys
import time
from pathlib import Path

from dsl.errors import StoreLocked
from dsl.values import Value
from runners.execution.events import Ended, Progress, Started
from runners.execution.executors import _node
from runners.execution.executors._process import Attempt, Worker
from runners.execution.worker import Task
from runners.store.locks import APPLIES, holder
from runners.store.store import Store

_SECONDS_BETWEEN_LOOKS = 5.0


class Job(Value):
    """A unit of work as a job is handed it."""

    task: Task
    store: Path
    folder: Path
    """The folder that `xp` was started in: a spec may name files relative to it."""
    settings: dict[str, str]
    """Environment variables of the worker."""
    apply: str
    """Name of the apply that submitted it."""


class Message(Value):
    """One event of a job."""

    event: Started | Progress | Ended
    is_store_error: bool = False
    """No other step would fare better."""


class _Lease:
    """The life of the apply that submitted this job."""

    def __init__(self, store: Store, apply: str) -> None:
        self._lock, self._again_at = store.root / APPLIES / apply, 0.0

    def check(self) -> None:
        """Raise StoreLocked where the apply holds its lock no more."""
        if time.monotonic() < self._again_at:
            return
        self._again_at = time.monotonic() + _SECONDS_BETWEEN_LOOKS
        try:
            found = holder(self._lock)
        except OSError:  # as while a file server starts anew
            return
        if found is None:
            raise StoreLocked(
                f"{self._lock} is held by nobody: the apply that submitted this job has ended. Where that one"
                " is still at work, this node sees none of its file locks: the store must lie on a file"
                " system that shares them, as NFSv4"
            )


def main() -> None:
    folder, number = Path(sys.argv[1]), sys.argv[2]
    job = Job.model_validate_json((folder / f"{number}.json").read_bytes())
    store, task = Store(job.store), job.task
    with (folder / f"{number}.jsonl").open("ab", buffering=0) as messages:

        def tell(event: Started | Progress | Ended, *, is_store_error: bool = False) -> None:
            message = Message(event=event, is_store_error=is_store_error)
            messages.write(message.model_dump_json().encode() + b"\n")

        if reason := _node.unfit(task, store, job.folder):
            now = Attempt(task.step_id, os.getpid())
            tell(now.started())
            tell(now.failed(reason))
            return
        lease = _Lease(store, job.apply)
        try:
            lease.check()
        except StoreLocked as error:
            sys.exit(str(error))
        worker = Worker(store, task.step.affinity, job.settings, job.folder)
        try:
            ended, is_store_error = _node.perform(task, worker, tell, lease.check)
        except StoreLocked as error:
            sys.exit(str(error))
        finally:
            worker.end()
        tell(ended, is_store_error=is_store_error)


if __name__ == "__main__":
    main()
