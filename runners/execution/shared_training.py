"""Shares of a training that several processes make together, without torch."""

from math import gcd

from dsl.errors import DataError
from dsl.steps.training_settings import Training
from dsl.steps.training_steps import TuningStep


def per_process(training: Training, n_processes: int) -> Training:
    """Return the settings of each process; together they see the rows that one would in an optimiser step.

    Accumulation is shared out first, then the batch. Raises DataError where neither can be divided.
    """
    size, accumulated = training.per_device_train_batch_size, training.gradient_accumulation_steps
    shared = gcd(accumulated, n_processes)
    left = n_processes // shared
    if size % left:
        raise DataError(
            f"an optimiser step is of {size * accumulated} rows (`per_device_train_batch_size` {size} ×"
            f" `gradient_accumulation_steps` {accumulated}), which {n_processes} processes cannot share"
            f" equally. Take a `num_gpus` by which {size * accumulated} can be divided, or other batches"
        )
    return training.model_copy(
        update={
            "per_device_train_batch_size": size // left,
            "gradient_accumulation_steps": accumulated // shared,
        }
    )


def share_of(step: TuningStep, n_processes: int, *, fsdp: bool) -> Training:
    """Return the settings of each of the processes that a training is shared out to.

    Raises DataError where they cannot share its kind, its batches or its weights.
    """
    if n_processes > 1 and not (step.IN_PROCESSES and step.splits_batches):
        what = step.kind if step.splits_batches else f"{step.kind}, whose loss is of a whole batch,"
        raise DataError(f"{what} trains in one process alone: give it `num_gpus: 1`")
    if fsdp and step.adapter is not None and step.adapter.quantization is not None:
        raise DataError(
            f"`resources.{step.kind}.fsdp`: weights in 4 bits are not sharded. Leave `fsdp` or"
            " `quantization` out"
        )
    return per_process(step.training, n_processes)
