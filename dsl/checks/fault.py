"""A fault of a spec, as a check finds it."""

from collections.abc import Iterable, Iterator
from typing import Literal, NamedTuple

from dsl.errors import Level
from dsl.messages import Path, suggest


class Fault(NamedTuple):
    """A message, and the place in the spec that it is about."""

    path: Path
    message: str
    level: Level = "error"
    on: Literal["value", "key"] = "value"
    """The part of a setting that the place is of."""


def unknown_name(path: Path, name: str, allowed: Iterable[str], noun: str) -> Iterator[Fault]:
    """One fault where a name is not among the allowed ones. `noun` says what it should name."""
    known = tuple(allowed)
    if name not in known:
        yield Fault(path, f"there is no {noun} `{name}`. {suggest(name, known)}")
