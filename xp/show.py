"""Prompts, answers and verdicts of cells, for reading on a terminal."""

from pathlib import Path
from typing import Any

from duckdb import DuckDBPyConnection

from dsl.errors import ArgumentError
from dsl.messages import suggest
from warehouse.connect import connect
from warehouse.report.answer_rows import faults
from warehouse.statements import fetch
from xp.render.answers import answer_as_text

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
        named = cells_named(connection, cell)
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
        names = dict.fromkeys(row["experiment"] for row in rows)
        looked_for = {name: faults(connection, name) for name in names}
    shown = [
        answer_as_text(row, looked_for[row["experiment"]], with_prompt=item is None or at == 0)
        for at, row in enumerate(rows[: limit if item is None else None])
    ]
    more = f"\n\n{len(rows)} of {total} answers; --limit shows more" if len(rows) < total else ""
    return "\n\n".join(shown) + more


def cells_named(connection: DuckDBPyConnection, cell: str) -> list[dict[str, Any]]:
    """The cells that `cell` names, as of `show`. Raises ArgumentError where none is."""
    cells = fetch(
        connection,
        "select * from cells order by experiment, dataset, language, model, method, train_languages, seed",
    )
    named = [found for found in cells if _is_named(found, cell)]
    if not named:
        raise ArgumentError(f"no cell is named `{cell}`. {suggest(cell, _coordinates(cells))}")
    return named


def _is_named(cell: dict[str, Any], words: str) -> bool:
    if cell["cell_id"].startswith(words):
        return True
    experiment, _, rest = words.rpartition(":")
    has = {str(cell[word]) for word in WORDS}
    return experiment in ("", cell["experiment"]) and all(word in has for word in rest.split("/"))


def _coordinates(cells: list[dict[str, Any]]) -> list[str]:
    return sorted({str(cell[word]) for cell in cells for word in WORDS if cell[word] not in (None, "")})
