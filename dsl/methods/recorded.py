"""Answers that exist already: someone else's outputs, or a run of a hosted model."""

from collections.abc import Mapping
from typing import Literal, Self

from pydantic import model_validator

from dsl.data.rows import Rows
from dsl.data.source import Columns
from dsl.engines.contract import Decoding
from dsl.methods.base import Builder, CellRequest, CellSteps, MethodBase
from dsl.methods.parts import Model
from dsl.steps.steps import GenerateStep
from dsl.values import Name


class Recorded(MethodBase):
    """`method: recorded`. Rows are matched by `item`, or by `instruction` where the file has no ids; an
    example without a row is unscored."""

    method: Literal["recorded"] = "recorded"
    answers: Rows
    columns: Columns
    """`response` is the answer; `item` or `instruction` says which example it answers."""

    @model_validator(mode="after")
    def _is_read_once(self) -> Self:
        if self.noise:
            raise ValueError("`noise` asks a method again, and recorded answers are read: leave it out")
        return self

    @property
    def is_stochastic(self) -> bool:
        return "{seed}" in self.answers.model_dump_json()

    def why_not_applicable(self, model: Model, methods: Mapping[Name, MethodBase]) -> str | None:
        return None

    def steps_for(self, request: CellRequest, build: Builder) -> CellSteps:
        return CellSteps(
            GenerateStep(
                model=build.recorded(request, self, self.answers, self.columns),
                examples=build.asked(request),
                prompt=None,
                decoding=Decoding(),  # nothing is decoded, so the study's setting makes no new step
            )
        )
