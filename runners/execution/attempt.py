"""One attempt at one step: a folder, the step's own runner, and what is to be known of it afterwards.

Everything a library prints or warns of goes to the folder's `log.txt`; the error that reaches a person is one
line.
"""

import contextlib
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from dsl.data.code_fingerprint import fingerprint
from dsl.data.records import Outcome
from dsl.errors import DataError, StepFailed, StepStopped, XpError
from dsl.messages import one_line, scrub
from dsl.steps.steps import Step
from dsl.steps.training_steps import TRAININGS, TuningStep
from dsl.values import Sha256, StepId
from runners.execution import shards
from runners.execution.log import log_traceback, output_to
from runners.execution.smaller_batches import train_with_batches_that_fit
from runners.execution.versions import versions
from runners.models import memory
from runners.models.memory import forget_peak_memory, peak_memory
from runners.models.startup_time import taken
from runners.steps import find_runner
from runners.store import batches, spending
from runners.store.digests import Damaged
from runners.store.disk_errors import is_disk_full, unwritten
from runners.store.step_io import CHECKS, StepContext, StepResult
from runners.store.store import Finished, Store

_LONGEST_ERROR = 600
_OF_BATCHES = frozenset({*TRAININGS, "reference_logps"})
"""Kinds of steps that read whole rows, batch after batch, and not token after token."""


def attempt(
    step_id: StepId,
    step: Step,
    store: Store,
    reuse_from: tuple[StepId, ...],
    report: Callable[[int, int], None],
    *,
    to_log: bool,
    part: range | None = None,
    n_processes: int = 1,
    fsdp: bool = False,
) -> Outcome:
    """Run one step, or one shard of it (`part`), to its end.

    `to_log` sends this process's output to the step's log meanwhile. `n_processes` train it, where it is a
    training, and hold a part of its weights each with `fsdp`.

    Raises:
        StepStopped: the study's budget has no room for the rest, or requests wait at a provider; rows and
            checkpoints so far are kept.
        StepFailed: the step raised; the message is one line, the traceback is in the step's log.
        StoreError: there is no room left on the disk, so that no other step would fare better.
    """
    place, name = (
        (store, step_id) if part is None else (shards.place_of(store, step_id), shards.name_of(part))
    )
    try:
        with (
            place.begin(name, step) as folder,
            output_to(folder / "log.txt") if to_log else contextlib.nullcontext(),
        ):
            folders = {i: store.step_folder(i) for i in step.inputs}
            contents = {i: _content(i, folder) for i, folder in folders.items()}
            telling = _giving_back(report) if step.kind in _OF_BATCHES else report
            context = StepContext(
                folders,
                store.cache,
                tuple(f"{store.steps}/{other}" for other in reuse_from),
                telling,
                shards.earlier(store, step_id, part),
                part,
                n_processes,
                fsdp,
            )
            with spending.charged(step, store), batches.kept_in(folder):
                outcome = _run(step_id, step, context, folder, store)
            shards.drop(folder)
            batches.drop(folder)
            return place.finish(name, outcome.model_copy(update={"inputs": contents}))
    except Finished as found:
        return found.outcome
    except StepStopped:
        raise
    # whatever a library raises is this step's result; only the person at the keyboard stops everything
    except Exception as error:
        folder = place.unfinished_folder(name)
        log_traceback(error, folder / "log.txt")
        if is_disk_full(error):
            raise unwritten(error, Path(getattr(error, "filename", None) or folder)) from error
        raise StepFailed(in_one_line(error)) from error


def _giving_back(report: Callable[[int, int], None]) -> Callable[[int, int], None]:
    def tell(n_done: int, n_rows: int) -> None:
        memory.give_back_unused()
        report(n_done, n_rows)

    return tell


def _content(step_id: StepId, folder: Path) -> Sha256:
    """Digest of what an input holds, which is as it was written. Raises DataError."""
    try:
        checked = CHECKS.check(str(folder), step_id)
    except Damaged as error:
        raise DataError(
            f"its input {step_id} is damaged: {error}. Apply again, and that step is made again"
        ) from error
    if checked is None:
        raise DataError(f"its input {step_id} has no result. Apply again, and that step is made again")
    return checked.content


def _run(step_id: StepId, step: Step, context: StepContext, folder: Path, store: Store) -> Outcome:
    started = time.monotonic()
    since_begun = taken()  # of the process, which its first step pays
    forget_peak_memory()
    result: StepResult = (
        train_with_batches_that_fit(step, context, folder, store)
        if isinstance(step, TuningStep)
        else find_runner(step.kind).run(step, context, folder)
    )
    return Outcome(
        step_id=step_id,
        seconds=since_begun + time.monotonic() - started,
        n_rows=result.n_rows,
        n_reused=result.n_reused,
        n_open=result.n_open,
        n_of_other_code=result.n_of_other_code,
        peak_memory_bytes=max(peak_memory(), result.peak_memory_bytes),
        start_seconds=since_begun + taken(),
        load_seconds=result.load_seconds,
        code=fingerprint(*step.code),
        versions=versions(),
        facts={"device": _device(), **result.facts},
    )


def in_one_line(error: BaseException) -> str:
    """Describe an error for a person in one line: class and message, of our own errors the message alone."""
    message = one_line(scrub(str(error)))
    if isinstance(error, XpError) and message:
        return _shorten(message)
    name = type(error).__name__
    if memory.is_exhausted(error):
        name = "out of memory"
    return _shorten(f"{name}: {message}" if message else name)


def _shorten(text: str) -> str:
    return text if len(text) <= _LONGEST_ERROR else text[: _LONGEST_ERROR - 1] + "…"


def _device() -> str:
    """The accelerator, where torch was loaded and sees one."""
    torch: Any = sys.modules.get("torch")
    return torch.cuda.get_device_name() if torch is not None and torch.cuda.is_available() else "cpu"
