"""One measure on one data set of questions that are asked in turn: a group a turn, a panel a language."""

from warehouse.charts._intervals import Line, dots, method_line, panels_by_language
from warehouse.charts.theme import Order, Panel, Row, Rows, decimals_for, number, score_axis


def chart(rows: Rows, order: Order) -> list[Panel]:
    """Mean score of each method in each turn, by language, with its 95% interval.

    Later turns have the answers before them in their prompt, so turns are not independent of each other.
    """
    domain, axis = score_axis(rows)
    decimals = decimals_for(row["mean_score"] for row in rows)

    def line(row: Row) -> Line:
        text = f"{number(row['mean_score'], decimals)} · n {row['n']}" if row["n"] else "unscored"
        return method_line(row, order, "mean_score", text, group=f"turn {row['turn']}")

    return panels_by_language(
        rows,
        order,
        lambda found: [line(row) for row in sorted(found, key=lambda row: row["turn"])],
        dots,
        axis=axis,
        domain=domain,
    )
