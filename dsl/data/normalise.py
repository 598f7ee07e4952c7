"""Instructions without the differences that do not make another question."""

import unicodedata


def normalise(text: str) -> str:
    """Normalise an instruction for comparison: lower case, single spaces, no punctuation.

    Accents and vowel signs stay.
    """
    kept = (
        " " if unicodedata.category(char)[0] in "PSZC" else char
        for char in unicodedata.normalize("NFKC", text).casefold()
    )
    return " ".join("".join(kept).split())
