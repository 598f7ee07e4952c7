"""Evaluation that several processes share: each takes a part of the batches that one process would have."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator
from typing import Any, cast

_Measures = tuple[float, dict[str, list[float]]]
"""A batch's loss, and what TRL measures of it, by name."""


def numbers_of(n_batches: int, n_processes: int, process: int) -> list[int]:
    """Return the numbers of the batches that a process evaluates.

    All have equally many, since they compute in step: where some are missing, first ones are repeated.
    """
    n_even = -(-n_batches // n_processes) * n_processes
    return [at % n_batches for at in range(process, n_even, n_processes)]


def share_evaluation(trainer: Any) -> None:
    """Measure every batch once, with the rows that it has in one process.

    accelerate fills the last ones up with rows from the beginning, which the batch's loss and TRL's metrics
    count.
    """
    from accelerate.utils import gather_object  # pyright: ignore[reportMissingTypeStubs]
    from torch.utils.data import DataLoader

    evaluation_loop, prediction_step = trainer.evaluation_loop, trainer.prediction_step

    def shared_loop(dataloader: Any, *args: Any, **kwargs: Any) -> Any:
        metrics: dict[str, list[float]] = trainer._metrics["eval"]
        batches: list[list[int]] = list(dataloader.batch_sampler.batch_sampler)  # those of one process
        numbers = numbers_of(len(batches), trainer.args.world_size, trainer.args.process_index)
        measured: list[tuple[int, _Measures]] = []

        def measured_step(*args: Any, **kwargs: Any) -> Any:
            found = prediction_step(*args, **kwargs)
            measured.append((numbers[len(measured)], (found[0].item(), dict(metrics))))
            metrics.clear()
            return found

        own = DataLoader(
            dataloader.dataset,
            batch_sampler=[batches[number] for number in numbers],
            collate_fn=dataloader.collate_fn,
        )
        with _each_by_itself(trainer, measured_step):
            output = evaluation_loop(own, *args, **kwargs)
        total, gathered = 0.0, cast("list[tuple[int, _Measures]]", gather_object(measured))
        for number, (loss, values) in sorted(dict(gathered).items()):  # what was repeated counts once
            total += loss * len(batches[number])
            for name in values:
                metrics[name].extend(values[name])
        output.metrics["eval_loss"] = total / sum(map(len, batches))
        return output

    trainer.evaluation_loop = shared_loop


@contextlib.contextmanager
def _each_by_itself(trainer: Any, prediction_step: Callable[..., Any]) -> Generator[None]:
    """Let a process' metrics be of its own batch: those of others may have fewer rows."""

    def own(values: Any) -> Any:
        return values

    trainer.prediction_step = prediction_step
    trainer.accelerator.gather = trainer.accelerator.gather_for_metrics = own
    try:
        yield
    finally:
        del trainer.prediction_step, trainer.accelerator.gather, trainer.accelerator.gather_for_metrics
