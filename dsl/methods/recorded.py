"""Answers that exist already: someone else's outputs, or a run of a hosted model."""

from collections.abc import Mapping
from typing import Literal, Self

from pydantic import model_validator

from dsl.data.references import selector_of
from dsl.data.rows import Rows
from dsl.data.source import Columns, LanguageColumn, Selector, Written
from dsl.engines.contract import Decoding
from dsl.methods.base import Builder, CellRequest, CellSteps, MethodBase
from dsl.methods.parts import Model
from dsl.steps.steps import GenerateStep
from dsl.values import Name, Value


class AnswerColumns(Value):
    """Columns of recorded answers by meaning."""

    item: Selector | None = None
    """The item of the answer; without it, the instruction says which example is meant."""
    instruction: Selector | None = None
    input: Selector | None = None
    """Text put below the instruction where it is not empty."""
    language: Written | LanguageColumn | None = None
    """For one file that holds several languages: only rows of the cell's language are taken."""
    response: Selector | tuple[Selector, ...]
    """The answer; to questions that are asked in `turns`, one for each: `[choices.0.turns.0,
    choices.0.turns.1]`."""

    @model_validator(mode="after")
    def _enough(self) -> Self:
        if self.item is None and self.instruction is None:
            raise ValueError("name `item` or `instruction`: it says which example a row answers")
        if isinstance(self.response, tuple) and self.item is None:
            raise ValueError("answers in several turns are matched by `item`: name its column")
        if isinstance(self.response, tuple) and self.instruction is not None:
            raise ValueError("answers in several turns are matched by `item` alone: leave `instruction` out")
        return self

    def of_turn(self, turn: int | None) -> Columns:
        """Return the columns of the answers in one turn, from 1; `None` where rows ask once."""
        return Columns(
            item=self.item,
            instruction=self.instruction,
            input=self.input,
            language=self.language,
            response=selector_of(self.response, turn),
        )


class Recorded(MethodBase):
    """`method: recorded`. Rows are matched by `item`, or by `instruction` where the file has no ids; an
    example without a row is unscored."""

    method: Literal["recorded"] = "recorded"
    answers: Rows
    columns: AnswerColumns

    @model_validator(mode="after")
    def _is_read_once(self) -> Self:
        if self.noise:
            raise ValueError("`noise` asks a method again, and recorded answers are read: leave it out")
        return self

    @property
    def is_stochastic(self) -> bool:
        return "{seed}" in self.answers.model_dump_json()

    @property
    def is_by_turn(self) -> bool:
        """Answers in each turn have rows of their own."""
        return "{turn}" in self.answers.model_dump_json()

    def why_not_applicable(self, model: Model, methods: Mapping[Name, MethodBase]) -> str | None:
        return None

    def steps_for(self, request: CellRequest, build: Builder) -> CellSteps:
        return CellSteps(
            GenerateStep(
                model=build.recorded(request, self, self.answers, self.columns.of_turn(request.turn)),
                examples=build.asked(request),
                prompt=None,
                decoding=Decoding(),  # nothing is decoded, so the study's setting makes no new step
            )
        )
