"""Means with and without the answers that have a critical error, a panel a language."""

from warehouse.charts._intervals import Line, dots
from warehouse.charts.theme import (
    Order,
    Panel,
    Row,
    Rows,
    by_language,
    decimals_for,
    label,
    number,
    reach,
    scale_of,
)

MEANS = (
    ("all scores", "mean_score", "ci_low", "ci_high", "n"),
    ("answers without a critical error", "mean_of_rest", "rest_low", "rest_high", "n_of_rest"),
    (
        "a critical error as the worst score",
        "mean_with_errors_as_worst",
        "with_errors_as_worst_low",
        "with_errors_as_worst_high",
        "n_with_errors_as_worst",
    ),
)
"""Name of a mean, and its columns: value, ends of the interval, n."""


def chart(rows: Rows, order: Order) -> list[Panel]:
    """Mean score of all answers, without those with critical errors, and with these as the worst score.

    With 95% intervals. Where the three order methods differently, errors decide, and a mean alone would
    hide it.
    """
    domain = reach(
        rows,
        [column for _, *columns, _ in MEANS for column in columns],
        least=scale_of(rows) if rows else None,
    )
    decimals = decimals_for(row[value] for row in rows for _, value, *_ in MEANS)
    return [
        Panel(
            language,
            dots(
                [
                    _line(row, order, decimals, name, columns)
                    for name, *columns in MEANS
                    for row in found
                    if row[columns[-1]]
                ],
                axis="mean score",
                domain=domain,
            ),
        )
        for language, found in by_language(rows, order)
    ]


def _line(row: Row, order: Order, decimals: int, name: str, columns: list[str]) -> Line:
    value, low, high, n = (row[column] for column in columns)
    text = f"{number(value, decimals)} · n {n}"
    return Line(
        label(row, order),
        value,
        low,
        high,
        text,
        order.colour(row["method"]),
        order.shape(row["method"]),
        group=name,
    )
