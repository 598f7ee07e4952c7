"""Loops, wrong language, unasked code, empty, cut and declined answers, invented queries: how often each
happens, a panel a language."""

from warehouse.charts._intervals import Line, bars
from warehouse.charts.theme import Order, Panel, Rows, by_language, label, number, share_axis


def chart(rows: Rows, order: Order) -> list[Panel]:
    """Share of answers with a critical error, by method and language, with Wilson's 95% interval."""
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
                        group=row["label"],
                    )
                    for row in sorted(found, key=lambda row: (row["role"], row["error"]))
                ],
                axis="share of answers",
                domain=domain,
            ),
        )
        for language, found in by_language(rows, order)
    ]
