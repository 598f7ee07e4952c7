"""`length`: how long is the answer? A measure, not a mark: it stands beside every score, because longer
answers tend to win."""

import unicodedata
from collections.abc import Iterable, Iterator

from dsl.data.records import Verdict
from dsl.judges.contract import Reads
from dsl.judges.length import Settings
from runners.judges.contract import Answer, Tools

READS: tuple[Reads, ...] = ("text",)


def judge(answers: Iterable[Answer], settings: Settings, tools: Tools) -> Iterator[Verdict]:
    for answer in answers:
        yield answer.scored("length", len(unicodedata.normalize("NFC", answer.text)))
