"""Everything the report reads of one study, in one go, so that the warehouse is open for a moment only. From here on it is values."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import duckdb

from dsl.errors import WarehouseError
from warehouse.charts.theme import Order, Row, Rows
from warehouse.connect import connect, told
from warehouse.report.browser import pick_items
from warehouse.statistics.power import Spread, spreads

VIEWS = (
    "score_by_method_language",
    "score_by_model_size",
    "contrast_by_language_and_size",
    "language_gap",
    "size_trend",
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
)
"""The views that are shown; the chart of one has its name."""

_SHOWN = "measure, score, parts, unscored_reason, reason"
"""Of each verdict on an answer that is shown."""

DETECTORS = ("language", "loop", "code", "empty", "truncated", "prompt_echo", "refusal")
"""Kinds of judge whose verdict says that an answer is free of a critical error; they have a figure of their own."""

NOT_A_MERIT = ("length",)
"""Kinds of judge whose score is neither good nor bad."""


@dataclass(frozen=True)
class StudyRows:
    """The rows of a study."""

    experiment: Row
    cells: Rows
    """In the order of the plan."""
    cell_judges: Rows
    probed_judges: Rows
    """Of answers with a text planted in them."""
    cell_training: Rows
    contrasts: Rows
    views: dict[str, Rows]
    steps: Rows
    """`study_steps`, JSON columns unpacked."""
    runs: Rows
    completions: Rows
    """What `completion_browser` has for the items that were picked."""
    n_completions: int
    """How many there are in all."""
    spreads: tuple[Spread, ...]
    """How much the differences of each contrast vary."""

    @cached_property
    def order(self) -> Order:
        return Order(
            methods=tuple(dict.fromkeys(cell["method"] for cell in self.cells)),
            models=tuple(dict.fromkeys(cell["model"] for cell in self.cells)),
            languages=tuple(self.experiment["languages"]),
        )

    @cached_property
    def judges(self) -> dict[str, dict[str, Any]]:
        """A judge's name in the spec -> its settings, as its finished steps have them."""
        settings = {step["step_id"]: step["settings"] for step in self.steps if step["is_done"]}
        return {row["judge"]: settings[row["judge_step_id"]]["judge"] for row in self.cell_judges if row["judge_step_id"] in settings}

    def kind_of(self, row: Row) -> str:
        """What kind of judge a row is of; people, who are no step, are `human`."""
        return str(self.judges.get(row["judge"], {"judge": "human"})["judge"])

    def in_order(self, rows: Iterable[Row]) -> list[Row]:
        """Rows of measures and contrasts in the order in which the study names them."""
        judges = {judge: place for place, judge in enumerate(dict.fromkeys(row["judge"] for row in self.cell_judges))}
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
        merits = [row for row in self.in_order(rows) if self.kind_of(row) not in NOT_A_MERIT]
        return [row for row in merits if self.kind_of(row) not in DETECTORS] or merits

    def compared(self, rows: Rows) -> list[Row]:
        """Rows of contrasts: confirmatory ones, and those of judges of quality."""
        shown = {id(row) for row in self.of_interest(rows)}
        return [row for row in self.in_order(rows) if row.get("family") == "confirmatory" or id(row) in shown]

    def opinions(self) -> dict[str, str]:
        """A judge that decides by opinion, not by rule -> whose opinion it is."""
        found = {judge: _whose(settings) for judge, settings in self.judges.items()}
        return {judge: whose for judge, whose in found.items() if whose}

    def steps_of(self, dataset: str | None = None, judge: str | None = None, trained: bool = False) -> list[str]:
        """The steps behind a figure: those that trained, answered and judged its cells, each once."""
        found: dict[str, None] = {}
        cells = {cell["cell_id"]: cell for cell in self.cells if dataset in (None, cell["dataset"])}
        if not trained:
            found |= dict.fromkeys(cell["generate_step_id"] for cell in cells.values())
            found |= dict.fromkeys(
                row["judge_step_id"] for row in self.cell_judges if row["cell_id"] in cells and judge in (None, row["judge"])
            )
        return list(dict.fromkeys(row["step_id"] for row in self.cell_training if row["cell_id"] in cells)) + list(found)


