"""Earlier turns of a judged conversation, each under a name of its own."""

from collections import Counter
from collections.abc import Sequence

from dsl.data.records import Message

SYSTEM = "system"
"""Name of a system message: the word of chat templates, in every language."""


def earlier(turns: Sequence[Message], instruction: str, answer: str) -> dict[str, str]:
    """Name the turns before a question: `instruction 1`, `answer 1`, `instruction 2` and so on.

    `instruction` and `answer` are the judge's words for what was asked and for what was said.
    """
    return {name: one.content for name, one in zip(_names(turns, instruction, answer), turns, strict=True)}


def earlier_of_two(
    first: Sequence[Message], second: Sequence[Message], instruction: str, answers: tuple[str, str, str]
) -> dict[str, str]:
    """Name the turns of two conversations with the same questions.

    `answers` are the words for what both say alike, what the first says, and what the second says.
    """
    both, of_first, of_second = answers
    if first == second:
        return earlier(first, instruction, both)
    found: dict[str, str] = {}
    names = zip(_names(first, instruction, of_first), _names(second, instruction, of_second), strict=True)
    for (name, other_name), one, other in zip(names, first, second, strict=True):
        found |= {name: one.content, other_name: other.content}
    return found


def _names(turns: Sequence[Message], instruction: str, answer: str) -> list[str]:
    n_before: Counter[str] = Counter()
    names: list[str] = []
    for one in turns:
        n_before[one.role] += 1
        word = instruction if one.role == "user" else answer
        names.append(SYSTEM if one.role == "system" else f"{word} {n_before[one.role]}")
    return names
