"""Settings of the `ensemble` judge."""

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal, Self, cast

from pydantic import Field, model_validator

from dsl.errors import DataError
from dsl.judges.contract import JudgeSettings, Scale, scale_text
from dsl.values import SORTED, Name, NameSet


class Settings(JudgeSettings):
    """The mean of other judges' scores, or the score that more than half of them give. Unscored, with the
    reason, where too few of them have a score or none has a majority: a tie between judges is no score of its
    own. Members that judge one thing and name it as themselves (`contains`, `pairwise` overall, a `recorded`
    score) make the one aspect `ensemble`; otherwise each aspect that all of them share has a verdict. Members
    that compare answers are all to have the same opponents. Members must use one scale; where two differ, or
    that of one is not known, the study is refused."""

    LABEL: ClassVar[str] = "several judges together"
    judge: Literal["ensemble"] = "ensemble"
    of: Annotated[tuple[Name, ...], Field(min_length=2), SORTED]
    """The study's judges that are its members."""
    by: Literal["mean", "majority"] = "mean"
    """A majority is of equal scores: for judges that give levels, not probabilities."""
    min_judges: int | None = Field(None, ge=1)
    """Least number of members with a score; without it, more than half of them."""
    aspects: NameSet | None = None
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
        own = {name: member.verdict_aspects() for name, member in members.items()}
        shared = tuple(
            aspect for aspect in next(iter(own.values())) if all(aspect in found for found in own.values())
        )
        is_single = self.aspects is None and all(
            found == (members[name].judge,) for name, found in own.items()
        )
        wanted = self.aspects or shared
        lacking = DataError(f"its members share {', '.join(shared) or 'no aspect'}: {_each(own)}")
        if not set(wanted) <= set(shared):
            raise lacking
        for aspect in wanted or ("",):
            _refuse_mixed(members, {name: aspect or found[0] for name, found in own.items()})
        if is_single:
            return self
        if not wanted:
            raise lacking
        return self.model_copy(update={"aspects": wanted})

    def verdict_aspects(self) -> tuple[str, ...]:
        return self.aspects or (self.judge,)

    def scale(self, aspect: str, judges: Mapping[Name, JudgeSettings] | None = None) -> Scale | None:
        """Return the scale that all members share."""
        member = next((judges[name] for name in self.of if name in judges), None) if judges else None
        return (
            None if member is None else member.scale(aspect if self.aspects else member.verdict_aspects()[0])
        )

    def opinion(self) -> str:
        return "what several judges came to together"


def _refuse_mixed(members: Mapping[Name, JudgeSettings], aspects: Mapping[Name, str]) -> None:
    """Raise DataError unless all members score their aspect on one scale, or measure one and the same
    quantity."""
    scales = {name: member.scale(aspects[name]) for name, member in members.items()}
    listed = _each({name: scale_text(scale) for name, scale in scales.items()})
    if len(set(scales.values())) > 1 and None not in scales.values():
        raise DataError(
            f"its members use different scales: {listed}. Name members with the same lowest and highest score"
        )
    is_one_measure = len({member.judge for member in members.values()}) == 1 and all(
        m.ROLE == "measure" for m in members.values()
    )
    if None in scales.values() and not is_one_measure:
        ranged = [
            name for name, scale in scales.items() if scale is None and hasattr(members[name], "score_range")
        ]
        said = (
            f"say `score_range: [lowest, highest]` at {', '.join(ranged)}"
            if ranged
            else "name members with a scale"
        )
        raise DataError(
            f"its members have no common scale: {listed}. Scores without one can't be brought together:"
            f" {said}"
        )


def _each(found: Mapping[Name, object]) -> str:
    def text(value: object) -> str:
        return (
            ", ".join(map(str, cast("tuple[object, ...]", value))) or "none"
            if isinstance(value, tuple)
            else str(value)
        )

    return "; ".join(f"{name}: {text(value)}" for name, value in found.items())
