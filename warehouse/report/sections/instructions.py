"""Instructions that a program can check."""

from dataclasses import replace

from warehouse.charts.ifeval_accuracy import READINGS
from warehouse.charts.theme import Row, Rows
from warehouse.report import tables
from warehouse.report.figures import COUNTS, Section, cell, figure
from warehouse.report.prose import UNTESTED
from warehouse.report.study import StudyRows
from warehouse.report.tables import Column, Table


def instructions(study: StudyRows) -> Section | None:
    rows = study.order.sort(study.views["ifeval_accuracy"])
    if not rows:
        return None
    columns = (
        *cell(study),
        Column("reading", _reading),
        tables.share_estimate("accuracy", "followed [95% interval]"),
        tables.decimal("standard_error", "standard error", 3),
        *COUNTS,
    )
    found = dict.fromkeys((row["dataset"], row["judge"]) for row in rows)
    figures = tuple(
        replace(
            figure(
                study,
                "ifeval_accuracy",
                [row for row in rows if (row["dataset"], row["judge"]) == (dataset, judge)],
                columns,
                heading=f"`{judge}`" + (f" on {dataset}" if len({name for name, _ in found}) > 1 else ""),
                anchor=f"ifeval-{number}",
                brief=lambda shown: _brief(study, shown),
            ),
            direction="Higher is better.",
        )
        for number, (dataset, judge) in enumerate(found)
    )
    says = ("No model judges here: each instruction is checked by a rule.", UNTESTED)
    return Section("ifeval", "Instructions followed", says, figures)


def _reading(row: Row) -> str:
    return READINGS.get((row["strictness"], row["unit"]), f"{row['strictness']}, by {row['unit']}")


def _brief(study: StudyRows, rows: Rows) -> Table:
    """The four readings across: what papers show."""
    lines: dict[tuple[str, ...], dict[str, str]] = {}
    for row in rows:
        key = (row["language"], row["model"], row["method"], row["train_languages"])
        line = lines.setdefault(key, dict(zip(("language", "model", "method", "tuned"), key, strict=True)))
        unscored = f", {row['n_unscored']} unscored" if row["n_unscored"] else ""
        line[_reading(row)] = (
            f"{tables.percent_interval(row['accuracy'], row['ci_low'], row['ci_high'])}"
            f" ({row['n']}{unscored})"
        )
    names = (
        "language",
        *(("model",) if len(study.order.models) > 1 else ()),
        *(("method",) if len(study.order.methods) > 1 else ()),
    )
    columns = [*(tables.text(name, name) for name in names), tables.text("tuned", "tuned on")]
    return tables.table(
        [*columns, *(tables.text(name, f"{name} (n)") for name in READINGS.values())], list(lines.values())
    )
