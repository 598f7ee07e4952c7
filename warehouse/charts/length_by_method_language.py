"""Length of the answers, to be read beside their scores."""

from warehouse.charts._intervals import Line, bars, method_line, panels_by_language
from warehouse.charts.theme import Order, Panel, Row, Rows, number, reach


def chart(rows: Rows, order: Order) -> list[Panel]:
    """Mean length of the answers in characters, by method and language.

    Judges tend to prefer longer answers: read it beside the scores above.
    """
    domain = reach(rows, ("mean_characters",), least=(0.0, 1.0))

    def line(row: Row) -> Line:
        text = f"{number(row['mean_characters'], 0)} · n {row['n']}"
        return method_line(row, order, "mean_characters", text)

    return panels_by_language(
        rows, order, lambda found: [line(row) for row in found], bars, axis="characters", domain=domain
    )
