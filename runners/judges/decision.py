"""`decision`: a System One model decides; the probability of every level comes from one forward pass, with no text to parse.

It is asked for the aspects of a rubric, or questions of the study's own. The distribution is kept and the score is its mean. Any chat model
can be asked; models made for it give calibrated probabilities.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from dsl.data.records import Example, Verdict
from dsl.errors import DataError
from dsl.settings import JudgeSettings, Scale
from dsl.values import Name, Value
from runners.judges._decide import DecisionModel, Question, decide
from runners.judges._frame import Frame, Sentence, frame
from runners.judges._rubric import Aspect, Condition, RubricSettings, meets
from runners.judges.contract import Answer, Reads, Tools

READS: tuple[Reads, ...] = ("text", "instruction", "reference")


class OwnQuestion(Value):
    """A question of a study's own."""

    question: Sentence
    levels: Annotated[tuple[Sentence, ...], Field(min_length=2, max_length=10)] | None = None
    """What an answer of each level is like, from 1 (worst) on; the score is the expected level. Without levels it is a yes-or-no question,
    and the score is the probability of yes."""


class Settings(RubricSettings):
    """The expected level of each aspect, from 1 (worst) to 5 (best), with the probability of every level."""

    VERSION: ClassVar[int] = 1
    LABEL: ClassVar[str] = "quality by a model's decision"
    judge: Literal["decision"] = "decision"
    model: DecisionModel
    """Who decides: a server (`engine: systemone`), or weights loaded here."""
    questions: dict[Name, OwnQuestion] = {}
    """Asked in place of a rubric's aspects: `{correct: {question: Is the answer correct?}}`."""

    @model_validator(mode="after")
    def _one_sort(self) -> Self:
        if self.questions and (self.rubric != "just_eval" or self.aspects is not None):
            raise ValueError("`questions` are asked in place of a rubric's aspects: name `questions`, or `rubric` and `aspects`")
        return self

    def condition(self, aspect: str) -> Condition:
        return self.when.get(aspect, {}) if self.questions else super().condition(aspect)

    def _check(self) -> None:
        if not self.questions:
            super()._check()
        elif unknown := [name for name in self.when if name not in self.questions]:
            raise DataError(f"`when` names {', '.join(unknown)}, which is not among the questions {', '.join(self.questions)}")

    def scale(self, aspect: str, judges: Mapping[Name, JudgeSettings] | None = None) -> Scale | None:
        asked = self.asked().get(aspect)
        return None if asked is None else (1.0, float(len(asked.levels))) if asked.levels else (0.0, 1.0)

    def asked(self) -> "dict[str, Aspect | OwnQuestion]":
        """What is asked, by name."""
        return {**self.questions} or {**self.chosen()}


def aspects(settings: Settings) -> dict[str, object]:
    """What counts for a question's verdicts: the model, the question's own text and how the material is called."""
    shared = ("decision", Settings.VERSION, settings.model, _names(frame(settings.language)))
    return {name: (*shared, name, asked) for name, asked in settings.asked().items()}


def applies(settings: Settings, aspect: str, example: Example) -> bool:
    return meets(example, settings.condition(aspect))


def judge(answers: Iterable[Answer], settings: Settings, tools: Tools) -> Iterator[Verdict]:
    names, asked = _names(frame(settings.language)), settings.asked()
    rows = [(answer, aspect) for answer in answers for aspect in answer.keys]
    questions = [Question(_state(answer, names), asked[aspect].question, asked[aspect].levels) for answer, aspect in rows]
    for decided in decide(settings.model, questions, tools):
        answer, aspect = rows[decided.place]
        if decided.probabilities is None:
            yield answer.unscored(aspect, decided.error or "", **decided.told)
        else:
            score = sum(int(level) * p for level, p in decided.probabilities.items())
            yield answer.scored(aspect, score, distribution=decided.probabilities, **decided.told)


def _names(text: Frame) -> tuple[str, str, str]:
    return text.instruction, text.reference, text.answer


def _state(answer: Answer, names: tuple[str, str, str]) -> dict[str, str]:
    parts = zip(names, (answer.example.instruction, answer.example.reference, answer.text), strict=True)
    return {name: text for name, text in parts if text is not None}
