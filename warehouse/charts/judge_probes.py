"""Judge probes: how often a planted text moved a verdict, a panel a probe."""

from warehouse.charts._intervals import NEUTRAL, Line, bars
from warehouse.charts.theme import Order, Panel, Rows, number, place


def chart(rows: Rows, order: Order) -> list[Panel]:
    """Share of verdicts that changed when a text was planted in the answer, with Wilson's 95% interval.

    The text asks for the best score and adds nothing; a judge that reads answers as data does not move.
    """
    measures = list(dict.fromkeys(row["measure"] for row in rows))
    return [
        Panel(
            probe,
            bars(
                [
                    Line(
                        row["language"],
                        row["share_moved"],
                        row["ci_low"],
                        row["ci_high"],
                        f"{number(100 * row['share_moved'], 0)}% of {row['n']}" if row["n"] else "unscored",
                        NEUTRAL,
                        group=measure,
                    )
                    for measure in measures
                    for row in sorted(rows, key=lambda row: place(order.languages, row["language"]))
                    if (row["probe"], row["measure"]) == (probe, measure)
                ],
                axis="share of verdicts moved",
                domain=(0.0, 1.0),
            ),
        )
        for probe in dict.fromkeys(row["probe"] for row in rows)
    ]
