"""Repair of rows that cannot be loaded: each is replaced by a row with the reason.

Used only where loading the rows as they are has failed.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

from pydantic import ValidationError

from dsl.data.records import Completion, Example, RefLogps, TrainMetric, Trial, Verdict, why_invalid
from dsl.messages import one_line
from dsl.values import Value

_KINDS: dict[str, type[Value]] = {
    "examples.jsonl": Example,
    "completions.jsonl": Completion,
    "verdicts.jsonl": Verdict,
    "ref_logps.jsonl": RefLogps,
    "metrics.jsonl": TrainMetric,
    "trials.jsonl": Trial,
}
"""A file's name -> the class of its rows."""

_PLACE = {
    "examples.jsonl": ("item",),
    "completions.jsonl": ("item",),
    "verdicts.jsonl": ("judge", "item", "against", "aspect"),
}
"""Fields that no two rows of a file share."""

_UNBOUNDED = {"seed"}
"""Whole numbers with more than 64 bits of room in their column."""


def repair(rows: Path, repaired: Path, longest: int) -> int:
    """Copy the rows of a file that can be loaded, and replace the others.

    A replacement has the row's item and the reason, where its kind has a field for one.

    Args:
        longest: bytes of the longest line that can be loaded.

    Returns:
        How many rows are not as they were.
    """
    n_changed = 0
    places: set[tuple[object, ...]] = set()
    with rows.open("rb") as lines, repaired.open("wb") as out:
        for line in lines:
            row, why = _parsed(line, _KINDS[rows.name], longest)
            if row is not None and rows.name in _PLACE:
                place = tuple(getattr(row, name) for name in _PLACE[rows.name])
                if place in places:
                    row, why = None, "it is there twice"
                places.add(place)
            if why:
                n_changed += 1
                row = row and _explained(row, why)
            if row is not None:
                out.write(row.model_dump_json().encode() + b"\n")
    return n_changed


def _parsed(line: bytes, kind: type[Value], longest: int) -> tuple[Value | None, str]:
    """The row, if it is one, and why it cannot be loaded, if it cannot."""
    try:
        row = kind.model_validate_json(line)
    except ValidationError as error:
        return None, why_invalid(error)
    if len(line) > longest:
        return row, f"the row has {len(line):,} bytes, more than the {longest:,} that can be loaded"
    for name, value in _numbers(row):
        if not -(2**63) <= value < 2**63:
            return row, f"`{name}` is beyond 64 bits"
    try:
        line.decode()
        json.loads(line)
    except (ValueError, RecursionError) as error:
        return row, one_line(str(error))[:300]
    return row, ""


def _numbers(row: Value) -> Iterator[tuple[str, int]]:
    for name, value in row:
        if isinstance(value, int) and name not in _UNBOUNDED:
            yield name, value


def _explained(row: Value, why: str) -> Value | None:
    """Return a row in the same place with the reason; None for a kind of row without a field for it."""
    why = f"cannot be loaded: {why}"
    gone: dict[str, Any] = dict.fromkeys(cast("dict[str, Any]", type(row).model_fields).keys() & _DETAILS)
    if isinstance(row, Completion):
        return row.model_copy(
            update={
                **gone,
                "prompt": "",
                "finish_reason": "error",
                "error": why,
                "max_new_tokens": min(row.max_new_tokens, 2**63 - 1),
            }
        )
    if isinstance(row, Verdict):
        return row.model_copy(update={**gone, "unscored_reason": why})
    return None


_DETAILS = {
    *(
        "text",
        "raw_text",
        "stop_string",
        "n_prompt_tokens",
        "n_new_tokens",
        "seconds",
        "batch_size",
        "model_served",
    ),
    *("score", "reason", "distribution", "parts", "raw", "usd"),
}
"""Fields that may be null."""
