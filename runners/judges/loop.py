"""`loop`: did the model fall into an endless repetition?"""

import re
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import ClassVar, Literal

from pydantic import Field

from dsl.records import Verdict
from dsl.settings import JudgeSettings
from runners.judging import Answer, Reads, Tools

READS: tuple[Reads, ...] = ("text",)

_TAIL = 20_000  # characters at the end in which a repeated unit is looked for
_LETTERS_OF_A_COUNTED_UNIT = 3  # 7 x 8 = 56 is a table
_CLOSING = " .,;:!?…`'\"*)]»”"
_COMPRESSED_FROM = 1_000  # characters: in shorter texts chance weighs too much
_MIN_WHOLE_REPEATS = 4  # "no, no, no" is an answer


class Settings(JudgeSettings):
    """0 where the completion loops, 1 where it does not. What counts as a loop is stated by the thresholds; one sign is enough."""

    VERSION: ClassVar[int] = 1
    judge: Literal["loop"] = "loop"
    min_repeats: int = Field(3, ge=2)
    """The text ends in a unit (a letter, a word, a paragraph) written at least so many times in a row …"""
    min_characters: int = Field(60, ge=1)
    """… which are at least so many characters together. A completion that is one unit's repetitions and nothing else needs no length."""
    min_symbols: int = Field(200, ge=1)
    """… or this long, where the unit holds no letter or digit: a ruled line is no loop."""
    min_counted_repeats: int = Field(10, ge=2)
    """The same where a number counts on in each repetition (`Step 41: … Step 42: …`): a plan for a week is no loop."""
    max_repeated_lines: float = Field(0.5, gt=0, le=1)
    """Share of the text's characters that may lie in lines said before (a refrain); judged from `min_repeats` copies of a line on."""
    max_compression_ratio: float = Field(8.0, gt=1)
    """Characters of the text over its bytes after zlib, from 1,000 characters on; prose lies between 1.7 and 3."""


def judge(answers: Iterable[Answer], settings: Settings, tools: Tools) -> Iterator[Verdict]:
    for answer in answers:
        sign = _sign_of_a_loop(answer.text, settings)
        yield answer.scored("loop", sign is None, reason=sign)


def _sign_of_a_loop(text: str, settings: Settings) -> str | None:
    flat = re.sub(r"\s+", " ", text.casefold()).strip()
    return (
        _repeated_end(flat, settings)
        or _repeated_end(re.sub(r"\d+", "0", flat), settings, counted=True)
        or _repeated_lines(text, settings)
        or _compressible(text, settings)
    )


def _repeated_end(flat: str, settings: Settings, counted: bool = False) -> str | None:
    """The unit that the text ends in again and again. `counted` texts have their numbers made equal."""
    is_loop = _is_counted_loop if counted else _is_loop
    for end in dict.fromkeys((flat, flat.rstrip(_CLOSING))):  # a loop that was cut, and one that was brought to an end
        tail = end[-_TAIL:]
        for length, period in reversed(list(_periods(tail[::-1]))):
            if length >= 2 * period and is_loop(tail[-period:], length, length == len(end), settings):
                return f"{_shown(tail[-period:])} is repeated over the last {length} characters"
    return None


def _is_loop(unit: str, length: int, is_all: bool, settings: Settings) -> bool:
    if is_all and " " in unit and (length + 1) / len(unit) >= _MIN_WHOLE_REPEATS and any(map(str.isalpha, unit)):
        return True
    if length / len(unit) < settings.min_repeats or length < settings.min_characters:
        return False
    return length >= settings.min_symbols or any(map(str.isalnum, unit))


def _is_counted_loop(unit: str, length: int, is_all: bool, settings: Settings) -> bool:
    return length / len(unit) >= settings.min_counted_repeats and sum(map(str.isalpha, unit)) >= _LETTERS_OF_A_COUNTED_UNIT


def _periods(text: str) -> Iterator[tuple[int, int]]:
    """For each prefix, its length and the length of the shortest unit it is made of (Knuth, Morris and Pratt's failure function)."""
    border = [0] * (len(text) + 1)
    k = 0
    for i in range(1, len(text)):
        while k and text[i] != text[k]:
            k = border[k]
        k += text[i] == text[k]
        border[i + 1] = k
        yield i + 1, i + 1 - k


def _repeated_lines(text: str, settings: Settings) -> str | None:
    """Lines that were said before, in whatever order."""
    lines = [" ".join(line.split()) for line in text.casefold().splitlines()]
    lines = [line for line in lines if any(map(str.isalpha, line))]
    counts = {line: n for line, n in Counter(lines).items() if n >= settings.min_repeats}
    repeated = sum(len(line) * (n - 1) for line, n in counts.items())
    total = sum(map(len, lines))
    if repeated >= settings.min_characters and repeated > settings.max_repeated_lines * total:
        line, n = max(counts.items(), key=lambda one: len(one[0]) * one[1])
        return f"the line {_shown(line)} stands {n} times"
    return None


def _compressible(text: str, settings: Settings) -> str | None:
    """Repetition with small changes, such as a number that counts up."""
    if len(text) < _COMPRESSED_FROM:
        return None
    # One byte a character whatever the script: in UTF-8 a Tamil text would seem three times as repetitive as a French one.
    places = {character: min(place, 255) for place, (character, _) in enumerate(Counter(text).most_common())}
    ratio = len(text) / len(zlib.compress(bytes(map(places.__getitem__, text)), 9))
    return f"zlib makes it {ratio:.1f} times smaller" if ratio > settings.max_compression_ratio else None


def _shown(unit: str) -> str:
    unit = unit.strip()
    return repr(unit if len(unit) <= 60 else f"{unit[:60]}…")
