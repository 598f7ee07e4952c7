"""Letters by which texts are compared: without case, and without signs that writers may leave out."""

import re
import unicodedata

_POINTS = (
    "\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7"  # Hebrew: accents and vowel points
    "\u0610-\u061a\u0640\u064b-\u0652\u0656-\u065f\u0670"  # Arabic: tatweel and vowel marks, not the hamza
    "\u06d6-\u06dc\u06df-\u06e4\u06e7\u06e8\u06ea-\u06ed"  # Arabic: marks of recitation
)
_VARIANTS = "\u180b-\u180d\u180f\ufe00-\ufe0f\U000e0100-\U000e01ef"
_POINTS_AND_VARIANTS = re.compile(f"[{_POINTS}{_VARIANTS}]")

EMOJI = "\u231a-\u23ff\u2600-\u27bf\u2b00-\u2bff\U0001f000-\U0001faff"
"""Ranges of pictures that stand for a word, for a character class."""
_JOINER = re.compile(f"(?<![{EMOJI}])\u200d")


def compared(text: str) -> str:
    """Return the casefolded text in its decomposed compatibility form, with its marks.

    Left out is what makes no other word: the points of Hebrew and the vowel marks of Arabic, which most texts
    do not write, variation selectors, and characters of format, such as a soft hyphen. The vowel signs of
    other scripts are letters. A joiner between emoji stays.
    """
    if text.isascii():
        return text.lower()
    folded = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", text).casefold())
    bare = _POINTS_AND_VARIANTS.sub("", folded)
    return _JOINER.sub("", bare.translate(_WITHOUT_FORMAT))


class _WithoutFormat(dict[int, int | None]):
    """Table that takes characters of format away, but for joiners; filled as characters are met."""

    def __missing__(self, code: int) -> int | None:
        is_format = chr(code) != "\u200d" and unicodedata.category(chr(code)) == "Cf"
        self[code] = kept = None if is_format else code
        return kept


_WITHOUT_FORMAT = _WithoutFormat()
