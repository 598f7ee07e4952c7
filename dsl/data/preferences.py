"""Columns beside a pair of answers that say which is better, where those that are named say otherwise."""

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import NamedTuple

from dsl.data.inner_rows import Row
from dsl.data.source import Columns, Conversation

_VERDICT = re.compile(r"better|best|winner|prefer|choice|chosen|label|select|vote|verdict", re.IGNORECASE)
_SCORE = re.compile(r"score|rating|reward|grade|quality|overall", re.IGNORECASE)
_NEITHER = re.compile(r"tie\b|ties?$|both|neither|equal|draw|same", re.IGNORECASE)
_SIDE = re.compile(r"\d{1,2}|[a-z]|left|right|first|second|one|two", re.IGNORECASE)


class _Beside(NamedTuple):
    """Columns of a row that say something of its pair."""

    sides: tuple[str, str] | None
    """The parts that tell the names of `chosen` and `rejected` apart, as `0` and `1` of two responses."""
    verdicts: tuple[str, ...]
    scores: tuple[tuple[str, str], ...]


def preference_notes(row: Row, columns: Columns) -> Iterator[str]:
    """Yield what columns that are not named say against a row's pair."""
    chosen, rejected = (
        one.column if isinstance(one, Conversation) else one for one in (columns.chosen, columns.rejected)
    )
    if not (isinstance(chosen, str) and isinstance(rejected, str) and isinstance(row, Mapping)):
        return
    beside = _beside(tuple(row), chosen, rejected)
    for better, worse in beside.scores:
        one, other = _number(row[better]), _number(row[worse])
        if one is not None and other is not None and one < other:
            yield f"whose chosen answer has the lower score, by `{better}` and `{worse}`"
    for key in beside.verdicts:
        told = _side(row[key], beside.sides)
        if told == 1:
            yield f"whose `{key}` prefers `{rejected}`, which is read as the rejected answer in all rows"
        elif told is None and isinstance(row[key], str) and _NEITHER.search(row[key]):
            yield f"whose `{key}` prefers neither answer"


@lru_cache
def _beside(keys: tuple[object, ...], chosen: str, rejected: str) -> _Beside:
    names = [key for key in keys if isinstance(key, str) and key not in (chosen, rejected)]
    sides = _sides(chosen, rejected)
    scores: list[tuple[str, str]] = []
    for key in names:
        pairs = [("chosen", "rejected"), (chosen, rejected)]
        others = [key.replace(one, other) for one, other in pairs]
        if sides is not None:
            others.append(re.sub(rf"(?<![^\W_]){sides[0]}(?![^\W_])", sides[1], key))
        other = next((other for other in others if other != key and other in names), None)
        if other is not None and _SCORE.search(key):
            scores.append((key, other))
    verdicts = tuple(key for key in names if _VERDICT.search(key)) if sides is not None else ()
    return _Beside(sides, verdicts, tuple(scores))


def _sides(chosen: str, rejected: str) -> tuple[str, str] | None:
    """Return the parts that tell two names apart, where these number them and say of neither that it is
    better."""
    begin = _n_alike(chosen, rejected)
    one, other = chosen[begin:], rejected[begin:]
    if end := _n_alike(one[::-1], other[::-1]):
        one, other = one[:-end], other[:-end]
    return (one, other) if _SIDE.fullmatch(one) and _SIDE.fullmatch(other) else None


def _n_alike(one: str, other: str) -> int:
    """Count the characters with which two texts begin alike."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((n for n, (a, b) in pairs if a != b), min(len(one), len(other)))


def _side(value: object, sides: tuple[str, str] | None) -> int | None:
    """Return 0 for the first side, 1 for the second, None for a value that says neither."""
    if sides is None or isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    said = str(int(value) if isinstance(value, float) and value.is_integer() else value).strip().lower()
    for place, side in enumerate(sides):
        if re.fullmatch(rf"(?:\w+[\W_])?{side.lower()}(?:[\W_]\w+)?", said):
            return place
    return None


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    try:
        return float(value)
    except ValueError:
        return None
