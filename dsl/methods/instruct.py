"""The model's own instruct version, asked through its chat template."""

from collections.abc import Mapping
from typing import Literal

from dsl.methods.base import Builder, CellRequest, CellSteps, ChatTemplateKwargs, MethodBase
from dsl.methods.parts import Model
from dsl.steps.steps import GenerateStep
from dsl.values import Name


class Instruct(MethodBase):
    """`method: instruct`."""

    method: Literal["instruct"] = "instruct"
    system: bool = False
    """Put the prompt text's system message first in a chat that has none of its own."""
    chat_template_kwargs: ChatTemplateKwargs = {}
    """As `{enable_thinking: false}`."""

    def why_not_applicable(self, model: Model, methods: Mapping[Name, MethodBase]) -> str | None:
        return "it has no `instruct`" if model.instruct is None else None

    def steps_for(self, request: CellRequest, build: Builder) -> CellSteps:
        return CellSteps(
            GenerateStep(
                model=build.weights(request.model, "instruct"),
                examples=build.asked(request),
                prompt=build.prompt(
                    request, "chat", system=self.system, chat_template_kwargs=self.chat_template_kwargs
                ),
                decoding=build.decoding,
                seed=request.seed if build.decoding.is_sampled else None,
            )
        )
