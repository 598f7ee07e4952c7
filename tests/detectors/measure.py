"""Precision and recall of each detector of a critical error on the texts labelled for it.

Their file is `<detector>.jsonl` beside this one.
"""

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from dsl.data.fingerprints import Fingerprints
from dsl.data.records import Completion, Example
from dsl.plugins import settings_of
from runners.judges.contract import Answer
from tests.runners.judges.answers import verdicts

HERE = Path(__file__).parent
LANGUAGES = ("en", "es", "fr")
DETECTORS = tuple(sorted(path.stem for path in HERE.glob("*.jsonl")))

Half = Literal["tune", "held out"]


@dataclass(frozen=True)
class Labelled:
    """A text, and what a reader says of it."""

    detector: str
    language: str
    """The language that was asked in."""
    text: str
    instruction: str
    finish_reason: str
    has_error: bool

    @property
    def half(self) -> Half:
        """Detectors are changed for what goes wrong in the tune half only; the hash of the text decides."""
        return "tune" if hashlib.sha256(self.text.encode()).digest()[0] % 2 == 0 else "held out"


@dataclass(frozen=True)
class Measure:
    """Counts of a detector's verdicts; `error` is the positive class.

    Where it abstains it is neither right nor wrong.
    """

    hits: int
    false_alarms: int
    misses: int
    passes: int
    abstained_with_error: int
    abstained_without: int

    @property
    def n_with_error(self) -> int:
        """Texts with the error, those included on which the detector abstains."""
        return self.hits + self.misses + self.abstained_with_error

    @property
    def n_without(self) -> int:
        """Texts without it."""
        return self.false_alarms + self.passes + self.abstained_without

    @property
    def precision(self) -> tuple[int, int]:
        """Right alarms, of how many."""
        return self.hits, self.hits + self.false_alarms

    @property
    def recall(self) -> tuple[int, int]:
        """Errors found, of how many the detector judged."""
        return self.hits, self.hits + self.misses


def labelled(detector: str) -> list[Labelled]:
    """The texts of a detector's file."""
    rows = map(json.loads, (HERE / f"{detector}.jsonl").read_text("utf-8").splitlines())
    return [
        Labelled(
            detector=detector,
            language=row["language"],
            text=row["text"],
            instruction=row.get("instruction", "?"),
            finish_reason=row.get("finish_reason", "recorded"),
            has_error={"yes": True, "no": False}[row["label"]],
        )
        for row in rows
    ]


def alarms(detector: str, texts: Sequence[Labelled]) -> list[bool | None]:
    """Return for each text whether the detector finds an error; None where it abstains.

    The detector has its defaults in a study of the three languages.
    """
    settings = settings_of("judges", detector)().pinned(LANGUAGES, Fingerprints(), HERE)
    scores = {
        found.item: found.score
        for found in verdicts(settings, *(_answer(str(place), text) for place, text in enumerate(texts)))
    }
    return [None if (score := scores[str(place)]) is None else score == 0 for place in range(len(texts))]


def measure(texts: Iterable[Labelled], said: Iterable[bool | None]) -> Measure:
    """Count the verdicts on texts."""
    pairs = [(text.has_error, alarm) for text, alarm in zip(texts, said, strict=True)]
    return Measure(
        hits=pairs.count((True, True)),
        false_alarms=pairs.count((False, True)),
        misses=pairs.count((True, False)),
        passes=pairs.count((False, False)),
        abstained_with_error=pairs.count((True, None)),
        abstained_without=pairs.count((False, None)),
    )


def share(part: tuple[int, int]) -> str:
    """`0.95 [0.84, 0.99]`: a share with Wilson's 95% interval."""
    from scipy.stats import binomtest

    k, n = part
    if n == 0:
        return "-"
    interval = binomtest(k, n).proportion_ci(0.95, method="wilson")
    return f"{k / n:.2f} [{interval.low:.2f}, {interval.high:.2f}]"


def _answer(item: str, text: Labelled) -> Answer:
    example = Example(item=item, language=text.language, instruction=text.instruction)
    completion = Completion.model_validate(
        {
            "row_key": "0" * 64,
            "item": item,
            "language": text.language,
            "prompt": text.instruction,
            "text": text.text,
            "raw_text": text.text,
            "finish_reason": text.finish_reason,
            "max_new_tokens": 64,
            "engine": "echo",
        }
    )
    return Answer(example, completion, {})
