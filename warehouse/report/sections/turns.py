"""Means of each turn, where questions are asked in turn."""

from warehouse.report import tables
from warehouse.report.figures import COUNTS, Section, by_measure, cell
from warehouse.report.prose import UNTESTED
from warehouse.report.study import StudyRows


def turns(study: StudyRows) -> Section | None:
    """Return the section; None where no row asks in turn."""
    view = "score_by_turn"
    rows = study.of_interest(study.views[view])
    if not rows:
        return None
    columns = (
        *cell(study),
        tables.count("turn", "turn"),
        tables.estimate("mean_score", "mean [95% interval]"),
        tables.decimal("standard_error", "standard error", 3),
        *COUNTS,
        tables.count("n_seeds", "seeds"),
    )
    in_turn = sorted(rows, key=lambda row: row["turn"])
    return Section("turns", "How does each turn do?", (UNTESTED,), by_measure(study, view, in_turn, columns))
