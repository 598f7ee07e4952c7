"""`ensemble`: one verdict from several judges of the same answers, by their mean or by majority."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from statistics import fmean
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from dsl.errors import DataError
from dsl.records import Verdict
from dsl.settings import JudgeSettings
from dsl.values import Name
from runners import registry
from runners.judges._rubric import RubricSettings
from runners.judging import Answer, Reads, Tools

READS: tuple[Reads, ...] = ("verdicts",)

_SCALES = {
    "from 0 to 1": frozenset({"code", "contains", "empty", "exact", "language", "loop", "numeric", "pairwise", "refusal", "truncated"}),
    "a number of characters": frozenset({"length"}),
    "the model's own": frozenset({"reward"}),
}
"""What is known of judges' scales by their kind. Rubrics and questions are asked for theirs; that of recorded scores is not known."""


class Settings(JudgeSettings):
    """The mean of other judges' scores, or the score that more than half of them give. Unscored, with the reason, where too few of them
    have a score or none has a majority: a tie between judges is no score of its own. Members that judge one thing and name it as
    themselves (`contains`, `pairwise` overall, a `recorded` score) make the one aspect `ensemble`; otherwise each aspect that all of them
    share has a verdict. Members that compare answers are all to have the same opponents. Members must use one scale; where two are known
    to differ, the study is refused."""

    VERSION: ClassVar[int] = 1
    LABEL: ClassVar[str] = "several judges together"
    judge: Literal["ensemble"] = "ensemble"
    of: Annotated[tuple[Name, ...], Field(min_length=2)]
    """The study's judges that are its members."""
    by: Literal["mean", "majority"] = "mean"
    """A majority is of equal scores: for judges that give levels, not probabilities."""
    min_judges: int | None = Field(None, ge=1)
    """How many members must have a score; without it, more than half of them."""
    aspects: tuple[Name, ...] | None = Field(None, min_length=1)
    """The aspects to bring together; without it, those that all members share. The plan fills them in."""

    @model_validator(mode="after")
    def _counts(self) -> Self:
        if len(set(self.of)) < len(self.of):
            raise ValueError("`of` names a judge twice")
        if self.min_judges is not None and self.min_judges > len(self.of):
            raise ValueError(f"`min_judges: {self.min_judges}` is more than it has members ({len(self.of)})")
        return self

    def judges(self) -> tuple[Name, ...]:
        return self.of

    def among(self, judges: Mapping[Name, JudgeSettings]) -> Self:
        members = {name: judges[name] for name in self.of if name in judges}
        opponents = {name: member.opponents() for name, member in members.items()}
        if len(set(opponents.values())) > 1:
            raise DataError(f"its members compare answers with different opponents: {_each(opponents)}")
        own = {name: _aspects(member) for name, member in members.items()}
        shared = tuple(aspect for aspect in next(iter(own.values())) if all(aspect in found for found in own.values()))
        for aspect in self.aspects or shared or ("",):
            told = {name: _scale(member, aspect or own[name][0]) for name, member in members.items()}
            scales = {name: scale for name, scale in told.items() if scale is not None}
            if len(set(scales.values())) > 1:
                raise DataError(f"its members use different scales: {_each(scales)}")
        if self.aspects is None and all(found == (members[name].judge,) for name, found in own.items()):
            return self
        wanted = self.aspects or shared
        if not wanted or not set(wanted) <= set(shared):
            raise DataError(f"its members share {', '.join(shared) or 'no aspect'}: {_each(own)}")
        return self.model_copy(update={"aspects": wanted})


def aspects(settings: Settings) -> dict[str, object]:
    """What counts: how the members are brought together. Their verdicts are read."""
    counted = ("ensemble", Settings.VERSION, settings.of, settings.by, _needed(settings))
    return dict.fromkeys(settings.aspects or (settings.judge,), counted)


def judge(answers: Iterable[Answer], settings: Settings, tools: Tools) -> Iterator[Verdict]:
    for answer in answers:
        for aspect in answer.keys:
            yield _verdict(answer, aspect, settings)


def _verdict(answer: Answer, aspect: str, settings: Settings) -> Verdict:
    given: dict[str, float] = {}
    lacking: dict[str, str] = {}
    for name in settings.of:
        found = next((v for v in answer.verdicts.get(name, ()) if settings.aspects is None or v.aspect == aspect), None)
        if found is None:
            lacking[name] = "it has no verdict"
        elif found.score is None:
            lacking[name] = found.unscored_reason or "no reason given"
        else:
            given[name] = found.score
    without = f"without {'; '.join(f'{name}: {why}' for name, why in lacking.items())}" if lacking else None
    if len(given) < _needed(settings):
        why = f"{len(given)} of {len(settings.of)} judges have a score and {_needed(settings)} are needed: {without}"
        return answer.unscored(aspect, why, parts=given or None)
    if settings.by == "mean":
        return answer.scored(aspect, fmean(given.values()), reason=without, parts=given)
    score, n = Counter(given.values()).most_common(1)[0]
    if 2 * n <= len(given):
        said = ", ".join(f"{name} {value:g}" for name, value in given.items())
        return answer.unscored(aspect, "; ".join(filter(None, (f"no majority: {said}", without))), parts=given)
    return answer.scored(aspect, score, reason=without, parts=given)


def _needed(settings: Settings) -> int:
    return settings.min_judges or len(settings.of) // 2 + 1


def _aspects(settings: JudgeSettings) -> tuple[str, ...]:
    module = registry.judge(settings.judge)
    return tuple(module.aspects(settings)) if hasattr(module, "aspects") else (settings.judge,)


def _scale(settings: JudgeSettings, aspect: str) -> str | None:
    """In words, where it is known."""
    if settings.judge != "pairwise" and isinstance(settings, RubricSettings):
        asked = settings.asked().get(aspect)
        return None if asked is None else f"from 1 to {len(asked.levels)}" if asked.levels else "from 0 to 1"
    return next((scale for scale, kinds in _SCALES.items() if settings.judge in kinds), None)


def _each(found: Mapping[Name, object]) -> str:
    def text(value: object) -> str:
        return ", ".join(map(str, value)) or "none" if isinstance(value, Sequence) and not isinstance(value, str) else str(value)

    return "; ".join(f"{name}: {text(value)}" for name, value in found.items())
