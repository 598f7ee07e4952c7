"""In-context learning: an untrained model is shown worked examples in its prompt (URIAL, arXiv
2312.01552)."""

from collections.abc import Mapping
from typing import Literal, Self

from pydantic import Field, model_validator

from dsl.methods.base import Builder, CellRequest, CellSteps, MethodBase, Shipped
from dsl.methods.parts import DemonstrationsFrom, Model, PromptPath
from dsl.steps.steps import GenerateStep
from dsl.values import Language, Name, unvalidated

NUM_SHIPPED = 3
"""Worked examples in a prompt text that ships with xp."""


class Icl(MethodBase):
    """`method: icl`."""

    method: Literal["icl"] = "icl"
    weights: Literal["base", "instruct"] = "base"
    """The model's weights that are prompted."""
    prompt: Shipped | PromptPath = "fenced"
    num_fewshot: int = Field(default=3, ge=0)
    """Worked examples shown. 0 is zero-shot: preamble and question only."""
    preamble: bool = True
    """Show the instruction above the examples."""
    demonstrations_language: Language | None = None
    """The language of the worked examples, where it is not the asked one."""
    demonstrations: DemonstrationsFrom | None = None
    """Worked examples from a data set instead of the prompt text's own."""

    @model_validator(mode="after")
    def _enough_examples(self) -> Self:
        if self.demonstrations is None and isinstance(self.prompt, str) and self.num_fewshot > NUM_SHIPPED:
            raise ValueError(
                f"the shipped prompt has {NUM_SHIPPED} worked examples; for num_fewshot: {self.num_fewshot}"
                " take `demonstrations: {from: …}`"
            )
        if self.num_fewshot == 0 and (
            self.demonstrations is not None or self.demonstrations_language is not None
        ):
            raise ValueError(
                "num_fewshot: 0 shows no worked examples, so `demonstrations` and `demonstrations_language`"
                " say nothing"
            )
        return self

    @property
    def is_stochastic(self) -> bool:
        return self.demonstrations is not None and self.demonstrations.select == "random"

    def why_not_applicable(self, model: Model, methods: Mapping[Name, MethodBase]) -> str | None:
        return f"it has no `{self.weights}`" if getattr(model, self.weights) is None else None

    def required_columns(self) -> tuple[tuple[str, Name, tuple[str, ...]], ...]:
        return (
            (("demonstrations.from", self.demonstrations.source, ("instruction", "response")),)
            if self.demonstrations
            else ()
        )

    def steps_for(self, request: CellRequest, build: Builder) -> CellSteps:
        prompt = build.prompt(
            request,
            self.prompt,
            self.num_fewshot,
            preamble=self.preamble,
            demonstrations_language=self.demonstrations_language,
            demonstrations=self.demonstrations,
        )
        return CellSteps(
            unvalidated(
                GenerateStep,
                model=build.weights(request.model, self.weights),
                examples=build.asked(request),
                prompt=prompt,
                decoding=build.decoding,
                seed=request.seed if self.is_stochastic or build.decoding.is_sampled else None,
            )
        )
