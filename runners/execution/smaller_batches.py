"""Training that goes on with smaller batches where memory ran out.

Batches are split, and as many more of them are accumulated, so that each optimiser step sees the rows that it
would have seen. Training goes on from its last checkpoint, or from the start where there is none.
"""

import json
import logging
from dataclasses import replace
from pathlib import Path
from typing import cast

from dsl.steps.steps import AnyStep
from dsl.steps.training_settings import Training
from dsl.steps.training_steps import TuningStep
from runners.execution.processes import run_in_processes
from runners.execution.shared_training import share_of
from runners.models import memory
from runners.steps import find_runner
from runners.store.step_io import StepContext, StepResult, write_json
from runners.store.store import Store
from runners.training.trainer import CHECKPOINTS, BatchTooLarge

_SIZES = ("per_device_train_batch_size", "gradient_accumulation_steps")
_FILE = f"{CHECKPOINTS}/out_of_memory.json"
"""Beside the checkpoints: the attempt that goes on from them keeps the size that fitted."""


def train_with_batches_that_fit(
    step: TuningStep, context: StepContext, out: Path, store: Store
) -> StepResult:
    """Run a training step in as many processes as it is given, with smaller batches each time that memory
    runs out while it trains.

    Its facts have the sizes that it ended with, for each process, and `n_out_of_memory` where it began with
    others. A batch that does not fit and cannot be split raises what the runner raised; DataError, where
    processes cannot share a batch or the kind of training.
    """
    given = share_of(step, context.n_processes, fsdp=context.fsdp)
    n_out_of_memory = _times_before(out)
    while True:
        training = smaller(given, n_out_of_memory)
        try:
            fitting = step.model_copy(update={"training": training})
            made: StepResult = (
                find_runner(step.kind).run(fitting, context, out)
                if context.n_processes == 1
                else run_in_processes(cast("AnyStep", fitting), context, out, store)
            )
        except BatchTooLarge as error:
            size = training.per_device_train_batch_size
            logging.getLogger(__name__).warning("out of memory with batches of %d: %s", size, error)
        else:
            sizes = {name: getattr(training, name) for name in _SIZES}
            how = {
                "n_out_of_memory": n_out_of_memory or None,
                "n_processes": context.n_processes,
                "fsdp": context.fsdp or None,
            }
            return replace(made, facts={**made.facts, **sizes, **how})
        memory.give_back()  # the error is gone, and with its frames the trainer
        n_out_of_memory += 1
        (out / CHECKPOINTS).mkdir(exist_ok=True)
        write_json(out / _FILE, {"n": n_out_of_memory})


def smaller(training: Training, times: int) -> Training:
    """Split batches so many times, in halves where their size is even, and in as few parts as it allows where
    it is odd. The rows of an optimiser step stay the same."""
    size, accumulated = (getattr(training, name) for name in _SIZES)
    for _ in range(times):
        parts = next((parts for parts in range(2, size + 1) if size % parts == 0), 1)
        size, accumulated = size // parts, accumulated * parts
    return training.model_copy(update=dict(zip(_SIZES, (size, accumulated), strict=True)))


def _times_before(out: Path) -> int:
    """Number of times that memory ran out in attempts whose checkpoints lie there."""
    try:
        return int(json.loads((out / _FILE).read_bytes())["n"])
    except (OSError, ValueError, KeyError, TypeError):
        return 0
