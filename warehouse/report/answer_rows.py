"""Rows of a study's answers: those of some items for the report, and pages of all of them.

A page is found by keyset: it begins behind the last answer of the page before, so that the hundredth costs no
more than the first. Without a sort its answers are in the order of cells, and one look goes through a window
of them: where that holds too few, the page is short and says how far it looked. With a sort it reads all
scores on one measure: the whole study's or, where two methods are compared, theirs.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from itertools import accumulate
from pathlib import Path
from typing import Any, Self

import duckdb
import jinja2

from dsl.errors import ArgumentError
from warehouse.charts.theme import Order, Row
from warehouse.statements import fetch

PAGE = 50
"""Answers of a page."""

SQL = Path(__file__).parent / "sql"

WINDOW = 500_000
"""Answers that one look goes through, in whole cells, one at least."""

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
class Page:
    """The next answers, with what a list shows of each."""

    rows: Found
    """At most `PAGE`; fewer, or none, where the window holds no more."""
    after: After | None
    """The key that the next page begins behind; None at the end."""
    n_searched: int
    """Answers looked through so far, whole cells only."""
    n: int
    """Answers in the cells that are asked for."""


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
        asked = cls(**parts)
        if asked.is_compared and not (asked.method and asked.against):
            raise ArgumentError(
                f"`sort={asked.sort}` goes by the difference between two methods: name one as `method`, the"
                " other as `against`"
            )
        return asked

    @property
    def is_compared(self) -> bool:
        """True where answers are sorted by the difference between two methods."""
        return self.sort in ("worse", "better")

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


def faults(connection: duckdb.DuckDBPyConnection, experiment: str) -> dict[str, str]:
    """Return the fault that each measure of a detector is freedom from, by its name: the answers that have it
    score 0."""
    rows = fetch(connection, _sql("faults.sql"), {"experiment": experiment})
    return {row["measure"]: row["fault"] or row["measure"] for row in rows}


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


def page(connection: duckdb.DuckDBPyConnection, experiment: str, asked: Asked, after: After | None) -> Page:
    """Return the next page of what is asked for."""
    wanted = [cell for cell in _cells(connection, experiment) if asked.has(cell)]
    window, rest = _window(wanted, asked, after)
    judges = "select judge from cell_scores where experiment = ? and measure = ? limit 1"
    judge = fetch(connection, judges, (experiment, asked.measure))
    values: dict[str, object] = {
        "experiment": experiment,
        "judge": judge[0]["judge"] if judge else "",
        **{name: getattr(asked, name) for name in ("measure", "against", "search", "category")},
        **dict(zip(("sort_key", "place", "length", "item"), after or (), strict=False)),
        "cells": [cell["cell_id"] for cell in window],
        "places": [cell["place"] for cell in window],
        "limit": PAGE + 1,
    }
    values |= _fetch(connection, _sql("rows_of_cells.sql"), values)[0]
    keys = _fetch(connection, _page_sql(asked, after is not None), values)
    if len(keys) > PAGE:
        last = keys[PAGE - 1]
        behind = (last["sort_key"], last["place"], last["length"], last["item"])
    else:
        behind = (0.0, rest[0]["place"], -1, "") if rest else None
    return Page(
        _listed(connection, keys[:PAGE], values),
        behind,
        sum(cell["n"] for cell in wanted if behind is None or cell["place"] < behind[1]),
        sum(cell["n"] for cell in wanted),
    )


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
        on_other=asked.is_compared,
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
        " cells.generate_step_id where experiment = ? and not is_replicate order by cells.rowid",
        (experiment,),
    )
    return [{**cell, "place": number} for number, cell in enumerate(found)]


def _window(cells: Found, asked: Asked, after: After | None) -> tuple[Found, Found]:
    """Return the cells to look through now, from that of `after` on, and those behind them. Sorted answers
    need all."""
    if asked.sort:
        return cells, []
    left = [cell for cell in cells if after is None or cell["place"] >= after[1]]
    n = sum(size <= WINDOW for size in accumulate(cell["n"] for cell in left))
    return left[: max(1, n)], left[max(1, n) :]


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
