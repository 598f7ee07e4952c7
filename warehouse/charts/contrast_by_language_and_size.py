"""One measure on one data set: the differences a study asks for, as a forest plot with a panel a contrast."""

from warehouse.charts._intervals import Line, dots
from warehouse.charts.theme import Order, Panel, Row, Rows, decimals_for, number, place, reach

TOLD_APART = "#0072B2"
NOT_TOLD_APART = "#999999"
FEWEST_EQUAL_PAIRS = 6


def chart(rows: Rows, order: Order) -> list[Panel]:
    """Paired difference between two methods on the items both have, with its 95% interval.

    Filled: told apart, the interval excludes zero. Hollow: not told apart.
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


def is_told_apart(row: Row) -> bool:
    """Whether the interval excludes zero.

    An interval without width, where all pairs differ by the same, says nothing by itself: there a sign test has to (2 · ½ⁿ < 0.05).
    """
    if row["ci_low"] is None or row["ci_low"] <= 0 <= row["ci_high"]:
        return False
    return row["ci_low"] < row["ci_high"] or row["n"] >= FEWEST_EQUAL_PAIRS


def _line(row: Row, order: Order, decimals: int) -> Line:
    text = "no pairs" if row["estimate"] is None else number(row["estimate"], decimals)
    if row["ci_low"] is not None and row["ci_low"] == row["ci_high"]:
        text += " [no spread]"
    elif row["ci_low"] is not None:
        text += f" [{number(row['ci_low'], decimals)}, {number(row['ci_high'], decimals)}]"
    return Line(
        _measured(row, order),
        row["estimate"],
        row["ci_low"],
        row["ci_high"],
        text,
        TOLD_APART if is_told_apart(row) else NOT_TOLD_APART,
        "diamond",
        is_filled=is_told_apart(row),
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
    """Where the difference was measured: language, training languages where they are others, model where there are several."""
    parts: list[str] = [row["language"]]
    for tuned in dict.fromkeys((row["of_train_languages"], row["against_train_languages"])):
        if tuned and tuned != row["language"]:
            parts.append(f"← {tuned}")
    if len(order.models) > 1:
        parts.append(f"· {row['model']}")
    return " ".join(parts)
