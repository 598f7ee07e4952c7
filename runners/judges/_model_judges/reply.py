"""Parser of a judge's reply: JSON `{aspect: {"reason": …, "score": …}}`, wherever in the text it stands.

A reply is hostile text: the answer that is judged may have talked the judge into anything. What is not
plainly one score on the scale is none. "N/A" is none either, unless a study asks for it to count as some
score, as just-eval counts it as 5.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast

_MOST_OBJECTS = 200  # a reply of nothing but braces must not take minutes
_NOT_APPLICABLE = frozenset({"n/a", "na", "none", "not applicable", "null"})


@dataclass(frozen=True)
class ReadScore:
    """A reply's score on one aspect, or the reason for none."""

    score: int | None
    """A level of the scale, from 1 on."""
    why_not: str | None = None
    """The reason for no score."""
    reason: str | None = None
    """The judge's own reason."""


def read_reply(reply: str, aspect: str, highest: int = 5, na_as: int | None = None) -> ReadScore:
    """Read the score from 1 to `highest` that a reply gives an aspect, or the reason for none.

    `na_as` is the score that "N/A" counts as.
    """
    values = [given for given in (_of_aspect(value, aspect) for value in objects(reply)) if given is not None]
    found = [_read(given, highest, na_as) for given in values]
    if not found:
        return ReadScore(
            None, "the reply holds no JSON" if "{" not in reply else f"the reply has no JSON on {aspect}"
        )
    if len({one.score for one in found}) > 1:
        return ReadScore(None, f"the reply gives {aspect} different scores")
    return found[0]


@dataclass(frozen=True)
class Doubled:
    """Values of a key that an object has more than once, with values that differ."""

    values: tuple[object, ...]


def objects(reply: str) -> Iterator[dict[str, object]]:
    """Yield every JSON object in the text that is not part of another, nor of one that cannot be read.

    A broken object may hold words of the answer, quoted in a reason without the marks that JSON wants.
    """
    # reasons hold line breaks that JSON would want escaped
    decoder = json.JSONDecoder(strict=False, object_pairs_hook=_from_pairs)
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


def as_object(value: object) -> dict[str, object] | None:
    """Return a value of JSON as an object; None where it is none."""
    return cast("dict[str, object]", value) if isinstance(value, dict) else None


def writable(text: str) -> str:
    """Replace halves of surrogate pairs, which JSON can name and UTF-8 cannot hold."""
    return text.encode("utf-8", "replace").decode()


def _from_pairs(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found: dict[str, object] = {}
    for key, value in pairs:
        found[key] = value if key not in found or found[key] == value else Doubled((found[key], value))
    return found


def _of_aspect(value: dict[str, object], aspect: str) -> object:
    """Return the value under the aspect's name, however it is capitalised."""
    found = [given for key, given in value.items() if key.strip().casefold() == aspect.casefold()]
    return Doubled(tuple(found)) if any(given != found[0] for given in found) else found[0] if found else None


def _read(given: object, highest: int, na_as: int | None) -> ReadScore:
    parts = as_object(given)
    if isinstance(given, Doubled) or (parts is not None and isinstance(parts.get("score"), Doubled)):
        return ReadScore(None, "the reply gives different scores under one name")
    if parts is not None and "score" not in parts:
        return ReadScore(None, "the reply gives a reason and no score")
    why, score = (None, given) if parts is None else (parts.get("reason"), parts["score"])
    reason = why if isinstance(why, str) else None
    if score is None or (isinstance(score, str) and score.strip().casefold() in _NOT_APPLICABLE):
        if na_as is None:
            return ReadScore(None, "the judge holds the aspect not applicable", reason)
        return ReadScore(na_as, reason=f"N/A, counted as {na_as}" + (f": {reason}" if reason else ""))
    if isinstance(score, bool) or not isinstance(score, str | int | float):
        return ReadScore(None, f"a {type(score).__name__} is not a score from 1 to {highest}")
    level = re.fullmatch(rf"\s*([1-9]\d?)(?:\.0+)?(?:\s*/\s*{highest})?\s*", str(score))
    if level is None or int(level[1]) > highest:
        return ReadScore(None, f"{str(score)[:40]!r} is not a score from 1 to {highest}")
    return ReadScore(int(level[1]), reason=reason)
