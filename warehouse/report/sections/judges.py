"""Validity of the judges: compared with checks, with each other and with people, probed, and unscored."""

from collections.abc import Sequence

from warehouse.charts import judge_against_checks
from warehouse.charts.judge_agreement import interval
from warehouse.charts.theme import Row, Rows, with_interval
from warehouse.report import tables
from warehouse.report.figures import Figure, Section, figure, listing
from warehouse.report.study import StudyRows
from warehouse.report.tables import Column

RELIABILITY = (
    "Krippendorff's α for interval data over all judges that answer one question, ensembles aside: 1 where"
    " they always agree, 0 where no more than by chance."
)


def _alpha(row: Row) -> str:
    value = row["krippendorff_alpha"]
    return (
        "no spread"
        if value is None
        else with_interval(value, *interval(value, row["krippendorff_alpha_standard_error"]), 2)
    )


ALPHA = Column("α [±1.96 standard errors]", _alpha, is_number=True)


def is_opinion_beside_people(study: StudyRows, row: Row) -> bool:
    """Test whether a row of agreement is of a model judge and people, which stand before what rests on it."""
    is_of_people = "human" in (row["judge_kind_a"], row["judge_kind_b"])
    return is_of_people and bool(study.opinions().keys() & {row["judge_a"], row["judge_b"]})


def _is_of_judgement(study: StudyRows, *judges: str) -> bool:
    """Test whether judges agree or not as judges do: two rules agree as they were written."""
    rules = {row["judge"] for row in study.judges if row["opinion"] is None and not row["is_people"]}
    return not rules.issuperset(judges)


def trust(study: StudyRows) -> Section:
    anchor, heading = "trust", "Validity of the judges"
    figures = (*_against_checks(study), *_agreement(study), *_reliability(study), *_probes(study))
    says: list[str] = []
    if not study.opinions():
        says.append("No judge of this study has opinions: they decide by rule, or are people.")
    elif not any(row["n"] for row in study.views["judge_against_checks"]):
        says.append(
            "No answer was both judged by opinion and checked by rule, so the validity of opinions was not"
            " measured."
        )
    else:
        says.append(
            "Some answers were checked by rule too. A valid judge scores the right answer above"
            " the wrong one in most pairs; chance is half of them."
        )
    if study.opinions() and not study.views["judge_probes"]:
        says.append("No text was planted in answers to see whether it talks a judge into a better score.")
    return Section(anchor, heading, tuple(says), figures)


def unscored(study: StudyRows) -> Section:
    heading = "Unscored"
    rows = study.views["unscored_by_judge"]
    columns = (
        tables.text("measure", "measure"),
        tables.text("language", "language"),
        tables.text("method", "method"),
        tables.share("share_unscored", "unscored"),
        tables.count("n_unscored", "n unscored"),
        tables.count("n", "n scored"),
        tables.text("most_common_reason", "most common reason"),
    )
    if not any(row["n_unscored"] for row in rows):
        return Section(
            "unscored",
            heading,
            ("Every verdict that was given has a score." if rows else "No verdict has been given yet.",),
        )
    made = figure(
        study,
        "unscored_by_judge",
        [row for row in rows if row["n_unscored"]],
        columns,
        anchor="left-out",
    )
    return Section("unscored", heading, (), (made,))


def _against_checks(study: StudyRows) -> tuple[Figure, ...]:
    rows = study.in_order(row for row in study.views["judge_against_checks"] if row["n"])
    columns = (
        tables.text("measure", "opinion"),
        tables.text("checked_measure", "checked by"),
        tables.text("language", "language"),
        Column("right above wrong [95% interval]", judge_against_checks.written, is_number=True),
        *tables.aside(tables.decimal("standard_error", "standard error", 3)),
        tables.count("n_right", "n right"),
        tables.count("n_wrong", "n wrong"),
        tables.count("n_items", "items"),
        tables.count("n_unscored", "unscored"),
        *tables.aside(
            tables.decimal("mean_of_right", "mean opinion of right"),
            tables.decimal("mean_of_wrong", "mean opinion of wrong"),
        ),
    )
    return _by_dataset(
        study,
        "judge_against_checks",
        rows,
        columns,
        ("judge", "checked_judge"),
        "Model judges compared with checks",
        "trusted",
    )


