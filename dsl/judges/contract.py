"""Base of the `Settings` that every judge's file declares."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import ClassVar, Literal, Self

from pydantic import Field

from dsl.data.fingerprints import Fingerprints
from dsl.data.paths import CellNames
from dsl.engines.contract import EngineSettings
from dsl.values import Language, Name, Value

Role = Literal["quality", "critical_error", "detector", "measure"]
"""`critical_error` and `detector` score 0 where an answer has a fault; only the first makes it useless. A
`measure` is neither good nor bad."""

Scale = tuple[float, float]
"""The lowest and the highest score that a judge can give."""


def scale_text(scale: Scale | None) -> str:
    """A scale in words."""
    return "no known lowest and highest score" if scale is None else f"from {scale[0]:g} to {scale[1]:g}"


class JudgeSettings(Value):
    """Settings of one judge in a spec. Each `dsl/judges/<name>.py` has a `Settings` that narrows `judge`
    to its name."""

    ROLE: ClassVar[Role] = "quality"
    LABEL: ClassVar[str] = ""
    """A few words for people: the fault of a judge that looks for one, otherwise the quantity."""
    CHECKED_AGAINST: ClassVar[Literal["answers", "instructions"] | None] = None
    """The part of an item by which a rule decides whether an answer is right; None for judges that are no
    such check."""
    ORDERS_ONLY: ClassVar[bool] = False
    """Its scores order the answers to one instruction and say nothing beside another judge's."""
    NEEDS: ClassVar[tuple[str, ...]] = ()
    """Columns without which an example has nothing to be judged by; such examples get no verdict."""
    judge: str
    limit: int | None = Field(None, ge=1)
    """Only the answers to the first so many items of a data set, for judges that are slow or cost money."""

    def pinned(
        self, languages: tuple[Language, ...], fingerprints: Fingerprints, folder: Path
    ) -> "JudgeSettings":
        """Fill in what the verdicts depend on: the study's languages, digests of files (relative to
        `folder`)."""
        return self

    def of_cell(self, cell: CellNames, fingerprints: Fingerprints, folder: Path) -> "JudgeSettings | None":
        """The pinned settings for one cell; None where it has no verdicts on the cell."""
        return self

    def among(self, judges: "Mapping[Name, JudgeSettings]") -> "JudgeSettings":
        """The pinned settings with what they take from those of the judges that this one reads filled in.

        Raises:
            DataError: it cannot be brought together with them.
        """
        return self

    def verdict_aspects(self) -> tuple[str, ...]:
        """The aspects of its verdicts; the judge's own name where there is but one."""
        return (self.judge,)

    def scale(self, aspect: str, judges: "Mapping[Name, JudgeSettings] | None" = None) -> Scale | None:
        """The lowest and the highest score on an aspect; None where there is none or it is not known.

        Args:
            judges: The study's pinned judges, for one whose scale is theirs.
        """
        return 0.0, 1.0

    def opinion(self) -> str | None:
        """The source of its opinion, in words; None for judges that decide by rule."""
        return next((model.opinion() for model in self.models()), None)

    def is_people(self) -> bool:
        """Test whether its verdicts are people's."""
        return False

    def is_by_rule(self) -> bool:
        """Test whether it decides by rule alone, one answer at a time."""
        return self.opinion() is None and not self.judges() and self.opponents() == ()

    def opponents(self) -> tuple[Name, ...] | Literal["all"]:
        """The methods whose answers each answer is compared with."""
        return ()

    def judges(self) -> tuple[Name, ...]:
        """The study's other judges whose verdicts this one reads."""
        return ()

    def models(self) -> tuple["EngineSettings", ...]:
        """The models that it asks; a judge that asks none decides by rule."""
        named = (getattr(self, name) for name in type(self).model_fields)
        return tuple(found for found in named if isinstance(found, EngineSettings))

    def on_server_of(self, affinities: Collection[str], lora_rank: int) -> Self:
        """The settings with models of these affinities, which the study asks itself, served for its adapters,
        too: one server then answers and judges."""
        shared = {
            name: model.for_adapters(lora_rank)
            for name in type(self).model_fields
            if isinstance(model := getattr(self, name), EngineSettings) and model.affinity() in affinities
        }
        return self.model_copy(update=shared) if shared else self

    def n_requests(self, aspects: Sequence[str]) -> int:
        """Number of requests to its model for the verdicts on these aspects of one answer, or of one pair of
        answers."""
        return len(aspects) if self.models() else 0

    @property
    def code(self) -> tuple[str, ...]:
        """The modules that make its verdicts."""
        return (
            "runners.steps.judge",
            f"runners.judges.{self.judge}",
            *(module for model in self.models() for module in model.code),
        )

    @property
    def counted_code(self) -> tuple[str, ...]:
        """Those whose fingerprint is part of the identity: of a judge that decides by rule, all."""
        return () if self.models() else self.code

    def affinity(self) -> str:
        """As for engines: the affinity of the model that it loads; the empty word loads none."""
        return next(filter(None, (model.affinity() for model in self.models())), "")

    def unpinned(self) -> str | None:
        """Return why the same settings may later mean another judge, or None."""
        return next(filter(None, (model.unpinned() for model in self.models())), None)


class RightOrWrong(JudgeSettings):
    """Settings of a judge whose lowest score, 0, says that the answer is wrong."""

    missing_as: Literal[0] | None = None
    """0 where an answer that does not exist (generation failed, or the recorded one is null) counts as wrong,
    as some benchmarks have it. Left out, it is missing: no score, and counted as such."""

    def missing_score(self) -> float | None:
        """Score of an answer that does not exist; None where its verdict is missing too."""
        return self.missing_as


Reads = Literal[
    "item",
    "text",
    "finish_reason",
    "instruction",
    "answers",
    "reference",
    "language",
    "category",
    "extra",
    "opponent",
    "verdicts",
]