def read_study(warehouse: Path, experiment: str) -> StudyRows:
    """Read a study from a warehouse file.

    Raises:
        WarehouseError: there is no such file, it cannot be read or is of another version, or it does not hold the study.
    """
    with connect(warehouse, read_only=True) as connection, told(warehouse):
        return _read(connection, experiment)


def _read(connection: duckdb.DuckDBPyConnection, experiment: str) -> StudyRows:
    def rows(sql: str, *values: Any) -> list[dict[str, Any]]:
        cursor = connection.execute(sql, values or (experiment,))
        names = [column[0] for column in cursor.description or ()]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

    studies = rows("from experiments where experiment = ?")
    if not studies:
        known = ", ".join(row["experiment"] for row in rows("from experiments where experiment <> ? order by experiment")) or "none"
        raise WarehouseError(f"the warehouse holds no experiment {experiment}; it holds: {known}")
    counts = rows("select dataset, item, count(*) as n from completions where experiment = ? group by all")
    completions: list[dict[str, Any]] = []
    for dataset, items in pick_items(counts).items():  # answers and verdicts apart: joined first, all of the study's would be
        picked = "where experiment = ? and dataset = ? and list_contains(?, item)"
        scores: dict[tuple[str, str], list[dict[str, Any]]] = {}
        for verdict in rows(f"select cell_id, item, {_SHOWN} from verdicts {picked} order by measure", experiment, dataset, items):
            scores.setdefault((verdict.pop("cell_id"), verdict.pop("item")), []).append(verdict)
        for row in rows(f"from shown_answers {picked}", experiment, dataset, items):
            completions.append(row | {"scores": scores.get((row["cell_id"], row["item"]))})
    judges = rows("select cell_judges.* from cell_judges join cells using (cell_id) where experiment = ? order by cell_judges.rowid")
    return StudyRows(
        experiment=studies[0],
        cells=rows("from cells where experiment = ? order by rowid"),
        cell_judges=[row for row in judges if not row["probe"]],
        probed_judges=[row for row in judges if row["probe"]],
        cell_training=rows("select cell_training.* from cell_training join cells using (cell_id) where experiment = ? order by position"),
        contrasts=rows("from contrasts where experiment = ? order by rowid"),
        views={view: [_steady(row) for row in rows(f"from {view} where experiment = ?")] for view in VIEWS},
        steps=[_unpacked(row) for row in rows("from study_steps where experiment = ? order by position")],
        runs=rows("from runs where experiment = ? order by started_at, run_id"),
        completions=completions,
        n_completions=sum(row["n"] for row in counts),
        spreads=tuple(spread for spread in spreads(connection) if spread.experiment == experiment),
    )


def _whose(judge: dict[str, Any]) -> str | None:
    if judge["judge"] == "recorded":
        return "the opinion of a judge outside this study, as it was recorded"
    if judge["judge"] == "ensemble":
        return "what several judges came to together"
    model = judge.get("model")
    if not model:
        return None
    named = next((str(model[key]) for key in ("name", "hub", "package", "path") if model.get(key)), "")
    return f"the opinion of a model, {named or model.get('engine', 'a model')}"


def _steady(row: dict[str, Any]) -> dict[str, Any]:
    """The row without the last digits of its numbers, which depend on the order in which threads added them up."""
    return {key: float(f"{value:.12g}") if isinstance(value, float) else value for key, value in row.items()}


def _unpacked(row: dict[str, Any]) -> dict[str, Any]:
    parsed: dict[str, Any] = {key: json.loads(row[key]) if row[key] else {} for key in ("settings", "versions", "facts")}
    return {**row, **parsed}


def datasets(rows: Sequence[Row]) -> list[str]:
    """The data sets in these rows, sorted."""
    return sorted({row["dataset"] for row in rows})
