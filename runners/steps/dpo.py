"""`dpo`: Direct Preference Optimisation (arXiv 2305.18290) on pairs, with a frozen reference model.

The policy is the weights themselves, or an sft step's result merged into them. The log-probabilities of the
reference are read from a reference_logps step, or computed as training goes on: then, with an adapter, the
policy as training begins is the same model with the adapter off.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dsl.data.records import RefLogps
from dsl.engines.transformers import Weights
from dsl.steps.steps import DpoStep
from runners.models.loading import load_to_train
from runners.models.startup_time import importing
from runners.store.step_io import StepContext, StepResult
from runners.training.adapter import lora
from runners.training.reference_logps import logps_of, model_key, read_reference_logps
from runners.training.rows import Counts, Drawn, Row, as_dataset, draw, tokenise
from runners.training.trainer import arguments, memory_given_back, result_of, save, train, weights_of

if TYPE_CHECKING:
    from transformers import PreTrainedModel

ANSWERS = ("chosen", "rejected")


def run(step: DpoStep, context: StepContext, out: Path) -> StepResult:
    """Write `adapter/` or `model/`, `metrics.jsonl` and `facts.json`.

    Beside an adapter `policy/` has its base, where that is not the weights.
    """
    with memory_given_back():
        return _run(step, context, out)


def _run(step: DpoStep, context: StepContext, out: Path) -> StepResult:
    with importing():
        from trl.trainer.dpo_config import DPOConfig
        from trl.trainer.dpo_trainer import DataCollatorForPreference

    policy = context[step.policy] if step.policy is not None else None
    weights = step.training.weights(step.weights, step.adapter)
    loaded = load_to_train(
        weights,
        policy,
        context.cache,
        is_frozen=step.adapter is not None,
        is_quantized=step.adapter is not None and step.adapter.quantization is not None,
    )
    before = weights_of(loaded.model, step.weights.dtype) if step.adapter is None else {}
    reference, reference_in_words = _reference(step, weights, context)
    counts = Counts()
    drawn, evaluated = draw(
        step.pairs, step.prompts, ANSWERS, context, step.rows, step.seed, counts, step.validation
    )

    def dataset(rows: list[Drawn], counts: Counts) -> Any:
        tokens = tokenise(rows, ANSWERS, loaded, context, step.seed, step.training.max_length, counts)
        return as_dataset(_pairs(step, weights, tokens, policy, context))

    trainer = _trainer_class()(
        loaded.model,
        ref_model=reference,
        args=DPOConfig(
            **arguments(step, loaded, out),
            beta=step.beta,
            loss_type=list(step.loss_type),
            # so that TRL makes no reference model of its own; told of it, it also hashes the weights, which
            # an adapter does not need
            precompute_ref_log_probs=step.ref_logps is not None and step.adapter is None,
        ),
        train_dataset=dataset(drawn, counts),
        eval_dataset=dataset(evaluated, Counts()) if evaluated else None,
        data_collator=DataCollatorForPreference(pad_token_id=loaded.pad_id),
        processing_class=loaded.tokenizer,
        peft_config=lora(step.adapter, loaded.model),
    )
    trainer.precompute_ref_logps = step.ref_logps is not None
    resumed_from_step = train(trainer, step, context, out)
    save(trainer, step.adapter, out, policy)
    return result_of(trainer, loaded, counts, resumed_from_step, out, before, reference_in_words)


def _pairs(
    step: DpoStep, weights: Weights, rows: Iterable[Row], policy: Path | None, context: StepContext
) -> Iterator[dict[str, Any]]:
    """Yield the columns that TRL makes itself of texts, and the one that it groups rows by."""
    computed: Mapping[str, RefLogps] = {}
    if step.ref_logps is not None:
        computed = read_reference_logps(context[step.ref_logps])
    below = policy if step.reference == "policy" else None
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


def _reference(step: DpoStep, weights: Weights, context: StepContext) -> tuple[PreTrainedModel | None, str]:
    """Return the frozen model, None where it is the policy with its adapter off, and its name in words."""
    is_policy = step.reference == "policy" or step.policy is None
    name = (
        "the untrained weights"
        if step.policy is None or not is_policy
        else f"the policy as training began, {step.policy} on the weights"
    )
    if step.ref_logps is not None:
        return None, f"{name} (computed once, {step.ref_logps})"
    if is_policy and step.adapter is not None:
        return None, f"{name} (the adapter switched off)"
    below = context[step.policy] if is_policy and step.policy is not None else None
    frozen = load_to_train(weights, below, context.cache, is_frozen=True)
    return frozen.model, f"{name} (a frozen model of its own)"


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
            for name, length in zip(ANSWERS, lengths, strict=True):
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
