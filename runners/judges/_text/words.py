"""Text as words that can be compared: without case, accents and punctuation."""

import re
import unicodedata

_ACCENTS = re.compile(r"[\u0300-\u036f]")
# Letters that NFKD leaves whole although people write them with others.
_SPELT_OUT = str.maketrans({"œ": "oe", "æ": "ae", "ø": "o", "ł": "l", "đ": "d", "ı": "i"})
# A word, a number with its separators (8.5 is not 8 and 5), or a name like C++ and C#. In scripts without
# spaces each letter is a word.
_UNSPACED = r"\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff"
_WORD = re.compile(rf"[{_UNSPACED}]|\d+(?:[.,]\d+)+|[^\W_{_UNSPACED}]+(?:\+\+|#(?!\w))?")


def words(text: str) -> tuple[str, ...]:
    """Return the words of a text, casefolded and without accents; decimal commas and points are one sign."""
    apart = "".join(f" {c}" if unicodedata.category(c) == "No" else c for c in text)  # 8½ is not 81 and 2
    folded = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", apart).casefold()).translate(
        _SPELT_OUT
    )
    bare = unicodedata.normalize("NFC", _ACCENTS.sub("", folded))
    return tuple(word.replace(",", ".") for word in _WORD.findall(bare))


def holds(text: tuple[str, ...], wanted: tuple[str, ...]) -> bool:
    """Check if the wanted words stand in the text, all of them, in a row."""
    return f" {' '.join(wanted)} " in f" {' '.join(text)} "
