"""Contract of a judge. A judge is a file in `runners/judges/` with

    READS: tuple[Reads, ...]    fields that it reads of an answer: verdicts on equal fields are equal

    def judge(answers: Iterable[Answer], settings: Settings, tools: Tools) -> Iterator[Verdict]: ...

and, where it judges anything but the one aspect that bears its own name,

    def aspects(settings: Settings) -> dict[str, object]: ...    aspect -> the settings that count for it

    def applies(settings: Settings, aspect: str, example: Example) -> bool: ...
        without it, every aspect applies to every example

    def missing(answer: Answer, settings: Settings, reason: str) -> Iterator[Verdict]: ...

`missing` gives the verdicts on an answer without text where `settings.missing_score()` (of `RightOrWrong`)
is a score; without it, they are that score alone.

It gives exactly one verdict for each answer and each aspect in `answer.keys`, in any order. `judge` is never
handed an answer without text. A judge that compares is handed an answer once for each opponent, and never an
opponent without text.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypedDict, Unpack

from dsl.data.records import Completion, Example, Prompt, Provenance, Verdict
from dsl.engines.contract import Decoding, EngineSettings
from dsl.values import Name, Sha256
from runners.engines.contract import EngineAnswer

NO_REPLY = "the judge did not reply: "
"""Beginning of the reason where the judge itself failed: such a verdict says nothing about the answer, and is
never reused."""


class VerdictDetails(TypedDict, total=False):
    """Fields of a verdict beside its score; as of `dsl.data.records.Verdict`."""

    reason: str | None
    distribution: dict[str, float] | None
    parts: dict[str, float] | None
    raw: str | None
    n_prompt_tokens: int | None
    n_new_tokens: int | None
    seconds: float | None
    usd: float | None
    model_served: str | None
    n_faults: int
    """1 where the judge's server failed for a reason that may pass; the step counts those of earlier
    attempts."""
    provenance: Provenance
    """The server's own; the step adds the rest."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A completion beside the example it answers."""

    example: Example
    completion: Completion
    keys: Mapping[str, Sha256]
    """The aspects to judge, and the row key of each one's verdict."""
    against: Name | None = None
    """The method whose answer this one is compared with."""
    opponent: Completion | None = None
    """That answer."""
    verdicts: Mapping[Name, Sequence[Verdict]] = field(default_factory=dict[Name, Sequence[Verdict]])
    """Other judges' verdicts on this answer, where the judge reads them."""

    @property
    def text(self) -> str:
        """Return the answer's text."""
        assert self.completion.text is not None, "answers without text are not handed to judges"
        return self.completion.text

    def scored(self, aspect: str, score: float, **details: Unpack[VerdictDetails]) -> Verdict:
        """Return a verdict with a score."""
        return self._verdict(aspect, score=float(score), **details)

    def unscored(self, aspect: str, why: str, **details: Unpack[VerdictDetails]) -> Verdict:
        """Return a verdict that says why there is no score."""
        return self._verdict(aspect, score=None, unscored_reason=why, **details)

    def _verdict(
        self,
        aspect: str,
        score: float | None,
        unscored_reason: str | None = None,
        **details: Unpack[VerdictDetails],
    ) -> Verdict:
        completion = self.completion
        return Verdict(
            row_key=self.keys[aspect],
            item=completion.item,
            language=completion.language,
            aspect=aspect,
            against=self.against,
            score=score,
            unscored_reason=unscored_reason,
            **details,
        )


Generate = Callable[[EngineSettings, Sequence[Prompt], Decoding], Iterator[tuple[int, EngineAnswer]]]
"""Asks a model: yields the prompt's place in the sequence and its answer, as answers come."""


Facts = dict[str, str | int | float | bool | None]
"""Notes on a judge's work, by name."""


@dataclass
class Tools:
    """Means of a judge, and its notes on its work."""

    generate: Generate
    cache: Path
    """For what can be made again, such as converted weights."""
    load_seconds: float = 0.0
    """Written by judges that load a model."""
    facts: Facts = field(default_factory=Facts)
    """Written by judges; kept with the step's outcome."""
