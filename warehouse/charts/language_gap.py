"""Gaps of one measure between languages, a panel a contrast."""

from warehouse.charts._intervals import panels_by_contrast
from warehouse.charts.theme import Order, Panel, Row, Rows, contrast_link, place


def chart(rows: Rows, order: Order) -> list[Panel]:
    """The contrast in one language minus the contrast in another, with its 95% interval.

    Filled: significant after correction. Hollow and dark: significant only by itself. Hollow and grey: not
    significant.
    """

    def name(row: Row) -> str:
        return f"{row['language']} − {row['other_language']}"

    def link(row: Row) -> str:
        return contrast_link({**row, "language": None})

    def rank(row: Row) -> tuple[int, ...]:
        return tuple(place(order.languages, row[key]) for key in ("other_language", "language"))

    return panels_by_contrast(rows, order, name, rank, link, axis="gap")
