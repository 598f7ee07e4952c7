"""Rows of a study's answers: those of some items for the report, and pages of all of them.

A page is found by keyset: it begins behind the last answer of the page before, so that the hundredth costs no
more than the first. Without a sort it reads a few cells at a time until it is full, and its answers are in
the order of cells; with one, the whole study's scores on one measure.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Self

import duckdb
import jinja2

from dsl.errors import ArgumentError
from warehouse.charts.theme import Order, Row
from warehouse.query import fetch

PAGE = 50
"""Answers of a page."""

SQL = Path(__file__).parent / "sql"

BATCH = 200_000
"""Answers that are looked through at once; then four times as many, until the page is full."""

SNIPPET = 300
"""Characters of an answer in a list."""

ONLY = {
    "": "true",
    "wrong": "verdict.is_wrong",
    "disagree": "true",
    "unscored": "verdict.score is null",
    "cut": "completion.finish_reason = 'length'",
    "failed": "completion.text is null",
}
"""Name of a filter -> its condition."""

SORTS = {
    "": "0::double",
    "lowest": "verdict.score",
    "highest": "-verdict.score",
    "worse": "verdict.score - other.score",
    "better": "other.score - verdict.score",
}
"""Name of a sort -> its key, lowest first."""

OF_CELLS = ("dataset", "language", "model", "method", "train_languages")
"""Properties of an answer that are its cell's."""

Found = list[dict[str, Any]]

After = tuple[float, int, int, str]
"""Key of an answer in a sorted study: sort key, place of its cell, length of its item's name, the name."""


@dataclass(frozen=True, slots=True)
class Asked:
    """Answers that a reader asks for, as in a link (`warehouse.report.browser`)."""

    dataset: str = ""
    language: str = ""
    category: str = ""
    model: str = ""
    method: str = ""
    train_languages: str = ""
    measure: str = ""
    only: str = ""
    search: str = ""
    sort: str = ""
    against: str = ""

    @classmethod
    def of(cls, parts: Mapping[str, str]) -> Self:
        """Read the parts of a link. Raises ArgumentError."""
        names = [field.name for field in fields(cls)]
        for name, allowed in {**dict.fromkeys(parts), "only": ("", *ONLY), "sort": tuple(SORTS)}.items():
            if name not in names:
                raise ArgumentError(f"`{name}`: answers have no such property. There are: {', '.join(names)}")
            if allowed and parts.get(name, "") not in allowed:
                raise ArgumentError(f"`{name}={parts[name]}`: there are {', '.join(filter(None, allowed))}")
        return cls(**parts)

    def has(self, cell: Row) -> bool:
        """Test whether a cell is one of those that are asked for."""
        return all(getattr(self, name) in ("", cell[name]) for name in OF_CELLS)


def facets(connection: duckdb.DuckDBPyConnection, experiment: str) -> dict[str, list[str]]:
    """Return the values by which answers can be chosen, property by property, and their measures."""
    cells = _cells(connection, experiment)
    return {
        **{name: list(dict.fromkeys(cell[name] for cell in cells if cell[name])) for name in OF_CELLS},
        **{
            name: [row[name] for row in fetch(connection, _sql(file), {"experiment": experiment})]
            for name, file in (("category", "categories.sql"), ("measure", "measures.sql"))
        },
    }


def order_in(found: Mapping[str, Sequence[str]]) -> Order:
    """Return the order of methods, models and languages in a study's facets."""
    return Order(tuple(found["method"]), tuple(found["model"]), tuple(found["language"]))


def answers(connection: duckdb.DuckDBPyConnection, where: str, values: Sequence[object]) -> Found:
    """Return rows of `shown_answers` with the verdicts on each (`scores`) and whether judges disagree.

    `where` is a condition on experiment, data set, language, item and cell.
    """
    # answers and verdicts apart: joined first, all of the study's would be
    scores: dict[tuple[str, str], Found] = {}
    for verdict in fetch(connection, f"from verdicts_on_scale where {where} order by measure", values):
        scores.setdefault((verdict["cell_id"], verdict["item"]), []).append(verdict)
    disputed = {
        (row["cell_id"], row["item"])
        for row in fetch(connection, f"from disputed_answers where {where}", values)
    }
    return [
        row
        | {
            "scores": scores.get((row["cell_id"], row["item"])),
            "is_disputed": (row["cell_id"], row["item"]) in disputed,
        }
        for row in fetch(connection, f"from shown_answers where {where}", values)
    ]


