"""One measure on one data set: methods as rows, a panel a language."""

from warehouse.charts._intervals import Line, dots, method_line, panels_by_language
from warehouse.charts.theme import Order, Panel, Row, Rows, decimals_for, number, score_axis


def chart(rows: Rows, order: Order) -> list[Panel]:
    """Mean score of each method, by language, with its 95% interval (errors clustered by item).

    A point without a line has no interval: all its scores are the same, or there is only one.
    """
    domain, axis = score_axis(rows)
    decimals = decimals_for(row["mean_score"] for row in rows)

    def line(row: Row) -> Line:
        text = f"{number(row['mean_score'], decimals)} · n {row['n']}" if row["n"] else "unscored"
        return method_line(row, order, "mean_score", text)

    return panels_by_language(
        rows, order, lambda found: [line(row) for row in found], dots, axis=axis, domain=domain
    )
