"""One measure on one data set: methods as rows, a panel a language."""

from warehouse.charts._intervals import Line, dots
from warehouse.charts.theme import Order, Panel, Rows, by_language, decimals_for, label, number, score_axis


def chart(rows: Rows, order: Order) -> list[Panel]:
    """Mean score of each method, by language, with its 95% interval (errors clustered by item).

    A point without a line has no interval: all its scores are the same, or there is only one.
    """
    domain, axis = score_axis(rows)
    decimals = decimals_for(row["mean_score"] for row in rows)
    return [
        Panel(
            language,
            dots(
                [
                    Line(
                        label(row, order),
                        row["mean_score"],
                        row["ci_low"],
                        row["ci_high"],
                        f"{number(row['mean_score'], decimals)} · n {row['n']}" if row["n"] else "unscored",
                        order.colour(row["method"]),
                        order.shape(row["method"]),
                    )
                    for row in found
                ],
                axis=axis,
                domain=domain,
            ),
        )
        for language, found in by_language(rows, order)
    ]
