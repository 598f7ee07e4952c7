"""Trainers on pairs that need no reference model: TRL's ORPO and CPO, which are experimental there."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING, Any

from dsl.steps.training_steps import PreferenceStep
from runners.models.loading import Loaded
from runners.models.startup_time import importing
from runners.training.rows import Row

if TYPE_CHECKING:
    from transformers import PreTrainedModel


@contextlib.contextmanager
def importing_experimental() -> Generator[None]:
    """Import from `trl.experimental`, without the warning that it may change: its version is fixed here."""
    with importing(), warnings.catch_warnings():
        from trl.import_utils import TRLExperimentalWarning

        warnings.filterwarnings("ignore", category=TRLExperimentalWarning)
        yield


def pairs(rows: Iterator[Row]) -> Iterator[dict[str, Any]]:
    """Yield the columns that TRL makes itself of texts, and the one that it groups rows by."""
    for row in rows:
        columns: dict[str, Any] = {"length": row.length}
        for name, ids in zip(PreferenceStep.ANSWERS, row.answers, strict=True):
            columns |= {
                f"{name}_input_ids": row.prompt_ids + ids,
                f"{name}_attention_mask": [1] * (len(row.prompt_ids) + len(ids)),
                f"{name}_labels": [-100] * len(row.prompt_ids) + ids,
            }
        yield columns


def trainer_of(
    base: Any,
    config: Any,
    step: PreferenceStep,
    loaded: Loaded,
    arguments: dict[str, Any],
    others: dict[str, Any],
    **loss: Any,
) -> Any:
    """Make a trainer of TRL's class `base`, fed with tokens. `loss` are the loss's settings."""
    with importing_experimental():
        from trl.experimental.utils import DPODataCollatorWithPadding

    trainer = _trainer_class(base)(
        loaded.model,
        # rows arrive cut; without a length TRL warns of one that it takes itself
        args=config(
            **arguments | {"max_length": step.training.max_length}, remove_unused_columns=False, **loss
        ),
        data_collator=DPODataCollatorWithPadding(pad_token_id=loaded.pad_id),
        **others,
    )
    trainer.use_dpo_data_collator = True  # else ORPO warns of another at each evaluation
    return trainer


def _trainer_class(base: Any) -> type[Any]:
    """Return TRL's trainer, fed with tokens, which it counts.

    Its metrics have the answers' lengths too.
    """

    class PairTrainer(base):
        model: PreTrainedModel
        n_tokens = 0

        @staticmethod
        def tokenize_row(feature: dict[str, Any]) -> dict[str, Any]:
            # TRL would tokenise prompt and answer together, and shorten prompts that merge with their answers
            return feature

        def get_batch_loss_metrics(
            self, model: Any, batch: dict[str, Any], train_eval: str = "train"
        ) -> tuple[Any, dict[str, float]]:
            trainer: Any = super()
            loss, metrics = trainer.get_batch_loss_metrics(model, batch, train_eval)
            prefix = "eval_" if train_eval == "eval" else ""
            for name in PreferenceStep.ANSWERS:
                lengths = (batch[f"{name}_labels"] != -100).sum(dim=1).float()
                metrics[f"{prefix}lengths/{name}"] = lengths.mean().item()
            if train_eval == "train":
                self.n_tokens += sum(
                    int(batch[f"{name}_attention_mask"].sum()) for name in PreferenceStep.ANSWERS
                )
            else:  # TRL takes the mean of the batches', and the last may be smaller
                for _ in range(len(batch["length"]) - 1):
                    self.store_metrics(metrics, train_eval="eval")
            return loss, metrics

        def log(self, logs: dict[str, float], *args: Any, **kwargs: Any) -> None:
            if "loss" in logs:
                logs["num_tokens"] = self.n_tokens
            trainer: Any = super()
            trainer.log(logs, *args, **kwargs)

    return PairTrainer
