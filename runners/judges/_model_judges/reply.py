"""Reads what a judge wrote: JSON of the form `{aspect: {"reason": …, "score": …}}`, wherever in the reply it
stands.

A reply is hostile text: the answer that is judged may have talked the judge into anything. What is not
plainly one score on the scale is none. "N/A" is none either, unless a study asks for it to count as some
score, as just-eval counts it as 5.
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
    """A level of the scale, from 1 on."""
    why_not: str | None = None
    """Why there is no score."""
    reason: str | None = None
    """The judge's own reason."""


def read_reply(reply: str, aspect: str, highest: int = 5, na_as: int | None = None) -> Found:
    """The score from 1 to `highest` that a reply gives an aspect, or why it gives none. `na_as` is the score
    that "N/A" counts as."""
    said = [given for given in (_of_aspect(value, aspect) for value in objects(reply)) if given is not None]
    found = [_read(given, highest, na_as) for given in said]
    if not found:
        return Found(
            None, "the reply holds no JSON" if "{" not in reply else f"the reply has no JSON on {aspect}"
        )
    if len({one.score for one in found}) > 1:
        return Found(None, f"the reply gives {aspect} different scores")
    return found[0]


@dataclass(frozen=True)
class Doubled:
    """Stands for the values of a key that an object has more than once, with values that differ."""

    values: tuple[object, ...]


def objects(reply: str) -> Iterator[dict[str, object]]:
    """Every JSON object in the text that is not part of another, nor of one that cannot be read: what a
    broken object holds may be words of the answer, quoted in a reason without the marks that JSON wants."""
    # reasons hold line breaks that JSON would want escaped
    decoder = json.JSONDecoder(strict=False, object_pairs_hook=_as_object)
    at, looked, depth = reply.find("{"), 0, 0
    for _ in range(_MOST_OBJECTS):
        if at < 0:
            return
        for brace in re.findall("[{}]", reply[looked:at]):
            depth = depth + 1 if brace == "{" else max(0, depth - 1)
        looked = at
        try:
            value, end = decoder.raw_decode(reply, at)
            looked = end
            if depth == 0:
                yield value
        except (ValueError, RecursionError):
            end = at + 1
        at = reply.find("{", end)


def _as_object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found: dict[str, object] = {}
    for key, value in pairs:
        found[key] = value if key not in found or found[key] == value else Doubled((found[key], value))
    return found


def _of_aspect(value: dict[str, object], aspect: str) -> object:
    """What stands under the aspect's name, however it is capitalised."""
    found = [given for key, given in value.items() if key.strip().casefold() == aspect.casefold()]
    return Doubled(tuple(found)) if any(given != found[0] for given in found) else found[0] if found else None


def _read(given: object, highest: int, na_as: int | None) -> Found:
    if isinstance(given, Doubled) or (isinstance(given, dict) and isinstance(given.get("score"), Doubled)):
        return Found(None, "the reply gives different scores under one name")
    if isinstance(given, dict) and "score" not in given:
        return Found(None, "the reply gives a reason and no score")
    why, score = (given.get("reason"), given["score"]) if isinstance(given, dict) else (None, given)
    reason = why if isinstance(why, str) else None
    if score is None or (isinstance(score, str) and score.strip().casefold() in _NOT_APPLICABLE):
        if na_as is None:
            return Found(None, "the judge holds the aspect not applicable", reason)
        return Found(na_as, reason=f"N/A, counted as {na_as}" + (f": {reason}" if reason else ""))
    if isinstance(score, bool) or not isinstance(score, str | int | float):
        return Found(None, f"a {type(score).__name__} is not a score from 1 to {highest}")
    level = re.fullmatch(rf"\s*([1-9]\d?)(?:\.0+)?(?:\s*/\s*{highest})?\s*", str(score))
    if level is None or int(level[1]) > highest:
        return Found(None, f"{str(score)[:40]!r} is not a score from 1 to {highest}")
    return Found(int(level[1]), reason=reason)
