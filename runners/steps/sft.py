"""`sft`: supervised fine-tuning on (instruction, response) pairs.

The loss is on the response and its end, with `assistant_only_loss` on all answers of a conversation; prompts
and padding are masked.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from dsl.steps.steps import SftStep
from runners.models.loading import load_to_train
from runners.models.startup_time import importing
from runners.store.step_io import StepContext, StepResult
from runners.training.adapter import lora
from runners.training.padding_free import check_rows_apart
from runners.training.rows import Counts, Drawn, as_dataset, draw, tokenise
from runners.training.trainer import (
    arguments,
    memory_given_back,
    result_of,
    save,
    train,
    weights_of,
)

ANSWERS = ("response",)


def run(step: SftStep, context: StepContext, out: Path) -> StepResult:
    """Write `adapter/` or `model/`, `metrics.jsonl` and `facts.json`."""
    with memory_given_back():
        return _run(step, context, out)


def _run(step: SftStep, context: StepContext, out: Path) -> StepResult:
    with importing():
        from trl.trainer.sft_config import SFTConfig
        from trl.trainer.sft_trainer import DataCollatorForLanguageModeling, SFTTrainer

    weights = step.training.weights(step.weights, step.adapter)
    loaded = load_to_train(
        weights,
        None,
        context.cache,
        is_frozen=step.adapter is not None,
        is_quantized=step.adapter is not None and step.adapter.quantization is not None,
    )
    before = weights_of(loaded.model, step.weights.dtype) if step.adapter is None else {}
    counts = Counts()
    drawn, evaluated = draw(
        step.train, step.prompts, ANSWERS, context, step.rows, step.seed, counts, step.validation
    )

    def dataset(rows: list[Drawn], counts: Counts) -> Any:
        tokens = tokenise(
            rows,
            ANSWERS,
            loaded,
            context,
            step.seed,
            step.training.max_length,
            counts,
            step.training.assistant_only_loss,
        )
        return as_dataset(
            {"input_ids": row.prompt_ids + row.answers[0], "labels": row.labels} for row in tokens
        )

    trainer = SFTTrainer(
        loaded.model,
        args=SFTConfig(
            **arguments(step, loaded, out),
            dataset_kwargs={"skip_prepare_dataset": True},  # rows are tokens already
        ),
        train_dataset=dataset(drawn, counts),
        eval_dataset=dataset(evaluated, Counts()) if evaluated else None,
        # TRL makes the one that pads nothing by itself, and takes no other
        data_collator=None
        if step.training.padding_free
        else DataCollatorForLanguageModeling(pad_token_id=loaded.pad_id),
        processing_class=loaded.tokenizer,
        peft_config=lora(step.adapter, loaded.model),
    )
    if step.training.padding_free:
        check_rows_apart(trainer)
    resumed_from_step = train(trainer, step, context, out)
    save(trainer, step.adapter, out)
    return result_of(trainer, loaded, counts, resumed_from_step, out, before)
