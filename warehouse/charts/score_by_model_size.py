"""One measure on one data set: does it grow with the model?"""

from typing import Any

from warehouse.charts.theme import PANEL_WIDTH, Order, Panel, Rows, score_axis, themed


def chart(rows: Rows, order: Order) -> list[Panel]:
    """Mean score over the languages by the model's parameters (logarithmic), with its 95% interval.

    Errors are clustered by item. Each panel shows one method in colour and the others in grey behind it.
    """
    return [
        Panel(method, _lines(rows, method, order))
        for method in order.methods
        if any(row["method"] == method for row in rows)
    ]


def _lines(rows: Rows, method: str, order: Order) -> dict[str, Any]:
    """The method in colour, the others behind it in grey, so that lines that cross can be followed."""
    import altair as alt

    values = [
        {
            "parameters": row["num_parameters"],
            "score": row["mean_score"],
            "low": row["ci_low"],
            "high": row["ci_high"],
            "method": row["method"],
            "is_shown": row["method"] == method,
        }
        for row in rows
        if row["num_parameters"] and row["mean_score"] is not None
    ]
    domain, axis = score_axis(rows)
    sizes = sorted({value["parameters"] for value in values})
    x = alt.X(
        "parameters:Q",
        title="parameters",
        scale=alt.Scale(type="log", domain=[sizes[0] / 1.25, sizes[-1] * 1.25], nice=False),
        axis=alt.Axis(values=sizes, grid=False, labelExpr="replace(format(datum.value, '.3~s'), 'G', 'B')"),
    )
    y = alt.Y("score:Q", title=axis, scale=alt.Scale(domain=list(domain), nice=False, zero=False))
    base = alt.Chart(alt.Data(values=values)).encode(x=x, y=y, detail="method:N")
    others = base.transform_filter("!datum.is_shown").mark_line(color="#888888", opacity=0.35)
    shown = base.transform_filter("datum.is_shown")
    colour = order.colour(method)
    line = shown.mark_line(color=colour, strokeWidth=2)
    interval = (
        shown.transform_filter("datum.low !== null")
        .mark_rule(color=colour, strokeWidth=1.8)
        .encode(y=alt.Y("low:Q"), y2="high:Q")
    )
    point = shown.mark_point(color=colour, fill=colour, shape=order.shape(method), size=70, opacity=1)
    return themed(alt.layer(others, line, interval, point).properties(width=PANEL_WIDTH - 60, height=150))
