"""Critical errors: how often each happens, means with and without them, and causes of loops."""

from dataclasses import replace

from warehouse.charts.theme import Rows
from warehouse.report import tables
from warehouse.report.figures import COUNTS, Columns, Figure, Section, by_dataset, cell, listing
from warehouse.report.heat import heat_tables
from warehouse.report.prose import UNTESTED
from warehouse.report.study import StudyRows

BESIDE = (
    "Means of all scores, of answers without a critical error, and with an error as the worst score. Where"
    " the three order methods differently, errors decide."
)
CAUSES = "Answers that repeat themselves, never ended, or both, with Wilson's 95% interval."


def errors(study: StudyRows) -> Section:
    view = "critical_errors_by_cell"
    rows = study.views[view]
    if not any(row["n"] for row in rows):
        return Section("errors", "Critical errors", ("No answer was judged for errors.",))
    columns = (
        tables.text("label", "error"),
        *cell(study),
        tables.share_estimate("share", "share [95% interval]"),
        *COUNTS,
    )
    figures: list[Figure] = []
    for name, one in zip(study.datasets_of(rows), by_dataset(study, view, columns), strict=True):
        heat, note = heat_tables(study, [row for row in rows if row["dataset"] == name])
        figures.append(replace(one, grids=(), heat=heat, note=note, legend="", direction="Lower is better."))
    said = "No error in 12 answers still allows a true rate of 24% (Wilson's intervals)."
    return Section(
        "errors",
        "Critical errors",
        (UNTESTED, said),
        tuple(figures),
        (*_beside_scores(study), *_loops(study)),
        "Means without errors, and causes of loops",
    )


def _beside_scores(study: StudyRows) -> tuple[Figure, ...]:
    view = "score_beside_critical_errors"
    columns = (
        tables.text("measure", "measure"),
        *cell(study),
        tables.share_estimate(
            "p_critical", "with a critical error [95% interval]", "p_critical_low", "p_critical_high"
        ),
        tables.count("n_judged", "n judged"),
        tables.estimate("mean_of_rest", "mean of the rest [95% interval]", "rest_low", "rest_high"),
        tables.count("n_of_rest", "n of the rest"),
        tables.estimate(
            "mean_with_errors_as_worst",
            "errors as the worst score [95% interval]",
            "with_errors_as_worst_low",
            "with_errors_as_worst_high",
        ),
        *tables.aside(tables.estimate("mean_score", "all scores [95% interval]")),
        *COUNTS,
        *tables.aside(
            tables.count("n_partly_judged", "not judged for every error"),
            tables.count("n_unjudged", "not judged for errors"),
            tables.text("detectors", "errors looked for"),
        ),
    )
    rows = study.in_order(study.order.sort(study.of_interest(study.views[view])))
    return _listings(study, view, rows, columns, "Means with and without critical errors", BESIDE)


def _loops(study: StudyRows) -> tuple[Figure, ...]:
    view = "loops_by_cause"
    columns = (
        tables.text("cause", "cause"),
        *cell(study),
        tables.share_estimate("share", "share [95% interval]"),
        *COUNTS,
    )
    rows = study.order.sort(row for row in study.views[view] if row["share"])
    return _listings(study, view, rows, columns, "Causes of loops", CAUSES)


def _listings(
    study: StudyRows, view: str, rows: Rows, columns: Columns, heading: str, caption: str
) -> tuple[Figure, ...]:
    names = study.datasets_of(rows)
    return tuple(
        listing(
            study,
            view,
            [row for row in rows if row["dataset"] == name],
            columns,
            anchor=f"{view}-{number}",
            heading=heading + (f" on {name}" if len(names) > 1 else ""),
            caption=caption,
        )
        for number, name in enumerate(names)
    )