def answers_beside(connection: duckdb.DuckDBPyConnection, experiment: str, answer: str) -> Found:
    """Return all answers to the question of an answer, named as `<cell_id>/<item>`; none if there is none."""
    cell_id, _, item = answer.partition("/")
    found = fetch(
        connection,
        "select dataset, language, turn from cells where experiment = ? and cell_id = ?",
        (experiment, cell_id),
    )
    if not found:
        return []
    (cell,) = found
    rows = answers(
        connection,
        "experiment = ? and dataset = ? and language = ? and item = ?",
        (experiment, cell["dataset"], cell["language"], item),
    )
    return [row for row in rows if row["turn"] == cell["turn"]]


def page(
    connection: duckdb.DuckDBPyConnection, experiment: str, asked: Asked, after: After | None
) -> tuple[Found, After | None]:
    """Return the next `PAGE` answers with what a list shows of each, and the key that the next page begins
    behind: None at the end."""
    wanted = [cell for cell in _cells(connection, experiment) if asked.has(cell)]
    judges = "select judge from cell_scores where experiment = ? and measure = ? limit 1"
    judge = fetch(connection, judges, (experiment, asked.measure))
    values: dict[str, object] = {
        "experiment": experiment,
        "judge": judge[0]["judge"] if judge else "",
        **{name: getattr(asked, name) for name in ("measure", "against", "search", "category")},
        **dict(zip(("sort_key", "place", "length", "item"), after or (), strict=False)),
    }
    sql = _page_sql(asked, after is not None)
    keys: Found = []
    for batch in _batches(wanted, asked, after):
        values |= {
            "cells": [cell["cell_id"] for cell in batch],
            "places": [cell["place"] for cell in batch],
            "limit": PAGE + 1 - len(keys),
        }
        keys += _fetch(connection, sql, values)
        if len(keys) > PAGE:
            break
    rows = _listed(connection, keys[:PAGE], values)
    if len(keys) <= PAGE:
        return rows, None
    last = keys[PAGE - 1]
    return rows, (last["sort_key"], last["place"], last["length"], last["item"])


def _page_sql(asked: Asked, is_after: bool) -> str:
    on_measure = asked.only in ("wrong", "unscored") or asked.sort != ""
    on_completion = not on_measure or asked.only in ("cut", "failed") or asked.search != ""
    return jinja2.Template(_sql("page.sql.j2"), undefined=jinja2.StrictUndefined).render(
        key=SORTS[asked.sort],
        condition=ONLY[asked.only],
        item="completion.item" if on_completion else "verdict.item",
        on_measure=on_measure,
        on_completion=on_completion,
        on_question=asked.search or asked.category,
        on_other=asked.sort in ("worse", "better"),
        on_disputed=asked.only == "disagree",
        search=asked.search,
        category=asked.category,
        is_sorted=asked.sort,
        is_after=is_after,
    )


def _cells(connection: duckdb.DuckDBPyConnection, experiment: str) -> Found:
    """Return the study's cells in the order of its plan, each with its place and the number of its
    answers."""
    found = fetch(
        connection,
        "select cells.*, coalesce(steps.n_rows, 0) as n from cells left join steps on steps.step_id ="
        " cells.generate_step_id where experiment = ? order by cells.rowid",
        (experiment,),
    )
    return [{**cell, "place": number} for number, cell in enumerate(found)]


def _batches(cells: Found, asked: Asked, after: After | None) -> Iterator[Found]:
    """Divide the cells from that of `after` on into batches; all at once where answers are sorted."""
    if asked.sort:
        yield cells
        return
    batch: Found = []
    size, most = 0, BATCH
    for cell in cells:
        if after is not None and cell["place"] < after[1]:
            continue
        if batch and size + cell["n"] > most:
            yield batch
            batch, size, most = [], 0, 4 * most
        batch.append(cell)
        size += cell["n"]
    if batch:
        yield batch


def _listed(connection: duckdb.DuckDBPyConnection, keys: Found, values: dict[str, object]) -> Found:
    """Return what a list shows of the answers of these keys, in their order: the beginning of the text and,
    of the verdicts, that on the measure."""
    values = {
        **values,
        "cells": [key["cell_id"] for key in keys],
        "items": [key["item"] for key in keys],
        "length": SNIPPET,
    }
    scores = {
        (row["cell_id"], row["item"]): row for row in _fetch(connection, _sql("listed_verdicts.sql"), values)
    }
    found = {(row["cell_id"], row["item"]): row for row in _fetch(connection, _sql("listed.sql"), values)}
    return [
        {**found[name], "scores": [scores[name]] if name in scores else [], "is_disputed": False}
        for key in keys
        if (name := (key["cell_id"], key["item"])) in found
    ]


def _fetch(connection: duckdb.DuckDBPyConnection, sql: str, values: Mapping[str, object]) -> Found:
    """Run a query with those of the values that it names."""
    (statement,) = connection.extract_statements(sql)
    return fetch(connection, sql, {name: values[name] for name in statement.named_parameters})


def _sql(file: str) -> str:
    return (SQL / file).read_text("utf-8")
