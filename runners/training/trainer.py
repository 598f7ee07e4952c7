"""Training around TRL's trainers, alike for all of them: arguments, checkpoints, and saving.

A killed attempt leaves whole checkpoints and metrics in the step's folder. The next one resumes from the last
checkpoint and forgets the metrics after it, so that its losses, and its rows, are those of a run that was
never killed.
"""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dsl.data.code_fingerprint import fingerprint
from dsl.data.records import TrainingFacts, TrainMetric
from dsl.steps.training_settings import Adapter, Training
from dsl.steps.training_steps import TuningStep
from runners.inference.batch_model import forget_batch_models
from runners.models import memory
from runners.models.loading import ADAPTER, MODEL, POLICY, Loaded
from runners.store.reusable_rows import reusable_rows
from runners.store.step_io import (
    RowWriter,
    StepContext,
    StepResult,
    codes_of,
    write_codes,
    write_json,
)
from runners.training import sharding
from runners.training.recorder import WHOLE, recorder
from runners.training.reports import check_reported
from runners.training.rows import Counts

if TYPE_CHECKING:
    import torch

METRICS = "metrics.jsonl"
FACTS = "facts.json"
CHECKPOINTS = "trainer"
_SAMPLED = 100_000
"""Weights of a tensor that are looked at to tell the share that moved."""


class BatchTooLarge(MemoryError):
    """Memory ran out while training, with batches of several rows: smaller ones may fit."""


@contextlib.contextmanager
def memory_given_back() -> Generator[None]:
    """Give memory back before and after a training.

    No trainer, optimiser or gradient is left for the worker's next step, and nothing that generating kept is
    here.

    What the block made must be out of reach when it ends.
    """
    forget_batch_models()
    try:
        yield
    finally:
        memory.give_back()


def has_bf16(device: str) -> bool:
    """Check if a device has instructions for bfloat16."""
    import torch

    if device == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return any(there for name, there in torch.cpu.get_capabilities().items() if "bf16" in name)


def uses_bf16(device: str, *, wanted: bool) -> bool:
    """Check if training computes in bfloat16: where it is asked for and the device (`cuda` or `cpu`) has it.

    Elsewhere it would be imitated, many times slower than float32, which is what is taken then.
    """
    return wanted and has_bf16(device)


def arguments(step: TuningStep, loaded: Loaded, out: Path, *, fsdp: bool) -> dict[str, Any]:
    """Return the arguments of every configuration of TRL's. Rows arrive cut: `max_length` is None."""
    from transformers import TrainingArguments

    training = step.training
    check_reported(training)

    settings = training.as_trl() | {"bf16": uses_bf16(loaded.device, wanted=training.bf16)}
    if (
        "activation_checkpointing" in TrainingArguments.__dataclass_fields__
    ):  # its name from transformers 5.23 on, TRL's docs have the old one
        settings["activation_checkpointing"] = settings.pop("gradient_checkpointing")
    return {
        **settings,
        "max_length": None,
        "output_dir": str(out / CHECKPOINTS),
        "seed": step.seed,
        "use_cpu": loaded.device == "cpu",
        "dataloader_pin_memory": loaded.device == "cuda",
        "save_strategy": "steps",
        "save_total_limit": 2 if step.validation is None else 3,  # the best, a whole one, one being written
        "logging_strategy": "steps",
        "logging_nan_inf_filter": False,
        "disable_tqdm": True,
        **(_evaluation(training) if step.validation is not None else {}),
        **(sharding.ARGUMENTS if fsdp else {}),
    }


def _evaluation(training: Training) -> dict[str, Any]:
    """Arguments of an evaluation while training."""
    return {
        "eval_strategy": "steps",
        "eval_steps": training.eval_steps,
        "load_best_model_at_end": training.load_best_model_at_end,
        "metric_for_best_model": training.metric_for_best_model,
        "restore_callback_states_from_checkpoint": True,  # how long early stopping has waited
        # the best weights can only be loaded where they were saved
        "save_steps": training.eval_steps if training.load_best_model_at_end else training.save_steps,
    }


def train(trainer: Any, step: TuningStep, context: StepContext, out: Path) -> int:
    """Train to the end, and return the step it resumed from, 0 for the beginning.

    Raises StepFailed when the loss is no longer a number; where the weights of an evaluation before that are
    kept, training ends there. Raises BatchTooLarge where memory runs out and a batch can be split.
    """
    from transformers import EarlyStoppingCallback, PrinterCallback

    checkpoint, resumed_from_step = last_checkpoint(out, fsdp=context.fsdp)
    write_codes(out, {fingerprint(*step.code)} | (codes_of(out) if checkpoint else frozenset()))
    rows = [row for row in reusable_rows(out / METRICS, TrainMetric) if row.global_step <= resumed_from_step]
    (out / METRICS).unlink(missing_ok=True)
    with RowWriter(out / METRICS) as writer:
        for row in rows:
            writer.write(row)
        last = {row.name: row.value for row in rows}
        trainer.remove_callback(PrinterCallback)
        seconds, n_tokens = last.get("seconds", 0.0), last.get("num_tokens", 0.0)
        watching: Any = recorder(writer, context.report, seconds, n_tokens, trainer.model.dtype)
        trainer.add_callback(watching)
        if (patience := step.training.early_stopping_patience) is not None:
            trainer.add_callback(EarlyStoppingCallback(patience))
        try:
            trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
        except Exception as error:
            if (
                step.splits_batches
                and memory.is_exhausted(error)
                and step.training.per_device_train_batch_size > 1
            ):
                raise BatchTooLarge(str(error)) from error
            raise
        trainer.accelerator.wait_for_everyone()  # before the first process removes the checkpoints
    trainer.diverged_at_step = watching.diverged_at_step
    return resumed_from_step


