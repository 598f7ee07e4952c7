"""Run steps one after another in this process, where a debugger can follow them (`xp apply --in-process`): a
training on one GPU, however many it is given."""

import os
import time
from collections.abc import Collection, Mapping

from dsl.errors import StepFailed, StepStopped, StoreError, XpError
from dsl.spec.resources import Resources, started
from dsl.steps.steps import Step
from dsl.values import StepId
from runners.execution.attempt import attempt
from runners.execution.events import OnEvent, Progress
from runners.execution.executors._process import Attempt
from runners.execution.executors._queue import LOOK_SECONDS, Queue
from runners.execution.gpus import share, visible
from runners.serving import servers
from runners.store.store import Store


def run(
    todo: Mapping[StepId, Step],
    done: Collection[StepId],
    store: Store,
    on_event: OnEvent,
    jobs: int | None,
    resources: Mapping[str, Resources],
) -> None:
    """Run every step of `todo` that can be run; the contract is in `runners.execution.executors`."""
    queue = Queue(todo, done, store, on_event, {})
    if queue.schedule.is_over():
        return
    gpus = visible()
    for model in (model for step in todo.values() for model in started(step) if gpus and model.n_gpus > 1):
        raise XpError(
            f"`args` share the server of {model.source} out to {model.n_gpus} GPUs, and `--in-process` gives"
            " it one. Leave that out"
        )
    os.environ.update(share(gpus, []))
    try:
        _run(queue, todo, store, on_event)
    finally:
        servers.end()  # this process may go on for long


def _run(queue: Queue, todo: Mapping[StepId, Step], store: Store, on_event: OnEvent) -> None:
    loaded = ""
    while not queue.schedule.is_over():
        if (step_id := queue.take(loaded=[loaded], busy=[])) is None:
            time.sleep(LOOK_SECONDS)  # another apply makes what is left
            continue
        step, now = todo[step_id], Attempt(step_id, os.getpid())
        if step.affinity and step.affinity != loaded:
            servers.end()  # another model needs the memory
        loaded = step.affinity or loaded
        on_event(now.started())
        try:
            outcome = attempt(
                step_id,
                step,
                store,
                queue.task(step_id).reuse_from,
                lambda n_done, n_rows, step_id=step_id: on_event(Progress(step_id, n_done, n_rows)),
                to_log=False,
            )
        except StepStopped as error:
            ended = now.stopped(str(error))
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
        queue.end(ended)
