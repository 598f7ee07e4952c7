"""Critical errors: how often each happens, means with and without them, and causes of loops."""

from warehouse.report import tables
from warehouse.report.figures import COUNTS, Figure, Section, by_dataset, by_measure, cell
from warehouse.report.prose import UNTESTED, training_scope
from warehouse.report.study import StudyRows


def errors(study: StudyRows) -> Section:
    columns = (
        tables.text("label", "error"),
        *cell(study),
        tables.share_estimate("share", "share [95% interval]"),
        *COUNTS,
    )
    said = "Wilson's intervals: 0 of 12 errors still allows a true rate of about 24%."
    shares = by_dataset(study, "critical_errors_by_cell", columns)
    says = (UNTESTED, said, *training_scope(study.views["critical_errors_by_cell"]))
    return Section(
        "errors",
        "Critical errors",
        says,
        (*shares, *_beside_scores(study)),
        _loops(study),
        "Causes of loops",
    )


def _beside_scores(study: StudyRows) -> tuple[Figure, ...]:
    columns = (
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
        tables.estimate("mean_score", "all scores [95% interval]"),
        *COUNTS,
        *tables.aside(
            tables.count("n_unjudged", "not judged for errors"), tables.text("detectors", "errors looked for")
        ),
    )
    rows = study.order.sort(study.of_interest(study.views["score_beside_critical_errors"]))
    return by_measure(study, "score_beside_critical_errors", study.in_order(rows), columns)


def _loops(study: StudyRows) -> tuple[Figure, ...]:
    columns = (
        tables.text("cause", "cause"),
        *cell(study),
        tables.share_estimate("share", "share [95% interval]"),
        *COUNTS,
    )
    return by_dataset(study, "loops_by_cause", columns)
