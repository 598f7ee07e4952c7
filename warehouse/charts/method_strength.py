"""Bradley–Terry strengths by one judge on one data set, a panel a language."""

from warehouse.charts._intervals import Line, dots, method_line, panels_by_language
from warehouse.charts.theme import Order, Panel, Row, Rows, decimals_for, number, reach


def chart(rows: Rows, order: Order) -> list[Panel]:
    """Bradley–Terry strength in log-odds against a method of mean strength, with its 95% interval.

    Profile likelihood, items as clusters. The dashed line is mean strength; two methods a unit apart meet
    at odds of 2.7 to 1. An interval that reaches the edge has no end.
    """
    domain = reach(rows, ("strength", "ci_low", "ci_high"), least=(-0.5, 0.5))
    decimals = decimals_for(row["strength"] for row in rows)

    def line(row: Row) -> Line:
        value = row["strength"]
        text = "not linked" if value is None else f"{number(value, decimals)} · n {row['n']}"
        low, high = _ends(row, domain)
        return method_line({**row, "ci_low": low, "ci_high": high}, order, "strength", text)

    return panels_by_language(
        rows,
        order,
        lambda found: [line(row) for row in found],
        dots,
        axis="strength (log-odds)",
        domain=domain,
        reference=0.0,
    )


def _ends(row: Row, domain: tuple[float, float]) -> tuple[float | None, float | None]:
    """The interval as it is drawn: to the axis's edge where it has no end."""
    if not row["is_regularised"]:
        return row["ci_low"], row["ci_high"]
    low, high = row["ci_low"], row["ci_high"]
    return domain[0] if low is None else low, domain[1] if high is None else high
