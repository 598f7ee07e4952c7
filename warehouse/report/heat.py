"""Heat tables: kinds of error by language down, methods across, each share beside its denominator."""

from dataclasses import dataclass

from warehouse.charts.theme import Row, Rows, answers_link, method_name, stopped
from warehouse.report.grids import Heat
from warehouse.report.prose import listed
from warehouse.report.study import StudyRows
from warehouse.report.tables import percent_interval
from warehouse.report.wording import language_name, percent

MOST_TABLES = 4
"""Tables of one data set; further models are in the warehouse."""


@dataclass(frozen=True, slots=True)
class HeatRow:
    """One kind of error in one language."""

    error: str
    """Empty below the first of its kind."""
    language: str
    cells: tuple[Heat | None, ...]


@dataclass(frozen=True, slots=True)
class HeatTable:
    """The errors of one model."""

    title: str
    columns: tuple[tuple[str, str], ...]
    """(name, method)."""
    rows: tuple[HeatRow, ...]


def heat_tables(study: StudyRows, rows: Rows) -> tuple[tuple[HeatTable, ...], str]:
    """Return the heat tables of a data set, and a sentence on the errors that no answer has.

    `rows` are of `critical_errors_by_cell`.
    """
    judged = [row for row in rows if row["n"]]
    seen = {row["error"] for row in judged if row["share"]}
    ranked = sorted(judged, key=lambda row: (row["role"], row["error"]))
    none = list(dict.fromkeys(str(row["label"]) for row in ranked if row["error"] not in seen))
    note = f"Found in no answer that was judged: {listed([f'“{label}”' for label in none])}." if none else ""
    models = [model for model in study.order.models if any(row["model"] == model for row in judged)]
    found = [
        _table(
            study, model if len(models) > 1 else "", [row for row in ranked if row["model"] == model], seen
        )
        for model in models[:MOST_TABLES]
    ]
    return tuple(table for table in found if table.rows), note


def _table(study: StudyRows, title: str, rows: Rows, seen: set[str]) -> HeatTable:
    columns = dict.fromkeys((method_name(row, study.order), row["method"]) for row in study.order.sort(rows))
    lines: list[HeatRow] = []
    for error in dict.fromkeys(row["error"] for row in rows if row["error"] in seen):
        of_error = [row for row in rows if row["error"] == error]
        is_critical = of_error[0]["role"] == "critical_error"
        label = f"{of_error[0]['label']}{'' if is_critical else ' (not critical)'}"
        for language in study.order.languages:
            here = {method_name(row, study.order): row for row in of_error if row["language"] == language}
            if here:
                cells = tuple(_heat(here[name]) if name in here else None for name, _ in columns)
                lines.append(HeatRow(label, language_name(language), cells))
                label = ""
    return HeatTable(title, tuple(columns), tuple(lines))


def _heat(row: Row) -> Heat:
    interval = percent_interval(row["share"], row["ci_low"], row["ci_high"])
    return Heat(
        row["share"],
        f"{percent(row['share'])} of {row['n']}{stopped(row)}",
        f"{row['label']}, {row['method']} in {language_name(row['language'])}: {interval}, n = {row['n']}",
        answers_link(row, only="wrong"),
    )
