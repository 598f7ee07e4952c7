"""`loop`: did the model fall into an endless repetition?

A loop is a text that says one thing (a word, a clause, a line, a paragraph) at least three times in a row,
unchanged or with no more than a counter or a word or two changed, up to its end or over more than half of its
length. Lists, tables, refrains, counting and a thing said twice are none. Three signs are looked for, one is
enough:

- the text ends in a unit said again and again, letter by letter or with its numbers made equal (degenerate
  repetition: Holtzman et al., arXiv 1904.09751);
- most of its word trigrams, or of those of its last words, occur again and again (the repeated n-grams of
  Welleck et al., arXiv 1908.04319, counted from the third occurrence on, so that saying a thing twice is no
  loop);
- it compresses far better than any prose (OpenAI's Whisper refuses transcripts above a gzip ratio of 2.4;
  arXiv 2212.04356).

Infinite loops are one of the two critical errors of Ponce and Etchegoyhen, arXiv 2503.01611.
"""

import re
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator

from dsl.data.records import Verdict
from dsl.judges.contract import Reads
from dsl.judges.loop import Settings
from runners.judges.contract import Answer, Tools

READS: tuple[Reads, ...] = ("text",)

_TAIL = 20_000  # characters at the end in which a repeated unit is looked for
_LETTERS_OF_A_COUNTED_UNIT = 3  # 7 x 8 = 56 is a table
_CLOSING = " .,;:!?…`'\"*)]»”"
_WORD = re.compile(
    r"[^\s!-/:-@\[-`{-~¡-¿‐-⁞、-〿，]+"
)  # \w would cut words at the vowel signs of Indic scripts
_GRAM = 3  # words: the shortest phrases that prose does not live on
_COMPRESSED_FROM = 1_000  # characters: in shorter texts chance weighs too much
_MIN_WHOLE_REPEATS = 4  # "no, no, no" is an answer


def judge(answers: Iterable[Answer], settings: Settings, tools: Tools) -> Iterator[Verdict]:
    for answer in answers:
        sign = _sign_of_a_loop(answer.text, settings)
        yield answer.scored("loop", sign is None, reason=sign)


def _sign_of_a_loop(text: str, settings: Settings) -> str | None:
    flat = re.sub(r"\s+", " ", text.casefold()).strip()
    return (
        _repeated_end(flat, settings)
        or _repeated_end(re.sub(r"\d+", "0", flat), settings, counted=True)
        or _repeated_words(flat, settings)
        or _compressible(text, settings)
    )


def _repeated_end(flat: str, settings: Settings, counted: bool = False) -> str | None:
    """Return the unit that the text ends in again and again. `counted` texts have their numbers made
    equal."""
    is_loop = _is_counted_loop if counted else _is_loop
    # a loop that was cut, and one that was brought to an end
    for end in dict.fromkeys((flat, flat.rstrip(_CLOSING))):
        tail = end[-_TAIL:]
        for length, period in reversed(list(_periods(tail[::-1]))):
            if length >= 2 * period and is_loop(tail[-period:], length, length == len(end), settings):
                return f"{_shown(tail[-period:])} is repeated over the last {length} characters"
    return None


def _is_loop(unit: str, length: int, is_all: bool, settings: Settings) -> bool:
    if (
        is_all
        and " " in unit
        and (length + 1) / len(unit) >= _MIN_WHOLE_REPEATS
        and any(map(str.isalpha, unit))
    ):
        return True
    if length / len(unit) < settings.min_repeats or length < settings.min_characters:
        return False
    return length >= settings.min_symbols or any(map(str.isalnum, unit))


def _is_counted_loop(unit: str, length: int, is_all: bool, settings: Settings) -> bool:
    return (
        length / len(unit) >= settings.min_counted_repeats
        and sum(map(str.isalpha, unit)) >= _LETTERS_OF_A_COUNTED_UNIT
    )


def _periods(text: str) -> Iterator[tuple[int, int]]:
    """Return, for each prefix, its length and that of its shortest unit (Knuth-Morris-Pratt failure
    function)."""
    border = [0] * (len(text) + 1)
    k = 0
    for i in range(1, len(text)):
        while k and text[i] != text[k]:
            k = border[k]
        k += text[i] == text[k]
        border[i + 1] = k
        yield i + 1, i + 1 - k


def _repeated_words(flat: str, settings: Settings) -> str | None:
    """Find phrases that are repeated, in whatever order and with whatever between them."""
    words = _WORD.findall(flat)
    for part in (words, words[-settings.last_words :]):
        counts = Counter(zip(*(part[i:] for i in range(_GRAM)), strict=False))
        repeated = sum(n for n in counts.values() if n >= settings.min_repeats)
        if (
            len(" ".join(part)) >= settings.min_characters
            and repeated > settings.max_repeated_words * counts.total()
        ):
            phrase, n = counts.most_common(1)[0]
            return (
                f"{_shown(' '.join(phrase))} is said {n} times, and {repeated / counts.total():.0%} of the"
                " text is such phrases"
            )
    return None


def _compressible(text: str, settings: Settings) -> str | None:
    """Find repetition with small changes, such as a number that counts up."""
    if len(text) < _COMPRESSED_FROM:
        return None
    # One byte a character whatever the script: in UTF-8 a Tamil text would seem three times as repetitive as
    # a French one.
    places = {character: min(place, 255) for place, (character, _) in enumerate(Counter(text).most_common())}
    ratio = len(text) / len(zlib.compress(bytes(map(places.__getitem__, text)), 9))
    return f"zlib makes it {ratio:.1f} times smaller" if ratio > settings.max_compression_ratio else None


def _shown(unit: str) -> str:
    unit = unit.strip()
    return repr(unit if len(unit) <= 60 else f"{unit[:60]}…")
