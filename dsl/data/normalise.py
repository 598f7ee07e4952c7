"""Instructions without the differences that do not make another question."""

import re
import unicodedata

from dsl.data.letters import compared

_OPERATOR = re.compile(r"(?<=\d)\s*([-–*/])\s*(?=\d)|(?<![\w)\]])([-–])(?=\d)")
_SYMBOLS = {"-": "−", "–": "−", "*": "∗", "/": "∕"}


def normalise(text: str) -> str:
    """Normalise an instruction for comparison: lower case, single spaces, no punctuation.

    Accents and vowel signs stay, points that most texts leave out go, and so do characters of format. Symbols
    are words: 7 - 5 is not 7 + 5.
    """
    folded = unicodedata.normalize("NFC", compared(text))
    spelt = _OPERATOR.sub(lambda found: f" {_SYMBOLS[found[1] or found[2]]} ", folded)
    return " ".join(spelt.translate(_APART).split())


class _Apart(dict[int, str]):
    """Table of each character as it is compared, filled as characters are met."""

    def __missing__(self, code: int) -> str:
        character = chr(code)
        category = unicodedata.category(character)
        if category in ("Sm", "Sc", "So"):
            kept = f" {character} "
        else:
            kept = " " if category[0] in "PSZC" else character
        self[code] = kept
        return kept


_APART = _Apart()
