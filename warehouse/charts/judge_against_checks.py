"""Model judges compared with rule judges: a forest plot with a panel for each pair of measures."""

from warehouse.charts._intervals import NOT_SIGNIFICANT, SIGNIFICANT, Line, dots
from warehouse.charts.theme import Order, Panel, Row, Rows, answers_link, number, place

CHANCE = 0.5


def chart(rows: Rows, order: Order) -> list[Panel]:
    """AUC of a model judge: share of pairs with the right answer above the wrong one, with its 95% interval.

    A tie counts half; intervals are clustered by item. The dashed line is chance. Filled: significantly
    different from chance. Hollow: not significant.
    """
    ranked = sorted(rows, key=lambda row: place(order.languages, row["language"]))
    pairs = dict.fromkeys((row["measure"], row["checked_measure"]) for row in rows)
    return [
        Panel(
            f"{measure} against {checked}",
            dots(
                [
                    _line(row)
                    for row in ranked
                    if (row["measure"], row["checked_measure"]) == (measure, checked)
                ],
                axis="share of pairs with the right answer above",
                domain=(0.0, 1.0),
                reference=CHANCE,
            ),
        )
        for measure, checked in pairs
    ]


def differs_from_chance(row: Row) -> bool:
    """Return whether there is an interval and it excludes one half."""
    return row["ci_low"] is not None and not row["ci_low"] <= CHANCE <= row["ci_high"]


def written(row: Row) -> str:
    """The share with its interval, or why there is none."""
    if row["auc"] is None:
        return "nothing checked" if not row["n"] else "all wrong" if row["n_wrong"] else "all right"
    if row["ci_low"] is None:
        return f"{number(row['auc'])} [no interval]"
    return f"{number(row['auc'])} [{number(row['ci_low'])}, {number(row['ci_high'])}]"


def _line(row: Row) -> Line:
    is_significant = differs_from_chance(row)
    colour = SIGNIFICANT if is_significant else NOT_SIGNIFICANT
    return Line(
        row["language"],
        row["auc"],
        row["ci_low"],
        row["ci_high"],
        written(row),
        colour,
        "diamond",
        is_filled=is_significant,
        link=answers_link(row),
    )
