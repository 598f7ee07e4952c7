"""Figures of cells whose number of items was decided by what was found.

A mean on a scale has a confidence sequence for its interval. All other intervals and tests are made for a
fixed number of items and are left out; `stopped_by` marks both.
"""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

import duckdb

from dsl.confidence_sequence import ConfidenceSequence
from dsl.data.random_order import in_random_order
from warehouse.statements import fetch
from warehouse.statistics.pairs import Row

_MEANS = ("cell_scores", "method_scores")
"""Tables of one mean for each cell, which has one seed where asking stops."""

_FIXED = re.compile(r"standard_error|error_(of|with)_.*|.*_(low|high)")
"""Columns that hold for a fixed number of items."""

_PLACE = ("dataset", "language", "model")
_MEAN = (*_PLACE, "method", "measure")


def mark_stopped(
    connection: duckdb.DuckDBPyConnection, slice_: Mapping[str, Any], tables: Sequence[str]
) -> None:
    """Take the intervals for a fixed number of items from one slice's rows of these tables, and give the
    means on a scale confidence sequences.

    To be called where the slice's verdicts lie in temporary tables of the base views' names.
    """
    stopped = fetch(
        connection,
        "select distinct dataset, language, model, method, stopped_by, stopping_seed from stopped_cells"
        " where experiment = $experiment and dataset = $dataset and list_contains($models, model)",
        slice_,
    )
    if not stopped:
        return
    for table in tables:
        _mark(connection, slice_, table, stopped)
    means = json.dumps(_means(connection, stopped))
    form = json.dumps([dict.fromkeys(_MEAN, "varchar") | {"low": "double", "high": "double"}])
    for table in _MEANS:
        same = " and ".join(f"{table}.{name} = found.{name}" for name in _MEAN)
        connection.execute(
            f"update {table} set ci_low = found.low, ci_high = found.high"
            f" from (select unnest(from_json($means, $form), recursive := true)) as found"
            f" where {table}.experiment = $experiment and {same}",
            {"means": means, "form": form, "experiment": slice_["experiment"]},
        )


def _mark(
    connection: duckdb.DuckDBPyConnection, slice_: Mapping[str, Any], table: str, stopped: Sequence[Row]
) -> None:
    columns = [
        name
        for (name,) in connection.execute(
            "select column_name from duckdb_columns() where table_name = ? and schema_name = 'main'"
            " and not internal",
            [table],
        ).fetchall()
    ]
    if "stopped_by" not in columns:
        return
    keys = [name for name in _PLACE if name in columns]
    # strengths are of all methods of a place together, and a win rate is of two
    sides = [] if table == "method_strengths" else [name for name in ("method", "against") if name in columns]
    emptied = filter(_FIXED.fullmatch, columns)
    same = " and ".join(f"{table}.{name} = found.{name}" for name in keys)
    of_side = " or ".join(f"{table}.{name} = found.method" for name in sides) or "true"
    form = dict.fromkeys((*_PLACE, "method", "stopped_by"), "varchar")
    connection.execute(
        f"update {table} set stopped_by = found.stopped_by, {', '.join(f'{name} = null' for name in emptied)}"
        " from (select unnest(from_json($stopped, $form), recursive := true)) as found"
        f" where {table}.experiment = $experiment and {same} and ({of_side})",
        {
            "stopped": json.dumps([{name: row[name] for name in form} for row in stopped]),
            "form": json.dumps([form]),
            "experiment": slice_["experiment"],
        },
    )


def _means(connection: duckdb.DuckDBPyConnection, stopped: Sequence[Row]) -> list[Row]:
    """Return the confidence sequence of each mean on a scale, by its items in the order they were asked."""
    found: list[Row] = []
    for row in stopped:
        scored = fetch(
            connection,
            "select measure, item, score, scale_low, scale_high from verdicts_by_item where score is not null"
            " and (dataset, language, model, method) = ($dataset, $language, $model, $method) order by all",
            {name: row[name] for name in (*_PLACE, "method")},
        )
        by_measure: dict[str, list[Row]] = {}
        for one in scored:
            if one["scale_low"] is not None and one["scale_high"] is not None:
                by_measure.setdefault(one["measure"], []).append(one)
        for measure, rows in by_measure.items():
            ordered = in_random_order(rows, lambda one: one["item"], row["stopping_seed"])
            bounds = min(one["scale_low"] for one in rows), max(one["scale_high"] for one in rows)
            low, high = ConfidenceSequence([one["score"] for one in ordered], *bounds).interval()
            place = {name: row[name] for name in (*_PLACE, "method")}
            found.append({**place, "measure": measure, "low": low, "high": high})
    return found


def stopped_contrasts(connection: duckdb.DuckDBPyConnection, experiment: str) -> dict[str, str]:
    """Return contrast -> the one that decided how many of its items were asked."""
    wanted = "select contrast, stopped_by from contrasts where experiment = ? and stopped_by is not null"
    return dict(connection.execute(wanted, [experiment]).fetchall())


def stopped_methods(connection: duckdb.DuckDBPyConnection, experiment: str) -> dict[str, str]:
    """Return method -> the contrast that decided how many items it was asked."""
    wanted = "select distinct method, stopped_by from stopped_cells where experiment = ?"
    return dict(connection.execute(wanted, [experiment]).fetchall())
