"""Unscored verdicts: a panel for each measure that has any."""

from warehouse.charts._intervals import Line, bars
from warehouse.charts.theme import Order, Panel, Rows, answers_link, number, place


def chart(rows: Rows, order: Order) -> list[Panel]:
    """Share of answers that a judge left unscored, by language and method.

    Unscored is not zero: it is left out of every mean.
    """
    found = [row for row in rows if row["n_unscored"]]
    ranked = sorted(
        found, key=lambda row: (place(order.languages, row["language"]), place(order.methods, row["method"]))
    )
    return [
        Panel(
            measure,
            bars(
                [
                    Line(
                        row["method"],
                        row["share_unscored"],
                        None,
                        None,
                        f"{number(100 * row['share_unscored'], 0)}% of {row['n'] + row['n_unscored']}",
                        order.colour(row["method"]),
                        group=row["language"],
                        link=answers_link(row, only="unscored"),
                    )
                    for row in ranked
                    if row["measure"] == measure
                ],
                axis="share unscored",
                domain=(0.0, 1.0),
            ),
        )
        for measure in dict.fromkeys(row["measure"] for row in found)
    ]
