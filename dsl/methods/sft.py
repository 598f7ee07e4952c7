"""Supervised fine-tuning on (instruction, response) pairs, then asked with the prompt it was trained on."""

from collections.abc import Mapping
from typing import Literal, Self

from pydantic import model_validator

from dsl.engines.transformers import Weights
from dsl.methods.base import Builder, CellRequest, CellSteps, MethodBase
from dsl.methods.parts import Model
from dsl.methods.tuning import TuningMethod, untrainable
from dsl.steps.training_steps import SftStep
from dsl.values import Name, unvalidated


class Sft(TuningMethod):
    """`method: sft`."""

    method: Literal["sft"] = "sft"
    weights: Literal["base", "instruct"] = "base"
    """The model's weights that are tuned."""
    train: Name
    """The data set to learn from: `instruction` and `response`."""

    @model_validator(mode="after")
    def _has_no_rewards(self) -> Self:
        if self.training.metric_for_best_model != "eval_loss":
            raise ValueError(
                "`eval_rewards/accuracies` is of preferences: sft has no rewards. Choose by `eval_loss`"
            )
        return self

    def why_not_applicable(self, model: Model, methods: Mapping[Name, MethodBase]) -> str | None:
        return untrainable(model, self.weights)

    def required_columns(self) -> tuple[tuple[str, Name, tuple[str, ...]], ...]:
        needed = ("instruction", "response")
        evaluated = (("validation", self.validation, needed),) if isinstance(self.validation, str) else ()
        return (("train", self.train, needed), *evaluated)

    def steps_for(self, request: CellRequest, build: Builder) -> CellSteps:
        weights = build.weights(request.model, self.weights)
        assert isinstance(weights, Weights)
        assert request.seed is not None
        step = unvalidated(
            SftStep,
            weights=weights.loaded_here,
            train=build.all_examples(self.train, request.train_languages),
            rows=self.rows,
            prompts=self.train_prompts(request, build),
            adapter=self.lora,
            training=self.training,
            validation=self.validation_rows(request, build),
            seed=request.seed,
        )
        return self.tuned_steps(request, build, step)
