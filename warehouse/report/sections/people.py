"""Model judges beside people: their agreement, and contrasts corrected by people's labels."""

from dataclasses import replace

from warehouse.charts.theme import Row, Rows, decimals_for, difference, number
from warehouse.report import tables
from warehouse.report.figures import FIRST_IS_BETTER, Figure, Section, listing, model
from warehouse.report.prose import counted, listed
from warehouse.report.sections.judges import ALPHA, is_opinion_beside_people
from warehouse.report.study import StudyRows
from warehouse.report.tables import Column
from warehouse.report.wording import language_name

AGREEMENT = (
    "Share of equal scores with Wilson's interval, Cohen's κ with quadratic weights and Krippendorff's α for"
    " interval data: 1 where judge and people always agree, 0 where no more than by chance. Errors are"
    " clustered by item."
)

BIAS = (
    "People's paired difference between two methods minus the judge's, on the items that both scored, with"
    " its 95% interval."
)

CORRECTED = (
    "Differences as people would score them: the judge's, corrected by people's labels of random items"
    " (prediction-powered inference), with a 95% interval that belongs to no test and is corrected for no"
    " other. Bias is people's difference minus the judge's on the items that both scored."
)

_SIDES = ("judge", "judge_kind", "measure")

MOST_REVERSED = 3
"""Contrasts named in a warning."""


def people_beside_judges(study: StudyRows) -> Section | None:
    """Return the agreement of model judges with people, to be read before what rests on those judges; None
    where nobody labelled what they judged."""
    rows = [
        _judge_first(row)
        for row in study.views["judge_agreement"]
        if row["n"] and is_opinion_beside_people(study, row)
    ]
    if not rows:
        return None
    columns = (
        *([tables.text("dataset", "data set")] if len({row["dataset"] for row in rows}) > 1 else []),
        tables.text("measure_a", "judge"),
        tables.text("measure_b", "people"),
        tables.text("language", "language"),
        tables.share_estimate(
            "agreement", "equal scores [95% interval]", "agreement_ci_low", "agreement_ci_high"
        ),
        tables.decimal("quadratic_kappa", "quadratic κ"),
        *tables.aside(tables.decimal("quadratic_kappa_standard_error", "standard error", 3)),
        ALPHA,
        tables.decimal("mean_difference", "judge's mean − people's"),
        tables.count("n", "n"),
        tables.count("n_items", "items"),
        tables.count("n_unscored", "unscored"),
    )
    made = listing(
        study,
        "judge_agreement",
        rows,
        columns,
        anchor="people-agreement",
        caption=AGREEMENT,
    )
    return Section(
        "people",
        "Judges and people",
        (*_agreement(rows), *_where_judges_disagree(rows)),
        (replace(made, warning=_reversed(study.views["contrast_beside_people"])),),
    )


def corrected_by_people(study: StudyRows, shown: Rows) -> tuple[Figure, ...]:
    """Return the contrasts among those shown that people labelled too, as a table: corrected, or why not, and
    the judge's bias."""
    wanted = {(row["contrast"], row["measure"]) for row in shown}
    rows = [
        row
        for row in study.in_order(study.views["contrast_beside_people"])
        if row["n_labelled"] and (row["contrast"], row["measure"]) in wanted
    ]
    if not rows:
        return ()
    columns = (
        *([tables.text("dataset", "data set")] if len({row["dataset"] for row in rows}) > 1 else []),
        Column("contrast", difference),
        tables.text("language", "language"),
        *model(study),
        *tables.aside(
            tables.text("of_train_languages", "first tuned on"),
            tables.text("against_train_languages", "second tuned on"),
        ),
        tables.text("measure", "judge"),
        tables.text("people_measure", "people"),
        tables.estimate("judged", "judge's difference [95% interval]", "judged_ci_low", "judged_ci_high"),
        tables.count("n", "n"),
        tables.estimate("estimate", "corrected [95% interval]"),
        tables.estimate("bias", "bias [95% interval]", "bias_ci_low", "bias_ci_high"),
        tables.count("n_labelled", "n labelled"),
        *tables.aside(tables.decimal("weight", "weight of the judge")),
        tables.text("uncorrected_reason", "not corrected, since"),
    )
    is_corrected = any(row["estimate"] is not None for row in rows)
    made = listing(
        study,
        "contrast_beside_people",
        rows,
        columns,
        anchor="corrected-by-people",
        caption=CORRECTED if is_corrected else BIAS,
        heading="Corrected by people's labels" if is_corrected else "Judges' bias, by people's labels",
    )
    return (replace(made, direction=FIRST_IS_BETTER),)


def _judge_first(row: Row) -> Row:
    """The row with the judge as `a` and people as `b`."""
    if row["judge_kind_a"] != "human":
        return row
    swapped = {f"{name}_{one}": row[f"{name}_{other}"] for name in _SIDES for one, other in ("ab", "ba")}
    mean = row["mean_difference"]
    return {**row, **swapped, "mean_difference": mean and -mean}


def _agreement(rows: Rows) -> tuple[str, ...]:
    """Say of each pair how often they agree, over all languages."""
    return tuple(
        f"`{row['measure_a']}` and `{row['measure_b']}` gave"
        f" {tables.percent_interval(row['agreement'], row['agreement_ci_low'], row['agreement_ci_high'])} of"
        f" {counted(row['n'], 'answer')}{_on(row, rows)} equal scores; Krippendorff's α is"
        f" {ALPHA.write(row)}."
        for row in rows
        if row["language"] == "all"
    )


def _on(row: Row, rows: Rows) -> str:
    return f" on {row['dataset']}" if len({one["dataset"] for one in rows}) > 1 else ""


def _where_judges_disagree(rows: Rows) -> tuple[str, ...]:
    found = [row for row in rows if row["language"] == "all" and row["n_where_judges_disagree"]]
    return tuple(
        f"Of these, {counted(row['n_where_judges_disagree'], 'answer')} labelled by `{row['measure_b']}` were"
        " drawn where judges disagree: on all answers agreement is likely higher."
        for row in found
    )


def _reversed(rows: Rows) -> str:
    """Say where judge and people put the two sides of a contrast in opposite orders, beyond noise."""
    found = [row for row in rows if row["is_reversed"]]
    said = [
        f"{difference(row)} in {language_name(row['language'])} is {_mean(row, 'judge')} by {row['measure']}"
        f" and {_mean(row, 'people')} by {row['people_measure']} (n = {row['n_labelled']} items)"
        for row in found[:MOST_REVERSED]
    ]
    if not said:
        return ""
    more = [f"{len(found) - MOST_REVERSED} more"] if len(found) > MOST_REVERSED else []
    return f"Judge and people rank the methods differently: {listed([*said, *more])}."


def _mean(row: Row, side: str) -> str:
    value = row[f"mean_of_{side}"]
    return number(value, decimals_for([value]))
