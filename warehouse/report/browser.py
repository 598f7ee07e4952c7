"""The answers that the page lets a reader look through, packed as JSON.

Model output is hostile text. It enters the page as JSON in which no character can end the element that holds
it, and leaves it through `textContent` only: nothing a model wrote is ever read as HTML.

A link to answers is a fragment, the same in a report and in `xp view`:

    #answers?method=urial&language=fr&measure=correct&only=wrong

Each part is optional, and its value is encoded as in any URL: `dataset`, `language`, `category`, `model`,
`method`, `train_languages` (as the columns of these names), `measure` (which `only` and `sort` speak of),
`only` (`wrong`, `disagree`, `unscored`, `cut` or `failed`), `search` (a text), `sort` (`lowest` or `highest`
score; a `method` that is `worse` or `better` than that of `against`), `against` (a method, whose words are
compared) and `answer` (`<cell_id>/<item>`, one answer). `answers_link` writes them.
"""

import hashlib
import json
import re
from collections.abc import Hashable
from typing import Any, Generic, TypeVar
from urllib.parse import quote, urlencode

from markupsafe import Markup

from warehouse.charts.theme import Order, Row, Rows, label, place

MOST_ANSWERS = 5_000
MOST_BYTES = 3_000_000
LONGEST_TEXT = 20_000
"""Characters of one text; the rest is in the warehouse."""

_Value = TypeVar("_Value")

_ESCAPES = str.maketrans({character: f"\\u{ord(character):04x}" for character in "<>&\u2028\u2029"})


def answers_link(**parts: str) -> str:
    """Return the link to the answers of these properties, as the module says."""
    return f"#answers?{urlencode({key: value for key, value in parts.items() if value}, quote_via=quote)}"


def pick_items(counts: Rows) -> dict[str, list[str]]:
    """Pick the items to show of each data set: whole ones, drawn by hash.

    At most `MOST_ANSWERS` answers, and not from the head of the file.

    One item is always there. `counts` has a row per data set and item, with `n` answers over languages and
    methods.
    """
    picked: dict[str, list[str]] = {}
    total = 0
    for row in sorted(counts, key=_drawn):
        if total and total + row["n"] > MOST_ANSWERS:
            break
        total += row["n"]
        picked.setdefault(row["dataset"], []).append(row["item"])
    return picked


def sample(completions: Rows) -> list[Row]:
    """Return the answers that the page has bytes for: whole items, in the order of `pick_items`.

    One item is always there, with the answers of its first seeds where there are too many.
    """
    items: dict[tuple[str, str], list[Row]] = {}
    for row in sorted(completions, key=_drawn):
        items.setdefault((row["dataset"], row["item"]), []).append(row)
    heads = _heads(completions)
    kept: list[Row] = []
    size = sum(map(_bytes, set(heads.values())))
    for rows in items.values():
        rows = _of_first_seeds(rows)
        size += sum(_size(row) - len(heads[row["cell_id"]]) for row in rows)
        if kept and size > MOST_BYTES:
            break
        kept += rows
    return kept


def in_reading_order(rows: Rows, order: Order) -> list[Row]:
    """Sort answers by data set, language and method, then by item, as a reader goes through them."""
    return sorted(
        order.sort(sorted(rows, key=lambda row: _natural(row["item"]))),
        key=lambda row: (
            row["dataset"],
            place(order.languages, row["language"]),
            place(order.methods, row["method"]),
        ),
    )


def pack(rows: Rows, order: Order) -> dict[str, Any]:
    """Return answers, in the order of the rows, as the page's script reads them.

    Questions and the beginnings that prompts share stand apart, once each.
    """
    heads, questions, beginnings = _heads(rows), _Places[dict[str, Any]](), _Places[str]()
    answers = [_answer(row, order, heads[row["cell_id"]], beginnings, questions) for row in rows]
    return {"heads": beginnings.values, "questions": questions.values, "answers": answers}


def as_script(packed: dict[str, Any]) -> Markup:
    """Return JSON for a `<script>` element: without `<`, `>`, `&`, U+2028 and U+2029."""
    return Markup(
        json.dumps(packed, ensure_ascii=False, allow_nan=False, separators=(",", ":")).translate(_ESCAPES)
    )


def _drawn(row: Row) -> bytes:
    """Return the sort key of the draw: the SHA-256 of data set and item."""
    return hashlib.sha256(f"{row['dataset']}/{row['item']}".encode()).digest()


def _of_first_seeds(rows: list[Row]) -> list[Row]:
    """An item's answers; where there are too many, those with the first seeds, one seed at least."""
    kept: list[Row] = []
    for seed in sorted({row["seed"] for row in rows}, key=lambda seed: -1 if seed is None else seed):
        of_seed = [row for row in rows if row["seed"] == seed]
        if kept and len(kept) + len(of_seed) > MOST_ANSWERS:
            break
        kept += of_seed
    return kept


class _Places(Generic[_Value]):
    """Values, each kept once, and their places."""

    def __init__(self) -> None:
        self.values: list[_Value] = []
        self._places: dict[Hashable, int] = {}

    def place(self, key: Hashable, value: _Value) -> int:
        """Return the place of the value that is known by `key`."""
        if key not in self._places:
            self._places[key] = len(self.values)
            self.values.append(value)
        return self._places[key]


def _question(row: Row) -> dict[str, Any]:
    return {
        **{key: row[key] for key in ("dataset", "item", "turn", "language", "category")},
        "instruction": _cut(row["instruction"]),
        "accepted": list(row["accepted_answers"] or ()),
        "reference": _cut(row["reference"]),
    }


def _answer(
    row: Row, order: Order, head: str, beginnings: _Places[str], questions: _Places[dict[str, Any]]
) -> dict[str, Any]:
    key = (row["dataset"], row["item"], row["turn"], row["language"])
    return {
        "question": questions.place(key, _question(row)),
        "label": label(row, order) + ("" if row["seed"] is None else f", seed {row['seed']}"),
        **{key: row[key] for key in ("model", "method", "train_languages")},
        "cell": row["cell_id"],
        "text": _cut(row["text"]),
        "raw": None if row["raw_text"] == row["text"] else _cut(row["raw_text"]),
        "finish": row["finish_reason"],
        "stop": row["stop_string"],
        "error": row["error"],
        "tokens": row["n_new_tokens"],
        "head": beginnings.place(head, head),
        "prompt": _cut((row["prompt"] or "")[len(head) :]),
        "disputed": row["is_disputed"],
        "scores": [
            [s["measure"], s["score"], s["unscored_reason"], _cut(s["reason"]), bool(s["is_wrong"])]
            for s in row["scores"] or ()
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


def _size(row: Row) -> int:
    """Return about how many bytes an answer takes in the page."""
    texts = ("instruction", "prompt", "text", "raw_text", "reference")
    reasons = (verdict["reason"] for verdict in row["scores"] or ())
    return sum(_bytes(_cut(text)) for text in (*(row[text] for text in texts), *reasons) if text) + 400


def _bytes(value: Any) -> int:
    return len(json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass"))


def _natural(item: str) -> list[tuple[int, str]]:
    """Sorts `2` before `10`: a number by its length first. Not by its value, which may be of any size."""
    parts = re.split(r"([0-9]+)", item)  # text and digits in turn
    return [
        (len(part.lstrip("0")), part.lstrip("0")) if place % 2 else (-1, part)
        for place, part in enumerate(parts)
    ]
