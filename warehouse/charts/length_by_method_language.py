"""Length of the answers, to be read beside their scores."""

from warehouse.charts._intervals import Line, bars
from warehouse.charts.theme import Order, Panel, Rows, by_language, label, number, reach


def chart(rows: Rows, order: Order) -> list[Panel]:
    """Mean length of the answers in characters, by method and language.

    Judges tend to prefer longer answers: read it beside the scores above.
    """
    domain = reach(rows, ("mean_characters",), least=(0.0, 1.0))
    return [
        Panel(
            language,
            bars(
                [
                    Line(
                        label(row, order),
                        row["mean_characters"],
                        None,
                        None,
                        f"{number(row['mean_characters'], 0)} · n {row['n']}",
                        order.colour(row["method"]),
                    )
                    for row in found
                ],
                axis="characters",
                domain=domain,
            ),
        )
        for language, found in by_language(rows, order)
    ]
