"""Agreement between judges: a panel for each pair of measures."""

from warehouse.charts._intervals import NEUTRAL, Line, dots
from warehouse.charts.theme import Order, Panel, Row, Rows, answers_link, number, place

Z = 1.96
"""The normal quantile: a jackknife's error has no degrees of freedom of its own."""


def chart(rows: Rows, order: Order) -> list[Panel]:
    """Krippendorff's α of two judges' scores of the same answers, with ±1.96 jackknife standard errors.

    One: they always agree. Zero (the dashed line): no more than chance. Below it: they contradict each
    other.
    """
    ranked = sorted(rows, key=lambda row: (row["language"] == "all", place(order.languages, row["language"])))
    return [
        Panel(
            f"{one} and {other}",
            dots(
                [_line(row) for row in ranked if (row["measure_a"], row["measure_b"]) == (one, other)],
                axis="Krippendorff's α",
                domain=(-1.0, 1.0),
                reference=0.0,
            ),
        )
        for one, other in dict.fromkeys((row["measure_a"], row["measure_b"]) for row in rows)
    ]


def interval(value: float | None, error: float | None) -> tuple[float | None, float | None]:
    """±1.96 standard errors, inside the scale."""
    if value is None or error is None:
        return None, None
    return max(-1.0, value - Z * error), min(1.0, value + Z * error)


def _line(row: Row) -> Line:
    alpha = row["krippendorff_alpha"]
    text = f"no spread · n {row['n']}" if alpha is None else f"{number(alpha)} · n {row['n']}"
    low, high = interval(alpha, row["krippendorff_alpha_standard_error"])
    return Line(
        "all together" if row["language"] == "all" else row["language"],
        alpha,
        low,
        high,
        text,
        NEUTRAL,
        "diamond",
        link=answers_link(
            {**row, "language": "" if row["language"] == "all" else row["language"]}, measure=row["measure_a"]
        ),
    )
