"""Reads the rows of one study in one go, so that the warehouse is open for a moment only."""

import json
from pathlib import Path
from typing import Any

import duckdb

from dsl.errors import WarehouseError
from warehouse.charts.theme import Rows
from warehouse.connect import connect
from warehouse.errors import duckdb_errors
from warehouse.report.answer_rows import answers, facets
from warehouse.report.browser import pick_items
from warehouse.report.study import StudyRows
from warehouse.served_models import served_models
from warehouse.statistics.power import spreads

VIEWS = (
    "score_by_method_language",
    "score_by_turn",
    "score_by_model_size",
    "contrast_by_language_and_size",
    "noise_by_method_language",
    "saved_by_stopping",
    "contrast_beside_people",
    "language_gap",
    "size_trend",
    "language_gap_size_trend",
    "score_size_trend",
    "win_rate_by_method",
    "method_strength",
    "ifeval_accuracy",
    "critical_errors_by_cell",
    "loops_by_cause",
    "score_beside_critical_errors",
    "training_curve",
    "tuning_effort",
    "tuning_trials",
    "length_by_method_language",
    "unscored_by_judge",
    "judge_against_checks",
    "judge_agreement",
    "judge_reliability",
    "judge_probes",
    "cost_by_model",
    "cost_by_step",
    "mixed_origins",
    "plans_by_judge",
)
"""The views that are shown; the chart of one has its name, where it is drawn."""


def read_study(warehouse: Path, experiment: str) -> StudyRows:
    """Read a study from a warehouse file.

    Raises:
        WarehouseError: there is no such file, it cannot be read or is of another version, or it does not hold
            the study.
    """
    with connect(warehouse, read_only=True) as connection, duckdb_errors(warehouse):
        return read_from(connection, experiment)


def views_in(connection: duckdb.DuckDBPyConnection) -> list[str]:
    """Return those of `VIEWS` that a warehouse has: one from a bundle of an earlier version lacks some."""
    found = connection.execute(
        "select view_name from duckdb_views() where database_name = current_database()"
    ).fetchall()
    return [view for view in VIEWS if (view,) in found]


def read_from(connection: duckdb.DuckDBPyConnection, experiment: str) -> StudyRows:
    """Read a study over an open connection. Raises WarehouseError where it is not there."""

    def rows(sql: str, *values: Any) -> list[dict[str, Any]]:
        cursor = connection.execute(sql, values or (experiment,))
        names = [column[0] for column in cursor.description or ()]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

    studies = rows("from experiments where experiment = ?")
    if not studies:
        known = (
            ", ".join(
                row["experiment"]
                for row in rows("from experiments where experiment <> ? order by experiment")
            )
            or "none"
        )
        raise WarehouseError(f"the warehouse holds no experiment {experiment}; it holds: {known}")
    counts = rows(
        "select dataset, item, count(*) as n from completions where experiment = ? and not is_replicate"
        " group by all"
    )
    completions: list[dict[str, Any]] = []
    for dataset, items in pick_items(counts).items():
        completions += answers(
            connection,
            "experiment = ? and dataset = ? and list_contains(?, item)",
            (experiment, dataset, items),
        )
    cell_judges = rows(
        "select cell_judges.* from cell_judges join cells using (cell_id) where experiment = ? order by"
        " cell_judges.rowid"
    )
    views: dict[str, Rows] = dict.fromkeys(VIEWS, ())
    for view in views_in(connection):
        views[view] = [_steady(row) for row in rows(f"from {view} where experiment = ?")]
    return StudyRows(
        experiment=studies[0],
        cells=rows("from cells where experiment = ? and not is_replicate order by rowid"),
        judges=rows("from judges where experiment = ? order by position"),
        cell_judges=[row for row in cell_judges if not row["probe"]],
        cell_training=rows(
            "select cell_training.* from cell_training join cells using (cell_id) where experiment = ? order"
            " by position"
        ),
        contrasts=rows("from contrasts where experiment = ? and not is_noise order by rowid"),
        views=views,
        steps=[_unpacked(row) for row in rows("from study_steps where experiment = ? order by position")],
        runs=rows("from runs where experiment = ? order by started_at, run_id"),
        completions=completions,
        facets=facets(connection, experiment),
        n_completions=sum(row["n"] for row in counts),
        spreads=tuple(spread for spread in spreads(connection) if spread.experiment == experiment),
        served=served_models(connection, experiment),
    )


def _steady(row: dict[str, Any]) -> dict[str, Any]:
    """The row without the last digits of its numbers, which depend on the order in which threads added them
    up."""
    return {key: float(f"{value:.12g}") if isinstance(value, float) else value for key, value in row.items()}


def _unpacked(row: dict[str, Any]) -> dict[str, Any]:
    parsed: dict[str, Any] = {
        key: json.loads(row[key]) if row[key] else {} for key in ("settings", "versions", "facts")
    }
    return {**row, **parsed}
