"""One measure on one data set: the differences a study asks for, as a forest plot with a panel a contrast."""

from warehouse.charts._intervals import panels_by_contrast
from warehouse.charts.theme import Order, Panel, Row, Rows, contrast_link, place


def chart(rows: Rows, order: Order) -> list[Panel]:
    """Paired difference between two methods, or two models, on the items both have, with its 95% interval.

    Filled: significant after correction for the tests of its family. Hollow and dark: significant only by
    itself, which that many tests would let one be by chance. Hollow and grey: not significant.
    """

    def rank(row: Row) -> tuple[int, str, str]:
        return (
            place(order.languages, row["language"]),
            row["of_train_languages"] or "",
            row["against_train_languages"] or "",
        )

    axis = (
        "← fewer with {of} · fewer with {against} →"
        if any(row.get("fault") for row in rows)
        else "← {against} better · {of} better →"
    )
    return panels_by_contrast(rows, order, lambda row: _measured(row, order), rank, contrast_link, axis)


def _measured(row: Row, order: Order) -> str:
    """Return the label of a difference: language and other training languages."""
    parts: list[str] = [row["language"]]
    sides = ((row["of"], row["of_train_languages"]), (row["against"], row["against_train_languages"]))
    named = [tuned for method, tuned in sides if method in order.retuned and tuned != row["language"]]
    parts += [f"← {tuned}" for tuned in dict.fromkeys(named) if tuned]
    return " ".join(parts)
