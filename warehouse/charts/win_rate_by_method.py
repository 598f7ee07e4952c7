"""Win rates by one pairwise judge on one data set, a panel a language."""

from warehouse.charts._intervals import Line, dots, method_line, panels_by_language
from warehouse.charts.theme import Order, Panel, Row, Rows, answers_link, number

LEVEL = 50.0


def chart(rows: Rows, order: Order) -> list[Panel]:
    """Share of comparisons that a method's answer won, in per cent, a tie counting half, with 95% interval.

    The dashed line is where both win equally often.
    """

    def line(row: Row) -> Line:
        text = f"{number(row['win_rate'], 1)}% · n {row['n']}" if row["n"] else "unscored"
        return method_line(
            row,
            order,
            "win_rate",
            text,
            f"against {row['against']}",
            answers_link(row, against=row["against"]),
        )

    def lines(found: Rows) -> list[Line]:
        return [line(row) for row in sorted(found, key=lambda row: row["against"])]

    return panels_by_language(
        rows, order, lines, dots, axis="win rate, %", domain=(0.0, 100.0), reference=LEVEL
    )
