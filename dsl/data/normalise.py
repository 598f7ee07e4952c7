"""Instructions without the differences that do not make another question."""

import re
import unicodedata


def normalise(text: str) -> str:
    """Normalise an instruction for comparison: lower case, single spaces, no punctuation.

    Accents and vowel signs stay.
    """
    return " ".join(unicodedata.normalize("NFKC", text).casefold().translate(_KEPT).split())


def question_of(text: str) -> str:
    """Return a key that two writings of one question share: the normalised text, and the signs that stand
    behind numbers. 3 + 4 is another question than 3 - 4."""
    signs = _SIGN.findall(text)
    return " ".join([normalise(text), *signs]) if signs else normalise(text)


_SIGN = re.compile(r"\d\s*([-+*/^=<>×÷−])")


class _Kept(dict[int, str]):
    """Table of each character as it is compared, filled as characters are met."""

    def __missing__(self, code: int) -> str:
        char = chr(code)
        self[code] = kept = " " if unicodedata.category(char)[0] in "PSZC" else char
        return kept


_KEPT = _Kept()
