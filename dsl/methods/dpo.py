"""Direct Preference Optimisation (arXiv 2305.18290), over base weights, over an sft method's result, or over
the instruct version."""

from typing import Literal, Self

from pydantic import model_validator

from dsl.methods.base import Builder
from dsl.methods.preference import PreferenceMethod
from dsl.steps.losses import DpoLoss
from dsl.steps.training_settings import Training
from dsl.steps.training_steps import DpoStep, PreferenceStep, ReferenceLogpsStep
from dsl.values import StepId, unvalidated


class Dpo(DpoLoss, PreferenceMethod):
    """`method: dpo`."""

    STEP = DpoStep
    LOSS = DpoLoss

    method: Literal["dpo"] = "dpo"
    precompute_ref_log_probs: bool = True
    """The frozen model reads every pair once, in a step of its own that other methods and seeds share, or the
    pairs of each batch as training goes on: less work for one run that sees a small part of the pairs."""
    training: Training = Training(learning_rate=5e-6)

    @model_validator(mode="after")
    def _reference_is_of_the_policy_s_weights(self) -> Self:
        if self.lora is not None and self.lora.quantization is not None and self.precompute_ref_log_probs:
            raise ValueError(
                "with `quantization` the reference is in 4 bits too, and is computed as training goes on:"
                " `precompute_ref_log_probs: false`"
            )
        return self

    def with_reference(
        self, step: PreferenceStep, build: Builder
    ) -> tuple[PreferenceStep, tuple[StepId, ...]]:
        reference = unvalidated(
            ReferenceLogpsStep,
            weights=self.training.weights(step.weights, self.lora),
            policy=step.policy if self.reference == "policy" else None,
            pairs=step.pairs,
            rows=self.rows,
            prompts=step.prompts,
            max_length=self.training.max_length,
            bf16=self.training.bf16,
            seed=step.seed if self.rows is not None else None,
            # all pairs are read anyway where some of them are held out
            validation=step.validation
            if self.rows is not None or isinstance(step.validation, tuple)
            else None,
        )
        if not self.precompute_ref_log_probs:
            return step, ()
        ref_logps = build.add(reference)
        return step.model_copy(update={"ref_logps": ref_logps}), (ref_logps,)