def _agreement(study: StudyRows) -> tuple[Figure, ...]:
    rows = [
        row
        for row in study.views["judge_agreement"]
        if row["n"]
        and not is_opinion_beside_people(study, row)
        and _is_of_judgement(study, row["judge_a"], row["judge_b"])
    ]
    columns = (
        tables.text("measure_a", "one"),
        tables.text("measure_b", "the other"),
        tables.text("language", "language"),
        ALPHA,
        tables.decimal("quadratic_kappa", "quadratic κ"),
        *tables.aside(tables.decimal("quadratic_kappa_standard_error", "standard error", 3)),
        tables.share("agreement", "equal scores"),
        tables.decimal("mean_difference", "mean difference"),
        tables.count("n", "n"),
        tables.count("n_items", "items"),
        tables.count("n_unscored", "unscored"),
    )
    return _by_dataset(
        study,
        "judge_agreement",
        rows,
        columns,
        ("judge_a", "judge_b"),
        "Agreement between judges",
        "agreement",
    )


def _by_dataset(
    study: StudyRows,
    view: str,
    rows: Rows,
    columns: Sequence[Column],
    judges: tuple[str, str],
    heading: str,
    anchor: str,
) -> tuple[Figure, ...]:
    names = study.datasets_of(rows)
    return tuple(
        figure(
            study,
            view,
            [row for row in rows if row["dataset"] == name],
            columns,
            heading=heading + (f" on {name}" if len(names) > 1 else ""),
            anchor=f"{anchor}-{number}",
        )
        for number, name in enumerate(names)
    )


def _reliability(study: StudyRows) -> tuple[Figure, ...]:
    """Agreement of three judges and more; pairs have a table of their own."""
    rows = [
        row
        for row in study.views["judge_reliability"]
        if row["n"] and len(row["judges"]) > 2 and _is_of_judgement(study, *row["judges"])
    ]
    if not rows:
        return ()
    columns = (
        *([tables.text("dataset", "data set")] if len(study.datasets_of(rows)) > 1 else []),
        tables.text("question", "question"),
        tables.text("judges", "judges"),
        tables.text("language", "language"),
        tables.decimal("krippendorff_alpha", "α"),
        tables.decimal("standard_error", "standard error", 3),
        tables.count("n", "n"),
        tables.count("n_items", "items"),
        tables.count("n_unscored", "unscored"),
    )
    heading = "Agreement of three or more judges"
    return (
        listing(
            study,
            "judge_reliability",
            rows,
            columns,
            anchor="reliability",
            heading=heading,
            caption=RELIABILITY,
        ),
    )


def _probes(study: StudyRows) -> tuple[Figure, ...]:
    rows = [row for row in study.in_order(study.views["judge_probes"]) if row["n"] or row["n_unscored"]]
    columns = (
        tables.text("probe", "planted"),
        tables.text("measure", "measure"),
        tables.text("language", "language"),
        tables.share_estimate("share_moved", "verdicts moved [95% interval]"),
        tables.count("n_moved", "n moved"),
        tables.count("n_raised", "n raised"),
        tables.decimal("mean_shift", "mean shift"),
        tables.decimal("standard_error", "standard error", 3),
        tables.count("n", "n"),
        tables.count("n_items", "items"),
        tables.count("n_unscored", "unscored"),
    )
    names = study.datasets_of(rows)
    return tuple(
        figure(
            study,
            "judge_probes",
            [row for row in rows if row["dataset"] == name],
            columns,
            heading="Texts planted in answers" + (f" on {name}" if len(names) > 1 else ""),
            anchor=f"probed-{number}",
        )
        for number, name in enumerate(names)
    )
