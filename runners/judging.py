"""What a judge is handed and what it gives. A judge is a file in `runners/judges/` with

    class Settings(JudgeSettings): ...           what a spec may say about it
    READS: tuple[Reads, ...]                     what it reads of an answer: verdicts on equal readings are equal
    def judge(answers: Iterable[Answer], settings: Settings, tools: Tools) -> Iterator[Verdict]: ...

and, where it judges anything but the one aspect that bears its own name,

    def aspects(settings: Settings) -> dict[str, object]: ...    aspect -> which settings count for it
    def applies(settings: Settings, aspect: str, example: Example) -> bool: ...    without it, every aspect applies to every example

    def missing(answer: Answer, settings: Settings, reason: str) -> Iterator[Verdict]: ...

`missing` gives the verdicts on an answer without text where `settings.missing_score()` is a score; without it, they are that score alone.

It gives exactly one verdict for each answer and each aspect in `answer.keys`, in any order. `judge` is never handed an answer without text.
A judge that compares is handed an answer once for each opponent, and never an opponent without text.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Literal, TypedDict, Unpack

from dsl.fingerprint import fingerprint
from dsl.identity import Canonical, digest
from dsl.models import Decoding
from dsl.records import Completion, Example, Prompt, Provenance, Verdict
from dsl.settings import EngineSettings, JudgeSettings
from dsl.values import Name, Sha256
from runners.engine import EngineAnswer

Reads = Literal[
    "item", "text", "finish_reason", "instruction", "answers", "reference", "language", "category", "extra", "opponent", "verdicts"
]

NO_REPLY = "the judge did not reply: "
"""How the reason begins where the judge itself failed. Such a verdict says nothing about the answer, so nobody takes it over."""


class Told(TypedDict, total=False):
    """What a verdict may say beside its score; fields of `dsl.records.Verdict`."""

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
    """1 where the judge's server failed for a reason that may pass; the step counts those of earlier attempts."""
    provenance: Provenance
    """What a server says of itself; the step adds the rest."""


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
        """The answer's text."""
        assert self.completion.text is not None, "answers without text are not handed to judges"
        return self.completion.text

    def scored(self, aspect: str, score: float, **told: Unpack[Told]) -> Verdict:
        """A verdict with a score."""
        return self._verdict(aspect, score=float(score), **told)

    def unscored(self, aspect: str, why: str, **told: Unpack[Told]) -> Verdict:
        """A verdict that says why there is no score."""
        return self._verdict(aspect, score=None, unscored_reason=why, **told)

    def _verdict(self, aspect: str, score: float | None, unscored_reason: str | None = None, **told: Unpack[Told]) -> Verdict:
        completion = self.completion
        return Verdict(
            row_key=self.keys[aspect],
            item=completion.item,
            language=completion.language,
            aspect=aspect,
            against=self.against,
            score=score,
            unscored_reason=unscored_reason,
            **told,
        )


Generate = Callable[[EngineSettings, Sequence[Prompt], Decoding], Iterator[tuple[int, EngineAnswer]]]
"""Asks a model: yields the prompt's place in the sequence and its answer, as answers come."""


Facts = dict[str, str | int | float | bool | None]
"""What is to be known of a judge's work, by name."""


@dataclass
class Tools:
    """What a judge may use, and what it wants known of its work."""

    generate: Generate
    cache: Path
    """For what can be made again, such as converted weights."""
    load_seconds: float = 0.0
    """Written by judges that load a model."""
    facts: Facts = field(default_factory=dict)
    """Written by judges; kept with the step's outcome."""


class Keys:
    """Makes row keys: hashes of a judge's settings for an aspect, of its code where it decides by rule, and of what it reads."""

    def __init__(self, module: ModuleType, settings: JudgeSettings, resolved: Sequence[str | None] = ()) -> None:
        """`module` is the judge's; `resolved` what its models' names stand for."""
        self._reads: tuple[Reads, ...] = module.READS
        self._made_by = (fingerprint(*settings.counted_code), resolved)
        self._canonical = Canonical()
        self._judge = settings.judge
        settings = settings.model_copy(update={"limit": None})  # which answers are judged does not change a verdict
        own: dict[str, object] = module.aspects(settings) if hasattr(module, "aspects") else {settings.judge: settings}
        self._settings = {aspect: self._canonical.text(counted) for aspect, counted in own.items()}
        applies: Callable[[JudgeSettings, str, Example], bool] | None = getattr(module, "applies", None)
        self._applies = (lambda aspect, example: True) if applies is None else partial(applies, settings)
        self._needs = settings.NEEDS

    def of(
        self,
        example: Example,
        completion: Completion,
        opponent: Completion | None = None,
        verdicts: Mapping[Name, Sequence[Verdict]] | None = None,
    ) -> dict[str, Sha256]:
        """aspect -> row key, for every aspect that applies to the example, and on which the judges that are read say something."""
        read: dict[str, object] = {}
        for name in self._reads:
            match name:
                case "text":
                    read[name] = _text(completion)
                case "finish_reason":
                    read[name] = completion.finish_reason
                case "opponent":
                    read[name] = opponent and _text(opponent)
                case "verdicts":
                    read[name] = {j: [(v.aspect, v.score, v.unscored_reason) for v in found] for j, found in (verdicts or {}).items()}
                case _:
                    read[name] = getattr(example, name)
        said = {v.aspect for found in (verdicts or {}).values() for v in found}
        return {
            aspect: self._key(aspect, counted, read)
            for aspect, counted in self._settings.items()
            if all(getattr(example, column) for column in self._needs)
            and self._applies(aspect, example)
            and ("verdicts" not in self._reads or aspect in said or (aspect == self._judge and bool(said)))
        }

    def _key(self, aspect: str, counted: str, read: Mapping[str, object]) -> Sha256:
        return digest((aspect, counted, self._made_by, read))


def _text(completion: Completion) -> object:
    return (completion.text, completion.error or completion.finish_reason) if completion.text is None else completion.text
