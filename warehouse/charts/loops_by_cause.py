"""Answers that never came to an end, by what went wrong: a panel a language."""

from warehouse.charts._intervals import Line, bars
from warehouse.charts.theme import Order, Panel, Rows, by_language, label, number, share_axis


def chart(rows: Rows, order: Order) -> list[Panel]:
    """Share of answers that repeat themselves, never ended, or both, with Wilson's 95% interval."""
    causes = list(dict.fromkeys(row["cause"] for row in rows))
    domain = share_axis(rows)
    return [
        Panel(
            language,
            bars(
                [
                    Line(
                        label(row, order),
                        row["share"],
                        row["ci_low"],
                        row["ci_high"],
                        f"{number(100 * row['share'], 0)}% of {row['n']}" if row["n"] else "unscored",
                        order.colour(row["method"]),
                        group=cause,
                    )
                    for cause in causes
                    for row in found
                    if row["cause"] == cause
                ],
                axis="share of answers",
                domain=domain,
            ),
        )
        for language, found in by_language(rows, order)
    ]
