"""`sft`: supervised fine-tuning on (instruction, response) pairs.

The loss is on the response and its end, with `assistant_only_loss` on all answers of a conversation; prompts
and padding are masked.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from dsl.steps.training_steps import SftStep
from runners.models.loading import Loaded
from runners.models.startup_time import importing
from runners.store.step_io import StepContext, StepResult
from runners.training.padding_free import check_rows_apart, check_rows_apart_once_sharded
from runners.training.rows import Row
from runners.training.tune import tune


def run(step: SftStep, context: StepContext, out: Path) -> StepResult:
    """Train as `tune` does."""
    return tune(step, context, out, _columns, partial(_trainer, step))


def _columns(rows: Iterator[Row]) -> Iterator[Mapping[str, object]]:
    for row in rows:
        yield {"input_ids": row.prompt_ids + row.answers[0], "labels": row.labels}


def _trainer(
    step: SftStep, loaded: Loaded, arguments: dict[str, Any], others: dict[str, Any]
) -> tuple[Any, None]:
    with importing():
        from trl.trainer.sft_config import SFTConfig
        from trl.trainer.sft_trainer import DataCollatorForLanguageModeling, SFTTrainer

    trainer = SFTTrainer(
        loaded.model,
        args=SFTConfig(
            **arguments,
            padding_free=step.training.padding_free,
            dataset_kwargs={"skip_prepare_dataset": True},  # rows are tokens already
        ),
        # TRL makes the one that pads nothing by itself, and takes no other
        data_collator=None
        if step.training.padding_free
        else DataCollatorForLanguageModeling(pad_token_id=loaded.pad_id),
        **others,
    )
    if step.training.padding_free:
        (check_rows_apart_once_sharded if trainer.is_fsdp_enabled else check_rows_apart)(trainer)
    return trainer, None
