"""Settings of the `decision` judge."""

from collections.abc import Mapping
from typing import ClassVar, Literal, Self

from pydantic import model_validator

from dsl.errors import DataError
from dsl.judges._decision_model import DecisionModel
from dsl.judges._rubric import Aspect, Condition, OwnQuestion, RubricSettings
from dsl.values import Name


class Settings(RubricSettings):
    """The expected level of each aspect, from 1 (worst) to 5 (best), with the probability of every level."""

    VERSION: ClassVar[int] = 1
    LABEL: ClassVar[str] = "quality by a model's decision"
    judge: Literal["decision"] = "decision"
    model: DecisionModel
    """The model that decides: a server (`engine: systemone`), weights loaded here, or weights that a
    server of this machine loads (`engine: vllm`, `engine: llama_cpp`)."""
    questions: dict[Name, OwnQuestion] = {}
    """Asked in place of a rubric's aspects: `{correct: {question: Is the answer correct?}}`."""

    @model_validator(mode="after")
    def _one_sort(self) -> Self:
        if self.questions and (self.rubric != "just_eval" or self.aspects is not None):
            raise ValueError(
                "`questions` are asked in place of a rubric's aspects: name `questions`, or `rubric` and"
                " `aspects`"
            )
        return self

    def condition(self, aspect: str) -> Condition:
        return self.when.get(aspect, {}) if self.questions else super().condition(aspect)

    def _check(self) -> None:
        if not self.questions:
            super()._check()
        elif unknown := [name for name in self.when if name not in self.questions]:
            raise DataError(
                f"`when` names {', '.join(unknown)}, which is not among the questions"
                f" {', '.join(self.questions)}"
            )

    def asked(self) -> Mapping[str, Aspect | OwnQuestion]:
        return self.questions or self.chosen()
