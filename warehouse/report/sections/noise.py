"""Methods beside themselves, asked again: the noise floor of the measures, and false findings."""

from warehouse.charts.theme import Rows
from warehouse.report import tables
from warehouse.report.figures import Section, cell, listing
from warehouse.report.prose import counted, value_range
from warehouse.report.study import StudyRows

CAPTION = (
    "Mean score the second time minus the first, in another batch and order and with further calls of the"
    " judges, with its 95% interval; each test by itself."
)


def noise(study: StudyRows) -> Section | None:
    """Return the differences of methods from themselves; None where none was asked again."""
    rows = study.in_order(study.views["noise_by_method_language"])
    if not rows:
        return None
    columns = (
        *([tables.text("dataset", "data set")] if len(study.datasets_of(rows)) > 1 else []),
        tables.text("measure", "measure"),
        *cell(study),
        tables.estimate("estimate", "difference [95% interval]"),
        tables.probability("p_value", "p"),
        tables.count("n", "n"),
        tables.count("n_unscored", "unscored"),
    )
    table = listing(study, "noise_by_method_language", rows, columns, anchor="again", caption=CAPTION)
    return Section("noise", "Noise floor", (false_findings(rows),), (table,))


def false_findings(rows: Rows) -> str:
    """Count the significant differences of methods from themselves, which are false by design."""
    tested = [row for row in rows if row["p_value"] is not None]
    found = sum(bool(row["is_significant"]) for row in tested)
    n, verb = value_range(row["n"] for row in rows), "is" if found == 1 else "are"
    tests = counted(len(tested), "A/A test")
    return f"{found} of {tests} on {n} questions {verb} falsely significant at 5%."
