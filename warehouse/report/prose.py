"""Phrases shared by the sentences of a report."""

import re
from collections.abc import Iterable, Iterator, Sequence

from dsl.messages import one_line

CORRECTIONS = {
    "holm": "Holm's correction",
    "e_holm": "Holm's correction of e-values",
    "benjamini_hochberg": "Benjamini and Hochberg's correction",
    "benjamini_yekutieli": "Benjamini and Yekutieli's correction",
}

UNTESTED = "Exploratory: no tests, intervals uncorrected."
"""Note of a section whose numbers are estimates alone."""


def value_range(counts: Iterable[int]) -> str:
    found = sorted(set(counts))
    return str(found[0]) if len(found) == 1 else f"{found[0]} to {found[-1]}"


def counted(n: int, noun: str) -> str:
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"


def listed(parts: Sequence[str], last: str = "and") -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} {last} {parts[-1]}"


def whole(text: str) -> str:
    """The text with spaces that no line may end on: between a number and its interval, and in `n = 12`."""
    return re.sub(
        r"(?<=[\d%]) (?=\[)|(?<=[\d%],) (?=[−\d])|(?<=\bn) (?== )|(?<=\bn =) (?=\d)",
        "\N{NO-BREAK SPACE}",
        text,
    )


def spans(text: str) -> Iterator[tuple[str, bool]]:
    """(part, whether it stood between backticks) of a sentence, in one line."""
    for place, part in enumerate(re.split(r"`([^`]+)`", one_line(text))):
        yield part, place % 2 == 1


def p_value(p: float | None) -> str:
    """A p-value in one or two digits that count; one below 0.05 never reads as 0.05."""
    if p is None:
        return "–"
    if p < 0.001:
        return "< 0.001"
    if 0.0495 <= p < 0.05:
        return "< 0.05"
    return f"{p:.3f}" if p < 0.095 else f"{p:.2f}"
