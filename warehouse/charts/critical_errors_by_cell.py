"""Critical errors: the share of answers with each, a panel a language."""

from warehouse.charts._intervals import Line, bars, method_line, panels_by_language
from warehouse.charts.theme import Order, Panel, Row, Rows, number, share_axis


def chart(rows: Rows, order: Order) -> list[Panel]:
    """Share of answers with each error, by method and language, with Wilson's 95% interval."""

    def line(row: Row) -> Line:
        text = f"{number(100 * row['share'], 0)}% of {row['n']}" if row["n"] else "unscored"
        return method_line(row, order, "share", text, group=row["label"])

    def lines(found: Rows) -> list[Line]:
        return [line(row) for row in sorted(found, key=lambda row: (row["role"], row["error"]))]

    return panels_by_language(rows, order, lines, bars, axis="share of answers", domain=share_axis(rows))
