"""What could not be scored: a panel for each measure that has any."""

from warehouse.charts._intervals import Line, bars
from warehouse.charts.theme import Order, Panel, Rows, number

LONGEST_REASON = 28


def chart(rows: Rows, order: Order) -> list[Panel]:
    """Share of answers a judge left unscored, by language and method, and the reason it gave most often. Unscored is not zero: it is left out of every mean."""
    found = [row for row in rows if row["n_unscored"]]
    ranked = sorted(found, key=lambda row: (_place(order.languages, row["language"]), _place(order.methods, row["method"])))
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
                        f"{number(100 * row['share_unscored'], 0)}% {_short(row['most_common_reason'] or '')}",
                        order.colour(row["method"]),
                        group=row["language"],
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


def _short(reason: str) -> str:
    line = " ".join(reason.split())
    return line if len(line) <= LONGEST_REASON else line[: LONGEST_REASON - 1] + "…"


def _place(names: tuple[str, ...], name: str) -> int:
    return names.index(name) if name in names else len(names)
