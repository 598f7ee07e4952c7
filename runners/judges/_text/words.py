"""Text as words that can be compared: without case, accents, optional vowel points and punctuation."""

import re
import unicodedata

from dsl.data.letters import EMOJI, compared
from runners.prompting.word_breaks import ALPHABETIC, IDEOGRAPHIC, broken

_ACCENTS = re.compile("[\u0300-\u036f\u20d0-\u20f0]")  # the vowel signs of Indic scripts are none
# Letters that NFKD leaves whole although people write them with others.
_SPELT_OUT = str.maketrans({"œ": "oe", "æ": "ae", "ø": "o", "ł": "l", "đ": "d", "ı": "i"})

_MINUS = "\u2212"
_BEFORE_A_NUMBER = r"""\s([{"'«“‘„¿¡=<>≤≥≈:;|*_~+×÷/—$€£¥₹"""
_SIGN = re.compile(rf"(?<![^{_BEFORE_A_NUMBER}])[-–]([$€£¥₹]?)(?=[.,]?\d)")
_BARE_POINT = re.compile(rf"(?<![^{_BEFORE_A_NUMBER}{_MINUS}])[.,](?=\d)")
_RAISED_SIGN = "⁻"

# An emoji, or several that are joined to one; a letter of Han or kana; a run of an alphabet without spaces; a
# number with its sign and separators (8.5 is not 8 and 5); a word, or a name like C++ and C#.
_EMOJI = f"[{EMOJI}][\U0001f3fb-\U0001f3ff]?"
_WORD = re.compile(
    rf"[\U0001f1e6-\U0001f1ff]{{2}}|{_EMOJI}(?:\u200d{_EMOJI})*|[{IDEOGRAPHIC}]|[{ALPHABETIC}]+"
    rf"|{_MINUS}?(?:\d+(?:[.,]\d+)+"
    rf"|[^\s\u200d.,+#{_MINUS}{EMOJI}{IDEOGRAPHIC}{ALPHABETIC}]+(?:\+\+|#(?!\w))?)"
)
_KEPT = re.compile(f"[.,+#{_MINUS}\u200d{EMOJI}]")
_LETTER_OF_AN_ALPHABET = re.compile(f"[{ALPHABETIC}]")
_BETWEEN_LETTERS = re.compile(rf"(?<=[{ALPHABETIC}]) ?(?=[{ALPHABETIC}])")


def words(text: str) -> tuple[str, ...]:
    """Return the words of a text, casefolded and without accents; decimal commas and points are one sign."""
    folded = compared(_on_the_line(text)).translate(_SPELT_OUT)
    bare = unicodedata.normalize("NFC", _ACCENTS.sub("", folded))
    signed = _BARE_POINT.sub("0.", _SIGN.sub(rf"\g<1>{_MINUS}", bare.replace(_MINUS, "-")))
    found = _WORD.findall("".join(c if _is_of_a_word(c) else " " for c in signed))
    return tuple(part.replace(",", ".") for word in found for part in _parts(word))


def whole(words: tuple[str, ...]) -> str:
    """Return words as one text that is equal for equal words.

    Thai, Lao, Burmese and Khmer set spaces between clauses; so spaces make no difference there.
    """
    return _BETWEEN_LETTERS.sub("", " ".join(words))


def holds(text: tuple[str, ...], wanted: tuple[str, ...]) -> bool:
    """Check if the wanted words stand in the text, all of them, in a row.

    Of Han and kana any letters in a row will do. In other scripts without spaces the run begins and ends
    where a word of the text does, however many words a dictionary sees in it.
    """
    found, asked = f" {' '.join(text)} ", " ".join(wanted)
    if _BETWEEN_LETTERS.search(asked) is None:
        return f" {asked} " in found
    run = " ?".join(map(re.escape, _BETWEEN_LETTERS.split(asked)))
    return re.search(f" {run} ", found) is not None


def _on_the_line(text: str) -> str:
    """Put raised digits and fractions apart from the number before them: 8½ is not 81 and 2."""
    return "".join(
        f" {c}" if c == _RAISED_SIGN or (unicodedata.category(c) == "No" and before not in "-–−⁻") else c
        for before, c in zip(f" {text}", text, strict=False)
    )


def _is_of_a_word(character: str) -> bool:
    return unicodedata.category(character)[0] in "LMN" or _KEPT.match(character) is not None


def _parts(word: str) -> tuple[str, ...]:
    return tuple(broken(word)) if _LETTER_OF_AN_ALPHABET.match(word) else (word,)
