"""`sft`: supervised fine-tuning on (instruction, response) pairs. The loss is on the response and its end; prompts and padding are masked."""

from __future__ import annotations

from pathlib import Path

from dsl.steps import SftStep
from runners import models, start, training, training_rows
from runners.work import Inputs, Made

ANSWERS = ("response",)


def run(step: SftStep, inputs: Inputs, out: Path) -> Made:
    """Write `adapter/` or `model/`, `metrics.jsonl` and `facts.json`."""
    with training.memory_given_back():
        return _run(step, inputs, out)


def _run(step: SftStep, inputs: Inputs, out: Path) -> Made:
    with start.importing():
        from datasets import Dataset
        from trl import SFTConfig, SFTTrainer
        from trl.trainer.sft_trainer import DataCollatorForLanguageModeling

    weights = step.training.weights(step.weights, step.adapter)
    loaded = models.load_to_train(weights, None, inputs.cache, is_frozen=step.adapter is not None)
    before = training.weights_of(loaded.model, step.weights.dtype) if step.adapter is None else {}
    counts = training_rows.Counts()
    drawn = training_rows.draw(step.train, step.prompts, ANSWERS, inputs, step.rows, step.seed, counts)
    rows = training_rows.tokenise(drawn, ANSWERS, loaded, inputs, step.seed, step.training.max_length, counts)
    trainer = SFTTrainer(
        loaded.model,
        args=SFTConfig(
            **training.arguments(step.training, loaded, step.seed, out),
            dataset_kwargs={"skip_prepare_dataset": True},  # rows are tokens already
        ),
        train_dataset=Dataset.from_list(
            [{"input_ids": row.prompt_ids + row.answers[0], "labels": [-100] * len(row.prompt_ids) + row.answers[0]} for row in rows]
        ),
        # TRL makes the one that pads nothing by itself, and takes no other
        data_collator=None if step.training.padding_free else DataCollatorForLanguageModeling(pad_token_id=loaded.pad_id),
        processing_class=loaded.tokenizer,
        peft_config=training.lora(step.adapter, loaded.model),
    )
    if step.training.padding_free:
        training.check_rows_apart(trainer)
    resumed_from_step = training.train(trainer, step, inputs, out)
    training.save(trainer, step.adapter, out)
    return training.made(trainer, loaded, counts, resumed_from_step, out, before)
