"""`pairwise`: which of two answers is better, ours or another method's? Asked in both orders, since judges favour a place.

The opponent is any other method of the study; answers that someone else recorded are a method too (`method: recorded`), on whatever model.
A served model writes its verdict as JSON; weights loaded here and System One servers decide, with the probability of each outcome.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from dsl.engines import with_engine
from dsl.identity import digest
from dsl.models import Decoding, Weights
from dsl.pins import Pins
from dsl.plugins import settings_of
from dsl.records import Example, Verdict
from dsl.settings import EngineSettings, JudgeSettings, Scale
from dsl.values import Language, Name, NameSet
from runners.judges._decide import SystemOne, decide
from runners.judges._frame import frame
from runners.judges._pairwise import both_choices, both_prompts, comparison, paired, side_decided, side_written, verdict_of
from runners.judges._rubric import Aspect, RubricFile, RubricSettings, meets
from runners.judges._written import n_faults_of, served_by, spent_on
from runners.judging import Answer, Reads, Told, Tools

READS: tuple[Reads, ...] = ("text", "instruction", "reference", "opponent")

if TYPE_CHECKING:
    Model = EngineSettings
else:
    Model = Annotated[
        Annotated[Weights | SystemOne | settings_of("engines", "openai"), Field(discriminator="engine")], BeforeValidator(with_engine)
    ]


class Settings(RubricSettings):
    """1 where the answer beats the opponent's, 0 where it loses, 0.5 for a tie. Both orders are asked; where they name different winners
    the verdict is a tie and says that it is inconsistent. Unreadable in either order, it is unscored. The same text twice is a tie unasked."""

    VERSION: ClassVar[int] = 1
    LABEL: ClassVar[str] = "better than another answer"
    judge: Literal["pairwise"] = "pairwise"
    against: Literal["all"] | Name | NameSet
    """The opponent: a method, a list of them, or `all`. Two methods that are both named are compared once: the one with more seeds is judged
    against the other, of equals the later by name. An opponent answers with the same seed where it has it, else with the lowest."""
    rubric: Name | RubricFile = "overall"
    """`overall` compares the answers as a whole; another rubric, aspect by aspect. Only its questions are read, not its levels."""
    model: Model
    """Who judges: a server that writes (`engine: openai`), one that decides (`engine: systemone`), or weights loaded here, which decide."""
    ties: bool = True
    """Whether the judge may find neither answer better."""
    max_new_tokens: int = Field(1024, ge=16)
    """Models that write: how long one reply may be."""

    @model_validator(mode="after")
    def _opponents_differ(self) -> Self:
        named = self.opponents()
        if named != "all" and len(set(named)) < len(named):
            raise ValueError("`against` names a method twice")
        return self

    def opponents(self) -> tuple[Name, ...] | Literal["all"]:
        if self.against == "all":
            return "all"
        return (self.against,) if isinstance(self.against, str) else self.against

    def asked(self) -> dict[str, Aspect]:
        """What the answers are compared on, by the aspect's name in verdicts. The answer as a whole bears the judge's own."""
        return {self.judge if self.rubric == "overall" else name: aspect for name, aspect in self.chosen().items()}

    def scale(self, aspect: str, judges: Mapping[Name, JudgeSettings] | None = None) -> Scale:
        return 0.0, 1.0

    def _in(self, language: Language, pins: Pins) -> Self:
        here = super()._in(language, pins)
        comparison(language)
        return here.model_copy(update={"sha256": digest((here.sha256, pins.text("comparisons", language)))})


def aspects(settings: Settings) -> dict[str, object]:
    """What counts for a verdict: the model, how it is asked and the aspect's question. Who the opponent is does not: its text is read."""
    writes = () if isinstance(settings.model, Weights | SystemOne) else (settings.max_new_tokens,)
    texts = (frame(settings.language), comparison(settings.language))
    shared = ("pairwise", Settings.VERSION, settings.model, settings.ties, *writes, texts)
    return {name: (*shared, name, aspect.question) for name, aspect in settings.asked().items()}


def applies(settings: Settings, aspect: str, example: Example) -> bool:
    return meets(example, settings.condition("overall" if settings.rubric == "overall" else aspect))


def judge(answers: Iterable[Answer], settings: Settings, tools: Tools) -> Iterator[Verdict]:
    asked: list[tuple[Answer, str]] = []
    for answer in answers:
        for aspect in answer.keys:
            if answer.opponent is not None and answer.text == answer.opponent.text:
                yield answer.scored(aspect, 0.5, reason="both answers are the same text")
            else:
                asked.append((answer, aspect))
    if isinstance(settings.model, Weights | SystemOne):
        yield from _decided(asked, settings, settings.model, tools)
    elif asked:
        yield from _written(asked, settings, settings.model, tools)


def _decided(asked: list[tuple[Answer, str]], settings: Settings, model: Weights | SystemOne, tools: Tools) -> Iterator[Verdict]:
    chosen, names, text = settings.asked(), frame(settings.language), comparison(settings.language)
    questions = [q for answer, aspect in asked for q in both_choices(answer, chosen[aspect].question, names, text, settings.ties)]
    found = ((decided.place, decided) for decided in decide(model, questions, tools))
    for which, first, second in paired(found):
        answer, aspect = asked[which]
        told = _together(first.told, second.told)
        yield verdict_of(answer, aspect, side_decided(first, is_first=True), side_decided(second, is_first=False), told)


def _written(asked: list[tuple[Answer, str]], settings: Settings, model: EngineSettings, tools: Tools) -> Iterator[Verdict]:
    chosen, names, text = settings.asked(), frame(settings.language), comparison(settings.language)
    prompts = [p for answer, aspect in asked for p in both_prompts(answer, chosen[aspect].question, names, text, settings.ties)]
    for which, first, second in paired(tools.generate(model, prompts, Decoding(max_new_tokens=settings.max_new_tokens))):
        answer, aspect = asked[which]
        told = Told(**spent_on((first, second), model), **served_by((first, second)), n_faults=n_faults_of((first, second)))
        ours_first, ours_second = side_written(first, settings.ties, is_first=True), side_written(second, settings.ties, is_first=False)
        yield verdict_of(answer, aspect, ours_first, ours_second, told)


def _together(first: Told, second: Told) -> Told:
    """What both orders took."""
    told: Told = {**first, **second}
    for name in ("n_prompt_tokens", "seconds", "usd"):
        known = [given for given in (first.get(name), second.get(name)) if given is not None]
        if known:
            told[name] = sum(known)
    return told
