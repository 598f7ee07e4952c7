"""One training, alike for every trainer: weights, rows, TRL's trainer, checkpoints, and what is saved."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from dsl.steps.training_steps import PreferenceStep, TuningStep
from runners.models.loading import Loaded, load_to_train
from runners.store.step_io import StepContext, StepResult
from runners.training.adapter import lora
from runners.training.rows import Counts, Drawn, Row, as_dataset, draw, tokenise
from runners.training.sharding import prepare
from runners.training.shared_evaluation import share_evaluation
from runners.training.trainer import (
    arguments,
    memory_given_back,
    result_of,
    save,
    train,
    uses_bf16,
    weights_of,
)

Columns = Callable[[Iterator[Row]], Iterable[Mapping[str, object]]]
"""Makes the columns that a trainer reads of rows as tokens."""

MakeTrainer = Callable[[Loaded, dict[str, Any], dict[str, Any]], tuple[Any, str | None]]
"""Makes TRL's trainer of a model, the arguments of its configuration, and its other arguments (rows,
tokenizer, adapter). Returns it with its reference model in words, None where it has none."""


def tune(
    step: TuningStep, context: StepContext, out: Path, columns: Columns, make_trainer: MakeTrainer
) -> StepResult:
    """Write `adapter/` or `model/`, `metrics.jsonl` and `facts.json`.

    Beside an adapter `policy/` has its base, where that is not the weights.
    """
    with memory_given_back():
        return _tune(step, context, out, columns, make_trainer)


def _tune(
    step: TuningStep, context: StepContext, out: Path, columns: Columns, make_trainer: MakeTrainer
) -> StepResult:
    policy = policy_of(step, context)
    weights = step.training.weights(step.weights, step.adapter)
    loaded = load_to_train(
        weights,
        policy,
        context.cache,
        is_frozen=step.adapter is not None,
        is_quantized=step.adapter is not None and step.adapter.quantization is not None,
        is_sharded=context.fsdp,
    )
    before = weights_of(loaded.model, step.weights.dtype) if step.adapter is None else {}
    counts, validation = Counts(), Counts()
    drawn, evaluated = draw(
        step.data, step.prompts, step.ANSWERS, context, step.rows, step.seed, counts, step.validation
    )

    def dataset(rows: list[Drawn], counts: Counts) -> Any:
        longest, learns_all = step.training.max_length, step.training.assistant_only_loss
        tokens = tokenise(rows, step.ANSWERS, loaded, context, step.seed, longest, counts, learns_all)
        return as_dataset(columns(tokens))

    trainer, reference_in_words = make_trainer(
        loaded,
        arguments(step, loaded, out, fsdp=context.fsdp),
        {
            "train_dataset": dataset(drawn, counts),
            "eval_dataset": dataset(evaluated, validation) if evaluated else None,
            "processing_class": loaded.tokenizer,
            "peft_config": lora(step.adapter, loaded.model),
        },
    )
    if context.fsdp:
        prepare(trainer, loaded.device, bf16=uses_bf16(loaded.device, wanted=step.training.bf16))
    if trainer.args.world_size > 1:
        share_evaluation(trainer)
    resumed_from_step = train(trainer, step, context, out)
    save(trainer, step.adapter, out, policy)
    n_validated = validation.n_rows
    return result_of(trainer, loaded, counts, resumed_from_step, out, before, n_validated, reference_in_words)


def policy_of(step: TuningStep, context: StepContext) -> Path | None:
    """Return the folder of the step whose result training starts from; None where it is the weights."""
    policy = step.policy if isinstance(step, PreferenceStep) else None
    return context[policy] if policy is not None else None
