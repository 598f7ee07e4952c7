"""Questions without the differences that do not make another question."""

import re
import unicodedata

from dsl.data.letters import compared
from dsl.data.records import Example

_OPERATOR = re.compile(r"(?<=\d)\s*([-–*/])\s*(?=\d)|(?<![\w)\]])([-–])(?=\d)")
_BEFORE_A_DIGIT = re.compile(r"[-–*/]\s*\d")
_SYMBOLS = {"-": "−", "–": "−", "*": "∗", "/": "∕"}

N_FIRST, N_READ = 24, 100
"""Characters of a normalised text's beginning, and of the text that is read for them."""


def normalise(text: str) -> str:
    """Normalise an instruction for comparison: lower case, single spaces, no punctuation.

    Accents and vowel signs stay, points that most texts leave out go, and so do characters of format. Symbols
    are words: 7 - 5 is not 7 + 5.
    """
    folded = unicodedata.normalize("NFC", compared(text))
    if _BEFORE_A_DIGIT.search(folded) is not None:  # seldom, and soon known
        folded = _OPERATOR.sub(lambda found: f" {_SYMBOLS[found[1] or found[2]]} ", folded)
    return " ".join(folded.translate(_APART).split())


def beginning(text: str) -> str:
    """Return the first `N_FIRST` characters of a normalised text, mostly without normalising the rest."""
    if len(text) > N_READ:
        begun = normalise(text[:N_READ]).rpartition(" ")[0]  # the last word may go on
        if len(begun) >= N_FIRST:
            return begun[:N_FIRST]
    return normalise(text)[:N_FIRST]


def composed(text: str) -> str:
    """Return a text as two writings of it have it in common: composed characters, single spaces."""
    return " ".join(unicodedata.normalize("NFC", text).split())


def in_context(example: Example) -> str:
    """Normalise an example's question together with the conversation before it, a system message aside.

    `Halve it.` asks nothing by itself. A question without earlier turns is as `normalise` gives it.
    """
    before = [normalise(turn.content) for turn in example.turns if turn.role != "system"]
    return "\n".join([*before, normalise(example.instruction)])


def asked_in(example: Example) -> list[str]:
    """Normalise the questions of an example's conversation, in their order."""
    return [normalise(text) for text in written_questions(example)]


def written_questions(example: Example) -> list[str]:
    """Return the questions of an example's conversation as they are, in their order."""
    return [*(turn.content for turn in example.turns if turn.role == "user"), example.instruction]


def questions(example: Example) -> frozenset[str]:
    """Normalise every question of an example's conversation, by itself and behind those before it."""
    asked = asked_in(example)
    return frozenset({*asked, *("\n".join(asked[:n]) for n in range(2, len(asked) + 1))})


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
