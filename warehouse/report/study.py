"""Everything the report reads of one study, in one go, so that the warehouse is open for a moment only. From
here on it is values."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import duckdb

from dsl.errors import WarehouseError
from warehouse.charts.theme import Order, Row, Rows
from warehouse.connect import connect
from warehouse.errors import duckdb_errors
from warehouse.report.browser import pick_items
from warehouse.statistics.power import Spread, spreads

VIEWS = (
    "score_by_method_language",
    "score_by_model_size",
    "contrast_by_language_and_size",
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
    "length_by_method_language",
    "unscored_by_judge",
    "judge_against_checks",
    "judge_agreement",
    "judge_reliability",
    "judge_probes",
    "cost_by_model",
    "cost_by_step",
    "mixed_origins",
)
"""The views that are shown; the chart of one has its name, where it is drawn."""

_SHOWN = "measure, score, parts, unscored_reason, reason"
"""Columns of each verdict on an answer that is shown."""


@dataclass(frozen=True)
class StudyRows:
    """The rows of a study."""

    experiment: Row
    cells: Rows
    """In the order of the plan."""
    judges: Rows
    """In the order of the spec."""
    cell_judges: Rows
    probed_judges: Rows
    """Judges of answers with a text planted in them."""
    cell_training: Rows
    contrasts: Rows
    views: dict[str, Rows]
    steps: Rows
    """`study_steps`, JSON columns unpacked."""
    runs: Rows
    completions: Rows
    """Rows of `completion_browser` for the items that were picked."""
    n_completions: int
    """Number of answers in all."""
    spreads: tuple[Spread, ...]
    """Variation of the differences of each contrast."""

    @cached_property
    def order(self) -> Order:
        return Order(
            methods=tuple(dict.fromkeys(cell["method"] for cell in self.cells)),
            models=tuple(dict.fromkeys(cell["model"] for cell in self.cells)),
            languages=tuple(self.experiment["languages"]),
        )

    @cached_property
    def _judges(self) -> dict[str, Row]:
        return {row["judge"]: row for row in self.judges}

    def role_of(self, row: Row) -> str:
        """The role of the judge that a row is of; people, who are no step, judge quality."""
        judge = self._judges.get(row["judge"])
        return "quality" if judge is None else str(judge["role"])

    def in_order(self, rows: Iterable[Row]) -> list[Row]:
        """Rows of measures and contrasts in the order in which the study names them."""
        judges = {
            judge: place
            for place, judge in enumerate(dict.fromkeys(row["judge"] for row in self.cell_judges))
        }
        contrasts = {row["contrast"]: place for place, row in enumerate(self.contrasts)}
        return sorted(
            rows,
            key=lambda row: (
                row["dataset"],
                judges.get(row["judge"], len(judges)),
                row["measure"],
                contrasts.get(row.get("contrast", ""), -1),
            ),
        )

    def of_interest(self, rows: Rows) -> list[Row]:
        """Rows of judges of quality; where a study has none, of its detectors."""
        merits = [row for row in self.in_order(rows) if self.role_of(row) != "measure"]
        return [row for row in merits if self.role_of(row) == "quality"] or merits

    def compared(self, rows: Rows) -> list[Row]:
        """Rows of contrasts: confirmatory ones, and those of judges of quality."""
        shown = {id(row) for row in self.of_interest(rows)}
        return [row for row in self.in_order(rows) if row.get("family") == "confirmatory" or id(row) in shown]

    def opinions(self) -> dict[str, str]:
        """A judge that decides by opinion, not by rule -> whose opinion it is."""
        done = {step["step_id"] for step in self.steps if step["is_done"]}
        asked = {row["judge"] for row in self.cell_judges if row["judge_step_id"] in done}
        return {
            row["judge"]: row["opinion"]
            for row in self.judges
            if row["opinion"] is not None and row["judge"] in asked
        }

    def steps_of(
        self, dataset: str | None = None, judge: str | None = None, trained: bool = False
    ) -> list[str]:
        """The steps behind a figure: those that trained, answered and judged its cells, each once."""
        found: dict[str, None] = {}
        cells = {cell["cell_id"]: cell for cell in self.cells if dataset in (None, cell["dataset"])}
        if not trained:
            found |= dict.fromkeys(cell["generate_step_id"] for cell in cells.values())
            found |= dict.fromkeys(
                row["judge_step_id"]
                for row in self.cell_judges
                if row["cell_id"] in cells and judge in (None, row["judge"])
            )
        return list(
            dict.fromkeys(row["step_id"] for row in self.cell_training if row["cell_id"] in cells)
        ) + list(found)


def read_study(warehouse: Path, experiment: str) -> StudyRows:
    """Read a study from a warehouse file.

    Raises:
        WarehouseError: there is no such file, it cannot be read or is of another version, or it does not hold
            the study.
    """
    with connect(warehouse, read_only=True) as connection, duckdb_errors(warehouse):
        return _read(connection, experiment)


def _read(connection: duckdb.DuckDBPyConnection, experiment: str) -> StudyRows:
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
    counts = rows("select dataset, item, count(*) as n from completions where experiment = ? group by all")
    completions: list[dict[str, Any]] = []
    # answers and verdicts apart: joined first, all of the study's would be
    for dataset, items in pick_items(counts).items():
        picked = "where experiment = ? and dataset = ? and list_contains(?, item)"
        scores: dict[tuple[str, str], list[dict[str, Any]]] = {}
        for verdict in rows(
            f"select cell_id, item, {_SHOWN} from verdicts {picked} order by measure",
            experiment,
            dataset,
            items,
        ):
            scores.setdefault((verdict.pop("cell_id"), verdict.pop("item")), []).append(verdict)
        for row in rows(f"from shown_answers {picked}", experiment, dataset, items):
            completions.append(row | {"scores": scores.get((row["cell_id"], row["item"]))})
    cell_judges = rows(
        "select cell_judges.* from cell_judges join cells using (cell_id) where experiment = ? order by"
        " cell_judges.rowid"
    )
    return StudyRows(
        experiment=studies[0],
        cells=rows("from cells where experiment = ? order by rowid"),
        judges=rows("from judges where experiment = ? order by position"),
        cell_judges=[row for row in cell_judges if not row["probe"]],
        probed_judges=[row for row in cell_judges if row["probe"]],
        cell_training=rows(
            "select cell_training.* from cell_training join cells using (cell_id) where experiment = ? order"
            " by position"
        ),
        contrasts=rows("from contrasts where experiment = ? order by rowid"),
        views={view: [_steady(row) for row in rows(f"from {view} where experiment = ?")] for view in VIEWS},
        steps=[_unpacked(row) for row in rows("from study_steps where experiment = ? order by position")],
        runs=rows("from runs where experiment = ? order by started_at, run_id"),
        completions=completions,
        n_completions=sum(row["n"] for row in counts),
        spreads=tuple(spread for spread in spreads(connection) if spread.experiment == experiment),
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


def datasets(rows: Sequence[Row]) -> list[str]:
    """The data sets in these rows, sorted."""
    return sorted({row["dataset"] for row in rows})
