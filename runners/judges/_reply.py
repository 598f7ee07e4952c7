"""Reads what a judge wrote: JSON of the form `{aspect: {"reason": …, "score": …}}`, wherever in the reply it stands.

A reply is hostile text: the answer that is judged may have talked the judge into anything. What is not plainly one score from 1 to 5
is none.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass

_MOST_OBJECTS = 200  # a reply of nothing but braces must not take minutes
_NOT_APPLICABLE = frozenset({"n/a", "na", "none", "not applicable", "null"})


@dataclass(frozen=True)
class Found:
    """What a reply says on one aspect."""

    score: int | None
    why_not: str | None = None
    """Why there is no score."""
    reason: str | None = None
    """The judge's reason for its score."""


def read_reply(reply: str, aspect: str) -> Found:
    """The score a reply gives an aspect, or why it gives none."""
    said = [given for given in (_of_aspect(value, aspect) for value in _objects(reply)) if given is not None]
    found = [_read(given) for given in said]
    if not found:
        return Found(None, "the reply holds no JSON" if "{" not in reply else f"the reply has no JSON on {aspect}")
    if len({one.score for one in found}) > 1:
        return Found(None, f"the reply gives {aspect} different scores")
    return found[0]


def _objects(reply: str) -> Iterator[dict[str, object]]:
    """Every JSON object in the text that is not part of another."""
    decoder = json.JSONDecoder(strict=False)  # reasons hold line breaks that JSON would want escaped
    at = reply.find("{")
    for _ in range(_MOST_OBJECTS):
        if at < 0:
            return
        try:
            value, end = decoder.raw_decode(reply, at)
            yield value
        except (ValueError, RecursionError):
            end = at + 1
        at = reply.find("{", end)


def _of_aspect(value: dict[str, object], aspect: str) -> object:
    """What stands under the aspect's name, however it is capitalised."""
    return next((given for key, given in value.items() if key.strip().casefold() == aspect.casefold()), None)


def _read(given: object) -> Found:
    if isinstance(given, dict) and "score" not in given:
        return Found(None, "the reply gives a reason and no score")
    reason, score = (given.get("reason"), given["score"]) if isinstance(given, dict) else (None, given)
    if score is None or (isinstance(score, str) and score.strip().casefold() in _NOT_APPLICABLE):
        return Found(None, "the judge holds the aspect not applicable")
    if isinstance(score, bool) or not isinstance(score, str | int | float):
        return Found(None, f"a {type(score).__name__} is not a score from 1 to 5")
    level = re.fullmatch(r"\s*([1-5])(?:\.0+)?(?:\s*/\s*5)?\s*", str(score))
    if level is None:
        return Found(None, f"{str(score)[:40]!r} is not a score from 1 to 5")
    return Found(int(level[1]), reason=reason if isinstance(reason, str) else None)
