"""Prompts, answers and verdicts of cells, for reading on a terminal. Model output is text from outside: it is
shown escaped."""

import json
from pathlib import Path
from typing import Any

from dsl.errors import ArgumentError
from dsl.messages import escaped, suggest
from warehouse.connect import connect
from warehouse.query import fetch

WORDS = ("dataset", "language", "model", "method", "train_languages", "seed")


def show(warehouse: Path, cell: str, item: str | None, limit: int) -> str:
    """The answers of the cells that `cell` names, or every method's answer to one item.

    Args:
        cell: a cell id (or its beginning), or words that must each be one of a cell's coordinates, as
            `urial/fr`; `experiment:` may lead.

    Raises:
        ArgumentError: no cell is named so.
    """
    with connect(warehouse, read_only=True) as connection:
        cells = fetch(
            connection,
            "select * from cells order by experiment, dataset, language, model, method, train_languages,"
            " seed",
        )
        named = [found for found in cells if _is_named(found, cell)]
        if not named:
            raise ArgumentError(f"no cell is named `{cell}`. {suggest(cell, _coordinates(cells))}")
        if item is None:
            ids = [found["cell_id"] for found in named]
            rows = fetch(
                connection,
                "select * from completion_browser where list_contains($1, cell_id) limit $2",
                [ids, limit],
            )
            total = fetch(
                connection,
                "select count(*) as n from completion_browser where list_contains($1, cell_id)",
                [ids],
            )[0]["n"]
        else:
            keys = list(
                dict.fromkeys((found["experiment"], found["dataset"], found["language"]) for found in named)
            )
            sql = (
                "select * from completion_browser where experiment = $1 and dataset = $2 and language = $3"
                " and item = $4"
            )
            rows = [row for key in keys for row in fetch(connection, sql, [*key, item])]
            total = len(rows)
            if not rows:
                raise ArgumentError(f"`{cell}` has no item `{item}`")
    shown = [
        _as_text(row, with_prompt=item is None or at == 0)
        for at, row in enumerate(rows[: limit if item is None else None])
    ]
    more = f"\n\n{len(rows)} of {total} answers; --limit shows more" if len(rows) < total else ""
    return "\n\n".join(shown) + more


def _is_named(cell: dict[str, Any], words: str) -> bool:
    if cell["cell_id"].startswith(words):
        return True
    experiment, _, rest = words.rpartition(":")
    has = {str(cell[word]) for word in WORDS}
    return experiment in ("", cell["experiment"]) and all(word in has for word in rest.split("/"))


def _coordinates(cells: list[dict[str, Any]]) -> list[str]:
    return sorted({str(cell[word]) for cell in cells for word in WORDS if cell[word] not in (None, "")})


def _as_text(row: dict[str, Any], *, with_prompt: bool) -> str:
    tuned = f" · tuned on {row['train_languages']}" if row["train_languages"] else ""
    seed = "" if row["seed"] is None else f" · seed {row['seed']}"
    head = (
        f"━━ {_safe(row['item'])} · {row['language']} · {row['model']} · {row['method']}{tuned}{seed} "
        f" ({row['cell_id']})"
    )
    parts = [head, f"asked: {_safe(row['instruction'])}"]
    if with_prompt and row["prompt"]:
        parts.append(f"prompt:\n{_indented(row['prompt'])}")
    if row["text"] is None:
        parts.append(f"no answer ({row['finish_reason']}): {_safe(row['error'])}")
    else:
        how = (
            f"{row['finish_reason']}{', ' + repr(row['stop_string']) if row['stop_string'] else ''},"
            f" {row['n_new_tokens']} tokens"
        )
        parts.append(f"answer ({how}):\n{_indented(row['text'])}")
    for verdict in row["scores"] or ():
        pieces: dict[str, float] = json.loads(verdict["parts"] or "null") or {}
        made_from = (
            f" ({', '.join(f'{_safe(name)}: {_number(score)}' for name, score in pieces.items())})"
            if pieces
            else ""
        )
        if verdict["score"] is None:
            parts.append(
                f"  {_safe(verdict['measure'])}: unscored{made_from}, {_safe(verdict['unscored_reason'])}"
            )
        else:
            why = f"  {_safe(verdict['reason'])}" if verdict["reason"] else ""
            parts.append(f"  {_safe(verdict['measure'])}: {_number(verdict['score'])}{made_from}{why}")
    return "\n".join(parts)


def _number(score: float) -> str:
    """With three digits, or as many as a whole number has."""
    return f"{score:.0f}" if abs(score) >= 100 else f"{score:.3g}"


def _indented(text: str) -> str:
    return "\n".join("  " + _safe(line) for line in text.split("\n"))


def _safe(text: str | None) -> str:
    """On one line, without what could drive a terminal."""
    return escaped(text or "").replace("\n", "\\n")
