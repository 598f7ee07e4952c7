"""Reproduction of the numbers: the spec, the versions, the machine, the steps."""

from collections import defaultdict
from dataclasses import dataclass

from dsl.steps.training_steps import TRAININGS
from warehouse.charts.theme import Row
from warehouse.report import tables
from warehouse.report.study import StudyRows
from warehouse.report.tables import Column, Table


@dataclass(frozen=True, slots=True)
class Reproduction:
    """The last section of the page."""

    apply: str
    """The command that makes the study again."""
    versions: Table
    hosts: tuple[str, ...]
    cells: Table
    facts: Table
    unfinished: Table
    """Steps that are not done, and their last error."""
    seeds: str
    last_run: str | None
    """Start of the last attempt, UTC."""


def reproduction(study: StudyRows) -> Reproduction:
    overrides = "".join(f" --set {override}" for override in study.experiment["overrides"])
    seeds = sorted({cell["seed"] for cell in study.cells if cell["seed"] is not None})
    chanceless = any(cell["seed"] is None for cell in study.cells)
    shown = ", ".join(map(str, seeds)) or "none"
    return Reproduction(
        apply=f"xp apply {study.experiment['spec_file']}{overrides}",
        versions=_versions(study),
        hosts=tuple(dict.fromkeys(run["host"] for run in study.runs)),
        cells=_cells(study),
        facts=_facts(study),
        unfinished=_unfinished(study),
        seeds=shown + (" (cells where no chance enters have none)" if chanceless else ""),
        last_run=max((f"{run['started_at']:%Y-%m-%d %H:%M}" for run in study.runs), default=None),
    )


def _versions(study: StudyRows) -> Table:
    """One row per package and version: a study whose steps were made with different versions shows both."""
    steps: dict[tuple[str, str], int] = defaultdict(int)
    for step in study.steps:
        for package, version in step["versions"].items():
            steps[package, version] += 1
    rows = [
        {"package": package, "version": version, "n": n} for (package, version), n in sorted(steps.items())
    ]
    return tables.table(
        (
            tables.text("package", "package"),
            tables.text("version", "version"),
            tables.count("n", "steps made with it"),
        ),
        rows,
    )


def _cells(study: StudyRows) -> Table:
    judges: dict[str, list[str]] = defaultdict(list)
    for row in study.cell_judges:
        judges[row["cell_id"]].append(f"{row['judge']}: {row['judge_step_id']}")
    training: dict[str, list[str]] = defaultdict(list)
    for row in study.cell_training:
        training[row["cell_id"]].append(row["step_id"])
    columns = (
        *(tables.text(key, key) for key in ("dataset", "language", "model", "method")),
        tables.text("method_kind", "kind"),
        tables.text("train_languages", "tuned on"),
        tables.text("seed", "seed"),
        Column("trained by", lambda row: ", ".join(training[row["cell_id"]])),
        tables.text("generate_step_id", "answered by"),
        Column("judged by", lambda row: ", ".join(judges[row["cell_id"]])),
        tables.text("cell_id", "cell"),
    )
    return tables.table(columns, study.cells)


def _facts(study: StudyRows) -> Table:
    """Return the table of facts that training and answering recorded: device, dtype, tokens and the like.

    Of other steps it has the commit of a name on the hub.
    """
    trains_or_answers = (*TRAININGS, "pairs", "reference_logps", "select", "generate")
    rows = [
        step
        for step in study.steps
        if step["facts"] and (step["kind"] in trains_or_answers or step["facts"].get("commit"))
    ]
    facts = Column(
        "facts",
        lambda row: ", ".join(f"{key} = {value}" for key, value in row["facts"].items() if value is not None),
    )
    return tables.table(
        (
            tables.text("step_id", "step"),
            tables.text("methods", "methods"),
            tables.text("languages", "languages"),
            facts,
        ),
        rows,
    )


def _unfinished(study: StudyRows) -> Table:
    rows: list[Row] = [step for step in study.steps if not step["is_done"]]
    columns = (
        tables.text("step_id", "step"),
        tables.text("kind", "kind"),
        tables.text("methods", "methods"),
        tables.text("languages", "languages"),
        tables.count("n_attempts", "attempts"),
        tables.text("last_error", "last error"),
    )
    return tables.table(columns, rows)
