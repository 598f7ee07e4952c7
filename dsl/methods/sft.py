"""Supervised fine-tuning on (instruction, response) pairs, then asked with the prompt it was trained on."""

from collections.abc import Mapping
from typing import Literal, Self

from pydantic import Field, model_validator

from dsl.engines.transformers import Weights
from dsl.methods.base import (
    AnyPrompt,
    Builder,
    CellRequest,
    CellSteps,
    ChatTemplateKwargs,
    MethodBase,
    TrainLanguages,
    check_precision,
    train_variants,
    untrainable,
)
from dsl.methods.parts import Model
from dsl.steps.steps import GenerateStep, PromptForm, SftStep
from dsl.steps.training_settings import Adapter, Training
from dsl.values import Language, Name


class Sft(MethodBase):
    """`method: sft`."""

    method: Literal["sft"] = "sft"
    weights: Literal["base", "instruct"] = "base"
    """Which of the model's weights are tuned."""
    train: Name
    """The data set to learn from: `instruction` and `response`."""
    train_languages: TrainLanguages = "each"
    rows: int | None = Field(default=None, ge=1)
    """How many rows, over all languages; drawn by seed and nested. Without it, all."""
    prompt: AnyPrompt = "chat"
    """The prompt that is trained on and asked with."""
    num_fewshot: int = Field(default=0, ge=0, le=3)
    """Worked examples in a text prompt."""
    chat_template_kwargs: ChatTemplateKwargs = {}
    """As `{enable_thinking: false}`, in training and when asked."""
    adapter: Adapter | Literal["none"] = Adapter()
    """LoRA settings; `none` trains all weights."""
    training: Training = Training()

    @model_validator(mode="after")
    def _precise(self) -> Self:
        check_precision(self.adapter, self.training)
        return self

    @property
    def is_stochastic(self) -> bool:
        return True

    def variants(self, languages: tuple[Language, ...], asked: Language) -> tuple[tuple[Language, ...], ...]:
        return train_variants(self.train_languages, languages, asked)

    def why_not_applicable(self, model: Model, methods: Mapping[Name, MethodBase]) -> str | None:
        return untrainable(model, self.weights)

    def required_columns(self) -> tuple[tuple[str, Name, tuple[str, ...]], ...]:
        return (("train", self.train, ("instruction", "response")),)

    def steps_for(self, request: CellRequest, build: Builder) -> CellSteps:
        weights = build.weights(request.model, self.weights)
        assert isinstance(weights, Weights)
        assert request.seed is not None
        step = SftStep(
            weights=weights,
            train=tuple(build.examples(self.train, language) for language in request.train_languages),
            rows=self.rows,
            prompts=tuple(self._prompt(request, build, language) for language in request.train_languages),
            adapter=None if self.adapter == "none" else self.adapter,
            training=self.training,
            seed=request.seed,
        )
        tuned = build.add(step)
        return CellSteps(
            GenerateStep(
                model=weights,
                tuned=tuned,
                examples=build.examples(request.dataset, request.language),
                prompt=self._prompt(request, build, request.language),
                decoding=build.decoding,
                seed=request.seed if build.decoding.is_sampled else None,
            ),
            train=(tuned,),
        )

    def _prompt(self, request: CellRequest, build: Builder, language: Language) -> PromptForm:
        return build.prompt(
            request,
            self.prompt,
            self.num_fewshot,
            language=language,
            chat_template_kwargs=self.chat_template_kwargs,
        )
