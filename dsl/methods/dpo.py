"""Direct Preference Optimisation (arXiv 2305.18290), over base weights, over an sft method's result, or over
the instruct version."""

from collections.abc import Mapping
from typing import Any, Literal, Self, cast

from pydantic import model_validator

from dsl.engines.transformers import Weights
from dsl.methods.base import Builder, CellRequest, CellSteps, MethodBase
from dsl.methods.parts import Model
from dsl.methods.tuning import TuningMethod, untrainable
from dsl.steps.steps import DpoStep, ReferenceLogpsStep, TuningStep
from dsl.steps.training_settings import DpoLoss, Training
from dsl.values import Name, StepId

LEARNING_RATE = 5e-6
"""Default learning rate, far below that of sft."""


class Dpo(DpoLoss, TuningMethod):
    """`method: dpo`."""

    method: Literal["dpo"] = "dpo"
    policy: Name = "base"
    """The model that training starts from: `base`, `instruct`, or the name of an sft method of the study."""
    precompute_ref_log_probs: bool = True
    """The frozen model reads every pair once, in a step of its own that other methods and seeds share, or the
    pairs of each batch as training goes on: less work for one run that sees a small part of the pairs."""
    pairs: Name
    """The data set of preferences: `instruction`, `chosen` and `rejected`."""
    training: Training = Training(learning_rate=LEARNING_RATE)

    @model_validator(mode="before")
    @classmethod
    def _keeps_its_rate(cls, data: Any) -> Any:
        """Lay dpo's own learning rate under a `training` that names none."""
        settings = cast(dict[str, Any], data if isinstance(data, dict) else {})
        training = settings.get("training")
        if not isinstance(training, dict):
            return cast(Any, data)
        return {**settings, "training": {"learning_rate": LEARNING_RATE, **cast(dict[str, Any], training)}}

    @model_validator(mode="after")
    def _trl_has_it(self) -> Self:
        if self.training.padding_free:
            raise ValueError(
                "`padding_free` is for sft: TRL's DPO pads its batches. `train_sampling_strategy:"
                " group_by_length` pads less"
            )
        if self.training.assistant_only_loss:
            raise ValueError("`assistant_only_loss` is for sft: a preference is of the last answer")
        if self.lora is not None and self.lora.quantization is not None:
            if self.policy not in ("base", "instruct"):
                raise ValueError(
                    "what an sft method learnt cannot be merged into weights in 4 bits without rounding it."
                    " Leave `quantization` out, or start from `policy: base`"
                )
            if self.precompute_ref_log_probs:
                raise ValueError(
                    "with `quantization` the reference is in 4 bits too, and is computed as training goes on:"
                    " `precompute_ref_log_probs: false`"
                )
        if "beta" in self.vary and self.training.metric_for_best_model == "eval_loss":
            raise ValueError(
                "the loss of dpo is of another scale with each `beta`. To `vary` it, choose by"
                " `metric_for_best_model: eval_rewards/accuracies`"
            )
        return self

    def why_not_applicable(self, model: Model, methods: Mapping[Name, MethodBase]) -> str | None:
        if self.policy == "base" or self.policy == "instruct":
            return untrainable(model, self.policy)
        return methods[self.policy].why_not_applicable(model, methods)

    def required_columns(self) -> tuple[tuple[str, Name, tuple[str, ...]], ...]:
        needed = ("instruction", "chosen", "rejected")
        evaluated = (("validation", self.validation, needed),) if isinstance(self.validation, str) else ()
        return (("pairs", self.pairs, needed), *evaluated)

    def varied(self, step: TuningStep) -> TuningStep:
        return super().varied(step).model_copy(update={"beta": self.beta})

    def steps_for(self, request: CellRequest, build: Builder) -> CellSteps:
        if self.policy == "base" or self.policy == "instruct":
            before: tuple[StepId, ...] = ()
            weights = build.weights(request.model, self.policy)
        else:
            below = build.trained(request, self.policy)
            before, weights = below.train, below.generate.model
        assert isinstance(weights, Weights)
        assert request.seed is not None
        policy = before[-1] if before else None
        pairs = tuple(build.examples(self.pairs, language) for language in request.train_languages)
        prompts = self.train_prompts(request, build)
        validation = self.validation_rows(request, build)
        reference = ReferenceLogpsStep(
            weights=self.training.weights(weights, self.lora),
            policy=policy if self.reference == "policy" else None,
            pairs=pairs,
            rows=self.rows,
            prompts=prompts,
            max_length=self.training.max_length,
            bf16=self.training.bf16,
            seed=request.seed if self.rows is not None else None,
            # all pairs are read anyway where some of them are held out
            validation=validation if self.rows is not None or isinstance(validation, tuple) else None,
        )
        ref_logps = build.add(reference) if self.precompute_ref_log_probs else None
        step = DpoStep(
            weights=weights,
            policy=policy,
            reference=self.reference,
            ref_logps=ref_logps,
            pairs=pairs,
            rows=self.rows,
            prompts=prompts,
            beta=self.beta,
            loss_type=self.loss_type,
            adapter=self.lora,
            training=self.training,
            validation=validation,
            seed=request.seed,
        )
        return self.tuned_steps(request, build, step, (*before, *((ref_logps,) if ref_logps else ())))
