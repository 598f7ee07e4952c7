"""Judges that compare two answers: who wins, and how strong that makes each method."""

from warehouse.charts.theme import Row, decimals_for, number, with_interval
from warehouse.report import tables
from warehouse.report.figures import COUNTS, Section, by_measure, cell
from warehouse.report.prose import UNTESTED
from warehouse.report.study import StudyRows
from warehouse.report.tables import Column


def comparisons(study: StudyRows) -> Section | None:
    rates = study.order.sort(study.views["win_rate_by_method"])
    if not rates:
        return None
    where = cell(study)
    rate = (
        *where,
        tables.text("against", "against"),
        tables.estimate("win_rate", "win rate, % [95% interval]"),
        *tables.aside(tables.decimal("standard_error", "standard error")),
        *COUNTS,
        tables.count("n_inconsistent", "flipped with the order"),
        tables.share("share_inconsistent", "of those asked both ways"),
    )
    strength = (
        *where,
        Column("strength [95% interval]", _strength, is_number=True),
        *tables.aside(tables.decimal("standard_error", "standard error")),
        tables.share("win_rate", "of its comparisons won"),
        tables.count("n", "n"),
        tables.count("n_items", "items"),
        Column("note", lambda row: "a tie was added to each pair" if row["is_regularised"] else ""),
    )
    strengths = study.order.sort(study.views["method_strength"])
    says = [UNTESTED, "A verdict that changes with the order is a tie."]
    if any(row["is_regularised"] for row in strengths):
        says.append(
            "Where methods won or lost everything, a tie was added to each pair for a finite strength, and an"
            " interval has no end on one side."
        )
    if any(row["strength"] is None for row in strengths):
        says.append(
            "Some methods never met, directly or through others, so their strengths can't be compared."
        )
    if any(row["train_languages"] for row in strengths):
        says.append(
            "Strengths are of the models that were trained: their intervals are over items, not over training"
            " runs."
        )
    return Section(
        "wins",
        "Win rates and strengths",
        tuple(says),
        (
            *by_measure(study, "win_rate_by_method", study.in_order(rates), rate),
            *by_measure(study, "method_strength", study.in_order(strengths), strength),
        ),
    )


def _strength(row: Row) -> str:
    """A strength and its interval, which has no end where a method won or lost everything."""
    value, low, high = row["strength"], row["ci_low"], row["ci_high"]
    if value is None:
        return "–"
    if not row["is_regularised"] or row["n_items"] < 2:
        return with_interval(value, low, high)
    places = decimals_for((value, low, high))
    return (
        f"{number(value, places)} [{'−∞' if low is None else number(low, places)},"
        f" {'∞' if high is None else number(high, places)}]"
    )
