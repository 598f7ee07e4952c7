"""`dpo`: Direct Preference Optimisation (arXiv 2305.18290) on pairs, with a frozen reference model.

The policy is the weights themselves, or an sft step's result merged into them. The log-probabilities of the
reference are read from a reference_logps step, or computed as training goes on: then, with an adapter, the
policy as training begins is the same model with the adapter off.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dsl.data.records import RefLogps
from dsl.steps.training_steps import DpoStep
from runners.models.loading import Loaded, load_without_weights
from runners.models.startup_time import importing
from runners.store.step_io import StepContext, StepResult
from runners.training.reference_logps import logps_of, model_key, read_reference_logps
from runners.training.reference_model import name_of_reference, reference_model
from runners.training.rows import Row
from runners.training.tune import policy_of, tune

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def run(step: DpoStep, context: StepContext, out: Path) -> StepResult:
    """Train as `tune` does."""
    return tune(step, context, out, partial(_pairs, step, context), partial(_trainer, step, context))


def _trainer(
    step: DpoStep, context: StepContext, loaded: Loaded, arguments: dict[str, Any], others: dict[str, Any]
) -> tuple[Any, str]:
    with importing():
        from trl.trainer.dpo_config import DPOConfig
        from trl.trainer.dpo_trainer import DataCollatorForPreference

    is_policy = step.reference == "policy"
    if step.ref_logps is None:
        reference, reference_in_words = reference_model(step, context, is_policy=is_policy)
    else:
        # of sharded weights TRL loads one that it never asks, unless it is given one
        is_given = context.fsdp and step.adapter is None
        reference = load_without_weights(step.weights, context.cache).model if is_given else None
        reference_in_words = (
            f"{name_of_reference(step, is_policy=is_policy)} (computed once, {step.ref_logps})"
        )
    trainer = _trainer_class()(
        loaded.model,
        ref_model=reference,
        args=DPOConfig(
            **arguments,
            beta=step.beta,
            loss_type=list(step.loss_type),
            # so that TRL makes no reference model of its own; told of it, it also hashes the weights, which
            # an adapter does not need
            precompute_ref_log_probs=step.ref_logps is not None
            and step.adapter is None
            and reference is None,
        ),
        data_collator=DataCollatorForPreference(pad_token_id=loaded.pad_id),
        **others,
    )
    trainer.precompute_ref_logps = step.ref_logps is not None
    if trainer.precompute_ref_logps:
        trainer.ref_model = None
    return trainer, reference_in_words


def _pairs(step: DpoStep, context: StepContext, rows: Iterator[Row]) -> Iterator[dict[str, Any]]:
    """Yield the columns that TRL makes itself of texts, and the one that it groups rows by."""
    computed: Mapping[str, RefLogps] = {}
    if step.ref_logps is not None:
        computed = read_reference_logps(context[step.ref_logps])
    weights = step.training.weights(step.weights, step.adapter)
    below = policy_of(step, context) if step.reference == "policy" else None
    # the reference may have been computed where bfloat16 is not to be had, or only there
    keys = [model_key(weights, below, bf16=bf16) for bf16 in dict.fromkeys((step.training.bf16, False))]
    for row in rows:
        pair = {
            "prompt_ids": row.prompt_ids,
            "chosen_ids": row.answers[0],
            "rejected_ids": row.answers[1],
            "length": row.length,
        }
        if step.ref_logps is not None:
            known = logps_of(row, keys, computed)
            pair |= {
                "ref_chosen_logps": known.ref_chosen_logps,
                "ref_rejected_logps": known.ref_rejected_logps,
            }
        yield pair


def _trainer_class() -> type[Any]:
    """Return TRL's trainer, fed with tokens.

    Its metrics have the answers' lengths and their log-ratios to the reference too.
    """
    from trl.trainer import dpo_trainer

    base: Any = dpo_trainer.DPOTrainer

    class PairTrainer(base):
        model: PreTrainedModel
        _signature_columns: list[str]

        def _prepare_dataset(self, dataset: Any, *args: Any) -> Any:
            # TRL would tokenise prompt and answer together, and shorten prompts that merge with their answers
            return dataset

        def _precompute_ref_logps(self, dataset: Any, *args: Any) -> Any:
            return dataset  # a reference_logps step did

        def _set_signature_columns_if_needed(self) -> None:
            trainer: Any = super()
            trainer._set_signature_columns_if_needed()
            # else it is gone before rows are grouped by it
            self._signature_columns = [*self._signature_columns, "length"]

        def compute_loss(self, model: Any, inputs: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
            trainer: Any = super()
            loss = trainer.compute_loss(model, inputs, *args, **kwargs)
            metrics = self._metrics["train" if self.model.training else "eval"]
            lengths = inputs["completion_mask"].sum(dim=1).float().chunk(2)
            for name, length in zip(DpoStep.ANSWERS, lengths, strict=True):
                metrics[f"lengths/{name}"].append(self.accelerator.gather(length).mean().item())
                # log(policy / reference) of the answer: on the pairs' own answers, how far the policy has
                # gone (its KL is of its own answers)
                metrics[f"log_ratios/{name}"].append(metrics[f"rewards/{name}"][-1] / self.beta)
            if not self.model.training:  # TRL takes the mean of the batches', and the last may be smaller
                n_pairs = len(inputs["completion_mask"]) // 2
                for values in metrics.values():
                    values.extend(values[-1:] * (n_pairs - 1))
            return loss

    return PairTrainer
