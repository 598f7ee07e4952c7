"""One measure on one data set: the differences a study asks for, as a forest plot with a panel a contrast."""

from warehouse.charts._intervals import Line, dots
from warehouse.charts.theme import Order, Panel, Row, Rows, decimals_for, place, reach, with_interval

SIGNIFICANT = "#0072B2"
NOT_SIGNIFICANT = "#999999"


def chart(rows: Rows, order: Order) -> list[Panel]:
    """Paired difference between two methods on the items both have, with its 95% interval.

    Filled: significant after correction for the tests of its family. Hollow and blue: significant only by
    itself, which that many tests would let one be by chance. Hollow and grey: not significant.
    """
    domain = reach(rows, ("ci_low", "ci_high", "estimate"), least=(-0.1, 0.1))
    decimals = decimals_for(row[column] for row in rows for column in ("estimate", "ci_low", "ci_high"))
    names = list(dict.fromkeys((row["contrast"], row["of"], row["against"]) for row in rows))
    return [
        Panel(
            f"{of} − {against}",
            dots(
                [_line(row, order, decimals) for row in _in_order(rows, order) if row["contrast"] == name],
                axis=f"← {against} better · {of} better →",
                domain=domain,
                reference=0.0,
            ),
        )
        for name, of, against in names
    ]


def _line(row: Row, order: Order, decimals: int) -> Line:
    return Line(
        _measured(row, order),
        row["estimate"],
        row["ci_low"],
        row["ci_high"],
        "no pairs"
        if row["estimate"] is None
        else with_interval(row["estimate"], row["ci_low"], row["ci_high"], decimals),
        SIGNIFICANT if row["is_significant_uncorrected"] else NOT_SIGNIFICANT,
        "diamond",
        is_filled=bool(row["is_significant"]),
    )


def _in_order(rows: Rows, order: Order) -> list[Row]:
    return sorted(
        rows,
        key=lambda row: (
            place(order.languages, row["language"]),
            place(order.models, row["model"]),
            row["of_train_languages"] or "",
            row["against_train_languages"] or "",
        ),
    )


def _measured(row: Row, order: Order) -> str:
    """Return the label of a difference: language, other training languages, and the model if several."""
    parts: list[str] = [row["language"]]
    for tuned in dict.fromkeys((row["of_train_languages"], row["against_train_languages"])):
        if tuned and tuned != row["language"]:
            parts.append(f"← {tuned}")
    if len(order.models) > 1:
        parts.append(f"· {row['model']}")
    return " ".join(parts)
