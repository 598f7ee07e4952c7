"""Length of answers, and differences between methods adjusted for length."""

from collections import Counter
from dataclasses import replace

from warehouse.charts.theme import Rows
from warehouse.report import tables
from warehouse.report.figures import FIRST_IS_BETTER, SCOPE, Figure, Section, by_dataset, cell, listing, model
from warehouse.report.grids import length_grids
from warehouse.report.prose import counted
from warehouse.report.sections.contrasts import CONTRAST
from warehouse.report.study import StudyRows
from warehouse.report.tables import Column

ADJUSTED = (
    "The difference between two methods as it was measured, and as it would be expected of answers of equal"
    " length: a regression of the paired differences on how much longer one answer is, with a spline, errors"
    " clustered by item. Exploratory: the intervals are not corrected."
)


def lengths(study: StudyRows) -> Section:
    columns = (
        *cell(study),
        tables.decimal("mean_characters", "mean characters", 0),
        tables.decimal("median_characters", "median characters", 0),
        tables.decimal("mean_new_tokens", "mean new tokens", 1),
        tables.count("n", "n"),
        tables.count("n_missing", "missing"),
    )
    view = "length_by_method_language"
    drawn = [
        replace(
            one,
            grids=length_grids([row for row in study.views[view] if row["dataset"] == name], study.order),
            legend="",
            direction="Neither more nor less is better.",
        )
        for name, one in zip(
            study.datasets_of(study.views[view]), by_dataset(study, view, columns), strict=True
        )
    ]
    rows = study.of_interest(study.views["contrast_by_language_and_size"])
    says = ("Judges tend to prefer longer answers.",) if drawn else ()
    return Section(
        "lengths",
        "Length",
        (*says, *_not_adjusted(rows)),
        (*drawn, *_adjusted(study, rows)),
    )


def _adjustable(contrasts: Rows) -> Rows:
    return [row for row in contrasts if row["length_adjusted_estimate"] is not None]


def _not_adjusted(rows: Rows) -> tuple[str, ...]:
    """Say how many contrasts can't be adjusted for length, and why."""
    reasons = Counter(str(row["unadjusted_reason"]) for row in rows if row["unadjusted_reason"])
    if not reasons:
        return ()
    n, (reason, often) = sum(reasons.values()), reasons.most_common(1)[0]
    most = "" if often == n else " (most often)"
    return (f"{n} of {counted(len(rows), 'contrast')} can't be adjusted for length: {reason}{most}.",)


def _adjusted(study: StudyRows, contrasts: Rows) -> tuple[Figure, ...]:
    """A table a data set of what length explains of each contrast that can be adjusted for it."""
    view = "contrast_by_language_and_size"
    rows = _adjustable(contrasts)
    names = study.datasets_of(rows)
    columns = (
        Column("measure", lambda row: str(row["measure"])),
        CONTRAST,
        tables.text("language", "language"),
        *model(study),
        *tables.aside(
            tables.text("of_train_languages", "first tuned on"),
            tables.text("against_train_languages", "second tuned on"),
        ),
        tables.decimal("mean_characters_of", "characters, first", 0),
        tables.decimal("mean_characters_against", "characters, second", 0),
        tables.estimate("estimate", "difference [95% interval]"),
        tables.estimate(
            "length_adjusted_estimate",
            "at equal length [95% interval]",
            "length_adjusted_ci_low",
            "length_adjusted_ci_high",
        ),
        tables.count("n", "n (pairs)"),
        *tables.aside(*SCOPE),
    )
    return tuple(
        replace(
            listing(
                study,
                view,
                [row for row in rows if row["dataset"] == name],
                columns,
                anchor=f"length-adjusted-{number}",
                heading="Contrasts at equal length" + (f" on {name}" if len(names) > 1 else ""),
                caption=ADJUSTED,
            ),
            direction=FIRST_IS_BETTER,
        )
        for number, name in enumerate(names)
    )
