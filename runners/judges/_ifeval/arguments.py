"""Arguments of instructions: each reader takes a value of the data and returns what a checker needs."""

import operator
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, cast

RELATIONS: dict[str, Callable[[int, int], bool]] = {
    "at least": operator.ge,
    "less than": operator.lt,
    "at most": operator.le,
    "au moins": operator.ge,
    "moins de": operator.lt,
    "al menos": operator.ge,
    "como máximo": operator.le,
    "以上": operator.ge,
    "未満": operator.lt,
}
"""Relations of a count found in the text to the number asked for."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """Followed or not, true or false accordingly, where chance has a part in it."""

    followed: bool
    note: str
    """The share of the draws that gave it, such as `en by 9 of 11 seeds`."""

    def __bool__(self) -> bool:
        return self.followed


class Checker(Protocol):
    """Check of a text: does it follow the instruction?

    `language` is the instruction's own: `en`, `fr`, `es` or `ja`.
    """

    def __call__(self, text: str, kwargs: Mapping[str, Any], language: str, /) -> bool | Outcome: ...


def whole(value: object) -> int:
    """A whole number, not negative; Parquet may hold it as 3.0."""
    if (
        isinstance(value, int | float)
        and not isinstance(value, bool)
        and value >= 0
        and float(value).is_integer()
    ):
        return int(value)
    raise ValueError("is no whole number")


def text(value: object) -> str:
    """A text with something in it, in Unicode's composed form as the answers are."""
    if isinstance(value, str) and value.strip():
        return unicodedata.normalize("NFC", value.strip())
    raise ValueError("is no text")


def texts(value: object) -> tuple[str, ...]:
    """At least one text."""
    if isinstance(value, list) and value:
        return tuple(text(one) for one in cast("list[object]", value))
    raise ValueError("is no list of texts")


def spellings(value: object) -> dict[str, str]:
    """Pairs of texts, the left one in small letters."""
    if isinstance(value, dict) and value:
        return {
            text(left).lower(): text(right).lower()
            for left, right in cast("dict[object, object]", value).items()
        }
    raise ValueError("is no mapping of texts")


def relation(value: object) -> Callable[[int, int], bool]:
    """`compare(found, asked)`."""
    if isinstance(value, str) and value in RELATIONS:
        return RELATIONS[value]
    raise ValueError(f"is none of {', '.join(RELATIONS)}")
