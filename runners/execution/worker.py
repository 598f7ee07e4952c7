"""Worker: a process that runs one step after another, so that a model is loaded once.

Its memory comes back when it ends.

    python -m runners.execution.worker --store .xp --parent PID

reads tasks from standard input and writes messages to standard output, a JSON object a line; nothing else
gets there, because each step's own output goes to its log. It ends when its input does, when its parent does,
and after a step that failed: what such a step leaves in memory must not reach the next one. A server that it
has started has ended before it does, where it is not at a step.
"""

import argparse
import ctypes
import os
import queue
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter

from dsl.data.records import Outcome
from dsl.errors import StepFailed, StepStopped, StoreError
from dsl.spec.budget import Charge
from dsl.steps.steps import AnyStep
from dsl.values import StepId, Value
from runners.execution.attempt import attempt
from runners.models.startup_time import count_process
from runners.serving import servers
from runners.store.store import Store

_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_SECONDS_BETWEEN_REPORTS = 0.1


class Task(Value):
    """Message to a worker: a step to run."""

    step_id: StepId
    step: AnyStep
    reuse_from: tuple[StepId, ...] = ()
    """Steps whose rows it can reuse."""
    part: tuple[int, int] | None = None
    """The first of its examples and the one after the last, where a shard of the step is meant."""
    n_processes: int = 1
    """Processes that a training is shared out to."""
    fsdp: bool = False
    """They hold a part of its weights each."""
    charge: Charge | None = None
    """The study that pays for it, where that has a budget."""


class Report(Value):
    """Rows done, of rows in all."""

    message: Literal["report"] = "report"
    done: int
    total: int


class Finished(Value):
    message: Literal["finished"] = "finished"
    outcome: Outcome


class Failed(Value):
    """The step is not done, and this worker ends."""

    message: Literal["failed"] = "failed"
    error: str
    is_store_error: bool = False
    """No other step would fare better."""
    is_stopped: bool = False
    """The budget stopped it, or requests of it wait at a provider."""


Message = Annotated[Report | Finished | Failed, Field(discriminator="message")]
MESSAGE: TypeAdapter[Report | Finished | Failed] = TypeAdapter(Message)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m runners.execution.worker")
    parser.add_argument("--store", type=Path, required=True)
    parser.add_argument("--parent", type=int, required=True)
    arguments = parser.parse_args()
    die_with(arguments.parent)
    asked, answers = os.dup(0), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 0)
    os.dup2(nothing, 1)
    tasks: queue.SimpleQueue[str] = queue.SimpleQueue()
    is_waiting = threading.Event()
    is_waiting.set()
    threading.Thread(target=_listen, args=(asked, tasks, is_waiting), daemon=True).start()
    store = Store(arguments.store)
    count_process()
    while True:
        task = Task.model_validate_json(tasks.get())
        is_waiting.clear()
        message = _perform(task, store, answers)
        is_waiting.set()
        _say(answers, message)
        if isinstance(message, Failed):
            return


def _perform(task: Task, store: Store, answers: int) -> Finished | Failed:
    last = 0.0

    def report(done: int, total: int) -> None:
        nonlocal last
        if done >= total or time.monotonic() - last > _SECONDS_BETWEEN_REPORTS:
            last = time.monotonic()
            _say(answers, Report(done=done, total=total))

    part = range(*task.part) if task.part else None
    store.charge = task.charge
    try:
        if part is None and store.is_done(task.step_id):  # by a worker that outlived its parent
            return Finished(outcome=store.outcome(task.step_id))
        return Finished(
            outcome=attempt(
                task.step_id,
                task.step,
                store,
                task.reuse_from,
                report,
                to_log=True,
                part=part,
                n_processes=task.n_processes,
                fsdp=task.fsdp,
            )
        )
    except StepStopped as error:
        return Failed(error=str(error), is_stopped=True)
    except (StepFailed, StoreError) as error:
        return Failed(error=str(error), is_store_error=isinstance(error, StoreError))


def _say(answers: int, message: Value) -> None:
    line = message.model_dump_json().encode() + b"\n"
    while line:
        line = line[os.write(answers, line) :]


def _listen(asked: int, tasks: "queue.SimpleQueue[str]", is_waiting: threading.Event) -> None:
    """Queue the parent's messages. At their end, exit at once, even in the middle of a step.

    Then the parent is gone, or needs this worker no longer. Its server's memory is free before the parent
    starts another worker; of one that is gone nobody waits for that, and the guard ends the server.
    """
    with os.fdopen(asked, encoding="utf-8") as lines:
        for line in lines:
            tasks.put(line)
    if is_waiting.is_set():
        servers.end()
    os._exit(0)


def die_with(parent: int) -> None:
    """Have Linux kill this process when its parent ends, however that ends.

    Elsewhere the end of input must do.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it ended before it could be watched
            os._exit(0)


if __name__ == "__main__":
    main()
