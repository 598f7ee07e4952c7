"""`empty`: did the model say anything at all?"""

import unicodedata
from collections.abc import Iterable, Iterator

from dsl.data.records import Verdict
from dsl.judges.contract import Reads
from dsl.judges.empty import Settings
from runners.judges.contract import Answer, Tools

READS: tuple[Reads, ...] = ("text",)

# Letters that show nothing (Hangul fillers), the blank Braille pattern, and what is put where bytes could not
# be read.
_BLANK = frozenset("\u115f\u1160\u3164\uffa0\u2800\ufffd")


def judge(answers: Iterable[Answer], settings: Settings, tools: Tools) -> Iterator[Verdict]:
    for answer in answers:
        says_something = any(_is_content(character) for character in answer.text)
        yield answer.scored(
            "empty",
            says_something,
            reason=None if says_something else "nothing but white space and punctuation",
        )


def _is_content(character: str) -> bool:
    category = unicodedata.category(character)
    return (category[0] in "LN" or category == "So") and character not in _BLANK