def weights_of(model: Any, dtype: str) -> dict[str, torch.Tensor]:
    """Sample up to 100,000 weights of each tensor, evenly spaced, in a `dtype`.

    That is enough to estimate the share that training moved.
    """
    import torch

    as_used = getattr(torch, dtype)
    return {
        name: sharding.whole_tensor(weight)
        .flatten()[:: weight.numel() // _SAMPLED + 1]
        .to("cpu", as_used, copy=True)
        for name, weight in model.named_parameters()
    }


def save(trainer: Any, adapter: Adapter | None, out: Path, policy: Path | None = None) -> None:
    """Save what `models.load` reads in `out`, and remove the checkpoints.

    Of several processes the first one does. `policy` is the folder of the step that training began with.
    """
    weights = sharding.whole(trainer)
    if not trainer.is_world_process_zero():
        return
    if adapter is None:
        trainer.model.save_pretrained(out / MODEL, state_dict=weights)
    else:
        # what the adapter lies on stays as it is
        trainer.model.save_pretrained(out / ADAPTER, state_dict=weights, save_embedding_layers=False)
    if policy is not None and adapter is not None:
        link_weights(policy, out / POLICY)
    shutil.rmtree(out / CHECKPOINTS, ignore_errors=True)


def link_weights(step: Path, out: Path) -> None:
    """Put the weights of a training step's folder into another one, in place of what is left there."""
    for name in (POLICY, MODEL, ADAPTER):
        shutil.rmtree(out / name, ignore_errors=True)
        if (step / name).is_dir():
            shutil.copytree(step / name, out / name, copy_function=_link)


def result_of(
    trainer: Any,
    loaded: Loaded,
    counts: Counts,
    resumed_from_step: int,
    out: Path,
    before: Mapping[str, torch.Tensor],
    n_validation_rows: int,
    reference_model: str | None,
) -> StepResult:
    """Return the counts, and write them to `facts.json`.

    Args:
        before: weights as they were (`weights_of`), where all of them were trained.
        n_validation_rows: rows or pairs that it was evaluated on.
    """
    is_evaluated = trainer.eval_dataset is not None
    facts = TrainingFacts(
        n_rows=counts.n_rows,
        n_truncated=counts.n_truncated,
        n_border_merges=counts.n_border_merges,
        n_tokens=counts.n_tokens,
        n_trainable_parameters=sum(
            weight.numel() for weight in trainer.model.parameters() if weight.requires_grad
        ),
        n_parameters=loaded.n_parameters,
        share_moved=_share_moved(before, trainer.model) if before else None,
        reference_model=reference_model,
        n_validation_rows=n_validation_rows if is_evaluated else None,
        metric_for_best_model=trainer.args.metric_for_best_model if is_evaluated else None,
        best_metric=trainer.state.best_metric,
        best_global_step=trainer.state.best_global_step,
    )
    write_json(out / FACTS, facts)
    codes = codes_of(out)
    more = {
        "n_without_answer": counts.n_without_answer,
        "n_dropped": counts.n_dropped,
        "n_equal": counts.n_equal,
        "n_unlike_template": counts.n_unlike_template,
        "max_length": counts.max_length,
        "answer_end": counts.answer_end,
        "mean_answer_tokens": sum(counts.answer_lengths) / len(counts.answer_lengths),
        "global_step": trainer.state.global_step,
        "resumed_from_step": resumed_from_step,
        "diverged_at_step": trainer.diverged_at_step,
        "bf16": trainer.args.bf16,
        "codes": ", ".join(sorted(codes)) if len(codes) > 1 else None,
    }
    return StepResult(
        n_rows=counts.n_rows,
        n_of_other_code=resumed_from_step if len(codes) > 1 else 0,
        load_seconds=loaded.load_seconds,
        facts={**facts.model_dump(), **loaded.facts, **more},
    )


def _share_moved(before: Mapping[str, torch.Tensor], model: Any) -> float:
    """Share of all weights, each tensor's by its sample."""
    dtype = str(next(iter(before.values())).dtype).removeprefix("torch.")
    sizes: dict[str, int] = {name: weight.numel() for name, weight in model.named_parameters()}
    moved = {
        name: (weights != before[name]).double().mean().item()
        for name, weights in weights_of(model, dtype).items()
    }
    return sum(sizes[name] * moved[name] for name in sizes) / sum(sizes.values())


def last_checkpoint(out: Path, *, fsdp: bool) -> tuple[Path | None, int]:
    """Return the newest whole checkpoint of an earlier attempt, and its step. Remove half-written ones, and
    those of processes that held other parts of the weights."""
    newest, step = None, 0
    for folder in (out / CHECKPOINTS).glob("checkpoint-*"):
        number = int(folder.name.removeprefix("checkpoint-"))
        if not (folder / WHOLE).exists():
            shutil.rmtree(folder)
        elif (folder / sharding.CHECKPOINT).exists() != fsdp:
            how = "without" if fsdp else "with"
            logging.getLogger(__name__).warning("%s was made %s `fsdp`: not resumed from", folder.name, how)
            shutil.rmtree(folder)
        elif number > step:
            newest, step = folder, number
    return newest, step


def _link(source: str, target: str) -> None:
    """A second name for a file where the file system allows it: full weights are large."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
