"""Instructions without the differences that do not make another question."""

import unicodedata


def normalise(text: str) -> str:
    """Normalise an instruction for comparison: lower case, single spaces, no punctuation.

    Accents and vowel signs stay.
    """
    return " ".join(unicodedata.normalize("NFKC", text).casefold().translate(_KEPT).split())


class _Kept(dict[int, str]):
    """Table of each character as it is compared, filled as characters are met."""

    def __missing__(self, code: int) -> str:
        char = chr(code)
        self[code] = kept = " " if unicodedata.category(char)[0] in "PSZC" else char
        return kept


_KEPT = _Kept()
