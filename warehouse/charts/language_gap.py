"""One measure on one data set: how far a contrast in one language is from the same contrast in another, a
panel a contrast."""

from warehouse.charts._intervals import Line, dots
from warehouse.charts.contrast_by_language_and_size import NOT_SIGNIFICANT, SIGNIFICANT
from warehouse.charts.theme import Order, Panel, Row, Rows, decimals_for, place, reach, with_interval


def chart(rows: Rows, order: Order) -> list[Panel]:
    """The contrast in one language minus the contrast in another, with its 95% interval.

    A judge's strictness in a language cancels out. Filled: significant after correction. Hollow and blue:
    significant only by itself. Hollow and grey: not significant.
    """
    domain = reach(rows, ("ci_low", "ci_high", "estimate"), least=(-0.1, 0.1))
    decimals = decimals_for(row[column] for row in rows for column in ("estimate", "ci_low", "ci_high"))
    names = list(dict.fromkeys((row["contrast"], row["of"], row["against"]) for row in rows))
    return [
        Panel(
            f"{of} − {against}",
            dots(
                [_line(row, order, decimals) for row in _in_order(rows, order) if row["contrast"] == name],
                "gap",
                domain,
                reference=0.0,
            ),
        )
        for name, of, against in names
    ]


def _line(row: Row, order: Order, decimals: int) -> Line:
    return Line(
        f"{row['language']} − {row['other_language']}"
        + (f" · {row['model']}" if len(order.models) > 1 else ""),
        row["estimate"],
        row["ci_low"],
        row["ci_high"],
        with_interval(row["estimate"], row["ci_low"], row["ci_high"], decimals),
        SIGNIFICANT if row["is_significant_uncorrected"] else NOT_SIGNIFICANT,
        "diamond",
        is_filled=bool(row["is_significant"]),
    )


def _in_order(rows: Rows, order: Order) -> list[Row]:
    return sorted(
        rows,
        key=lambda row: (
            place(order.languages, row["other_language"]),
            place(order.languages, row["language"]),
            place(order.models, row["model"]),
        ),
    )
