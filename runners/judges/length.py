"""`length`: how long is the answer? A measure, not a mark: it stands beside every score, because longer answers tend to win."""

import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from typing import ClassVar, Literal

from dsl.data.records import Verdict
from dsl.settings import JudgeSettings, Role
from dsl.values import Name
from runners.judges.contract import Answer, Reads, Tools

READS: tuple[Reads, ...] = ("text",)


class Settings(JudgeSettings):
    """The completion's number of characters (Unicode code points after NFC, so that an accented letter is one)."""

    ROLE: ClassVar[Role] = "measure"
    LABEL: ClassVar[str] = "characters in the answer"
    judge: Literal["length"] = "length"

    def scale(self, aspect: str, judges: Mapping[Name, JudgeSettings] | None = None) -> None:
        return None


def judge(answers: Iterable[Answer], settings: Settings, tools: Tools) -> Iterator[Verdict]:
    for answer in answers:
        yield answer.scored("length", len(unicodedata.normalize("NFC", answer.text)))
