"""`kto`: Kahneman-Tversky Optimisation (arXiv 2402.01306) on answers one by one, made of pairs.

The chosen answer of a pair is desirable, the rejected one undesirable. All come in one random order, by seed,
which every epoch keeps: a batch's KL is estimated from its prompts, each with the answer before it in the
batch.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dsl.data.random_order import in_random_order
from dsl.steps.training_steps import KtoStep
from runners.models.loading import Loaded
from runners.models.startup_time import importing
from runners.store.step_io import StepContext, StepResult
from runners.training.reference_model import reference_model
from runners.training.rows import Row
from runners.training.tune import tune

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel


def run(step: KtoStep, context: StepContext, out: Path) -> StepResult:
    """Train as `tune` does."""
    return tune(step, context, out, partial(_answers, step), partial(_trainer, step, context))


def _answers(step: KtoStep, rows: Iterator[Row]) -> Iterator[dict[str, Any]]:
    """Yield the columns that TRL makes itself of texts, two rows for each pair."""
    unpaired = [
        (f"{row.item} {row.language} {name}", row.prompt_ids, ids, name == "chosen")
        for row in rows
        for name, ids in zip(step.ANSWERS, row.answers, strict=True)
    ]
    ordered = in_random_order(unpaired, lambda answer: answer[0], step.seed)
    size = step.training.per_device_train_batch_size
    for start in range(0, len(ordered), size):
        batch = ordered[start : start + size]
        for at, (_, prompt_ids, ids, is_desirable) in enumerate(batch):
            yield {
                "prompt_ids": prompt_ids,
                "completion_ids": ids,
                "KL_completion_ids": batch[at - 1][2],
                "label": is_desirable,
            }


def _trainer(
    step: KtoStep, context: StepContext, loaded: Loaded, arguments: dict[str, Any], others: dict[str, Any]
) -> tuple[Any, str]:
    with importing():
        from trl.trainer.kto_config import KTOConfig
        from trl.trainer.kto_trainer import DataCollatorForUnpairedPreference

    reference, reference_in_words = reference_model(step, context, is_policy=True)
    in_order: dict[str, Any] = {**arguments, "train_sampling_strategy": "sequential"}
    trainer = _trainer_class()(
        loaded.model,
        ref_model=reference,
        args=KTOConfig(
            **in_order,
            beta=step.beta,
            desirable_weight=step.desirable_weight,
            undesirable_weight=step.undesirable_weight,
        ),
        data_collator=DataCollatorForUnpairedPreference(pad_token_id=loaded.pad_id),
        **others,
    )
    return trainer, reference_in_words


def _trainer_class() -> type[Any]:
    """Return TRL's trainer, fed with tokens.

    Its metrics are of answers, however many of a batch are desirable, and have the answers' lengths and their
    log-ratios to the reference too.
    """
    from trl.trainer import kto_trainer

    base: Any = kto_trainer.KTOTrainer

    class AnswerTrainer(base):
        model: PreTrainedModel

        def _prepare_dataset(self, dataset: Any, *args: Any) -> Any:
            return dataset  # rows are tokens already

        def compute_loss(self, model: Any, inputs: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
            trainer: Any = super()
            loss = trainer.compute_loss(model, inputs, *args, **kwargs)
            metrics = self._metrics["train" if self.model.training else "eval"]
            lengths = inputs["completion_mask"].sum(dim=1).float()
            is_desirable: torch.Tensor = inputs["label"]
            for name, is_of in (("chosen", is_desirable), ("rejected", ~is_desirable)):
                if not (n := int(is_of.sum())):
                    continue
                metrics[f"lengths/{name}"].append(lengths[is_of].mean().item())
                metrics[f"log_ratios/{name}"].append(metrics[f"rewards/{name}"][-1] / self.beta)
                for measure in ("lengths", "log_ratios", "rewards", "logps", "logits"):
                    values: list[float] = metrics[f"{measure}/{name}"]
                    values.extend(values[-1:] * (n - 1))  # TRL takes the mean of the batches'
            return loss

        def log(self, logs: dict[str, float], *args: Any, **kwargs: Any) -> None:
            metrics = self._metrics["train" if self.model.training else "eval"]
            sides: Sequence[list[float]] = [metrics.get(f"rewards/{name}", []) for name in KtoStep.ANSWERS]
            if all(sides):
                chosen, rejected = (sum(side) / len(side) for side in sides)
                metrics["rewards/margins"] = [chosen - rejected]
            trainer: Any = super()
            trainer.log(logs, *args, **kwargs)

    return AnswerTrainer
