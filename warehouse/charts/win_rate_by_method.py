"""One judge that compares answers, on one data set: how often each method's answer wins, a panel a
language."""

from warehouse.charts._intervals import Line, dots
from warehouse.charts.theme import Order, Panel, Rows, by_language, label, number

LEVEL = 50.0


def chart(rows: Rows, order: Order) -> list[Panel]:
    """Share of comparisons that a method's answer won, in per cent, a tie counting half, with 95% interval.

    The dashed line is where both win equally often.
    """
    return [
        Panel(
            language,
            dots(
                [
                    Line(
                        label(row, order),
                        row["win_rate"],
                        row["ci_low"],
                        row["ci_high"],
                        f"{number(row['win_rate'], 1)}% · n {row['n']}" if row["n"] else "unscored",
                        order.colour(row["method"]),
                        order.shape(row["method"]),
                        group=f"against {row['against']}",
                    )
                    for row in sorted(found, key=lambda row: row["against"])
                ],
                axis="win rate, %",
                domain=(0.0, 100.0),
                reference=LEVEL,
            ),
        )
        for language, found in by_language(rows, order)
    ]
