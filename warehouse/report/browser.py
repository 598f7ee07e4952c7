"""The answers that the page lets a reader look through, packed as JSON.

Model output is hostile text. It enters the page as JSON in which no character can end the element that holds
it, and leaves it through `textContent` only: nothing a model wrote is ever read as HTML.
"""

import hashlib
import json
import re
from typing import Any

from markupsafe import Markup

from warehouse.charts.theme import Order, Row, Rows, label

MOST_ANSWERS = 2_000
MOST_BYTES = 3_000_000
LONGEST_TEXT = 20_000
"""Characters of one text; the rest is in the warehouse."""

_ESCAPES = str.maketrans({character: f"\\u{ord(character):04x}" for character in "<>&\u2028\u2029"})


def pick_items(counts: Rows) -> dict[str, list[str]]:
    """Pick the items to show of each data set: whole ones, drawn by hash.

    At most `MOST_ANSWERS` answers, and not from the head of the file.

    One item is always there. `counts` has a row per data set and item, with `n` answers over languages and
    methods.
    """
    drawn = sorted(
        counts, key=lambda row: hashlib.sha256(f"{row['dataset']}/{row['item']}".encode()).digest()
    )
    picked: dict[str, list[str]] = {}
    total = 0
    for row in drawn:
        if total and total + row["n"] > MOST_ANSWERS:
            break
        total += row["n"]
        picked.setdefault(row["dataset"], []).append(row["item"])
    return picked


def pack(completions: Rows, order: Order) -> dict[str, Any]:
    """Return the answers by data set, item and language, as the page's script reads them.

    The last items are left out where bytes run out.
    """
    groups: dict[tuple[str, str, int | None], list[Row]] = {}
    for row in completions:
        groups.setdefault((row["dataset"], row["item"], row["turn"]), []).append(row)
    heads = _heads(completions)
    packed: dict[str, Any] = {"heads": list(dict.fromkeys(heads.values())), "items": [], "n_answers": 0}
    places = {head: place for place, head in enumerate(packed["heads"])}
    size = sum(map(_bytes, packed["heads"]))
    for (dataset, item, turn), answers in sorted(
        groups.items(), key=lambda group: (group[0][0], _natural(group[0][1]), group[0][2] or 0)
    ):
        rows = _of_first_seeds(answers)
        name = item if turn is None else f"{item}, turn {turn}"
        entry = {"dataset": dataset, "item": name, "languages": _languages(rows, order, heads, places)}
        size += _bytes(entry)
        if size > MOST_BYTES and packed["items"]:
            break
        packed["items"].append(entry)
        packed["n_answers"] += len(rows)
    return packed


def _of_first_seeds(rows: list[Row]) -> list[Row]:
    """An item's answers; where there are too many, those with the first seeds, one seed at least."""
    kept: list[Row] = []
    for seed in sorted({row["seed"] for row in rows}, key=lambda seed: -1 if seed is None else seed):
        of_seed = [row for row in rows if row["seed"] == seed]
        if kept and len(kept) + len(of_seed) > MOST_ANSWERS:
            break
        kept += of_seed
    return kept


def as_script(packed: dict[str, Any]) -> Markup:
    """Return JSON for a `<script>` element: without `<`, `>`, `&`, U+2028 and U+2029."""
    return Markup(
        json.dumps(packed, ensure_ascii=False, allow_nan=False, separators=(",", ":")).translate(_ESCAPES)
    )


def _languages(
    rows: list[Row], order: Order, heads: dict[str, str], places: dict[str, int]
) -> list[dict[str, Any]]:
    present = {row["language"] for row in rows}
    found: list[dict[str, Any]] = []
    for language in [code for code in order.languages if code in present] + sorted(
        present - set(order.languages)
    ):
        here = order.sort(row for row in rows if row["language"] == language)
        first = here[0]
        found.append(
            {
                "language": language,
                "instruction": _cut(first["instruction"]),
                "category": first["category"],
                "accepted": list(first["accepted_answers"] or ()),
                "reference": _cut(first["reference"]),
                "answers": [_answer(row, order, heads, places) for row in here],
            }
        )
    return found


def _answer(row: Row, order: Order, heads: dict[str, str], places: dict[str, int]) -> dict[str, Any]:
    head = heads[row["cell_id"]]
    return {
        "label": label(row, order) + ("" if row["seed"] is None else f", seed {row['seed']}"),
        "cell": row["cell_id"],
        "text": _cut(row["text"]),
        "raw": None if row["raw_text"] == row["text"] else _cut(row["raw_text"]),
        "finish": row["finish_reason"],
        "stop": row["stop_string"],
        "error": row["error"],
        "tokens": row["n_new_tokens"],
        "head": places[head],
        "prompt": _cut((row["prompt"] or "")[len(head) :]),
        "scores": [
            [s["measure"], s["score"], s["unscored_reason"], _cut(s["reason"])] for s in row["scores"] or ()
        ],
    }


def _heads(completions: Rows) -> dict[str, str]:
    """Return each cell's common prefix of prompts, to be stored once.

    In-context examples are the same for every item.
    """
    prompts: dict[str, list[str]] = {}
    for row in completions:
        prompts.setdefault(row["cell_id"], []).append(row["prompt"] or "")
    return {cell: _shared(min(texts), max(texts))[:LONGEST_TEXT] for cell, texts in prompts.items()}


def _shared(first: str, last: str) -> str:
    """Return the common prefix of the first and last in sorted order, and so of all between."""
    end = next(
        (place for place, (a, b) in enumerate(zip(first, last, strict=False)) if a != b),
        min(len(first), len(last)),
    )
    return first[:end]


def _cut(text: str | None) -> str | None:
    if text is None or len(text) <= LONGEST_TEXT:
        return text
    return f"{text[:LONGEST_TEXT]}\n[{len(text) - LONGEST_TEXT:,} more characters are in the warehouse]"


def _bytes(value: Any) -> int:
    return len(json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass"))


def _natural(item: str) -> list[tuple[int, str]]:
    """Sorts `2` before `10`: a number by its length first. Not by its value, which may be of any size."""
    parts = re.split(r"([0-9]+)", item)  # text and digits in turn
    return [
        (len(part.lstrip("0")), part.lstrip("0")) if place % 2 else (-1, part)
        for place, part in enumerate(parts)
    ]
