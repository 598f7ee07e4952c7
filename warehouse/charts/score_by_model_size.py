"""One measure on one data set: does it grow with the model?"""

from typing import Any

from warehouse.charts.theme import PANEL_WIDTH, Order, Panel, Rows, answers_link, score_axis, themed


def chart(rows: Rows, order: Order) -> list[Panel]:
    """Mean score over the languages by the model's parameters, with its 95% interval.

    The axis of parameters is logarithmic. Errors are clustered by item. Each panel shows one method in
    colour and the others in grey behind it.
    """
    return [
        Panel(method, _lines(rows, method, order))
        for method in order.methods
        if any(row["method"] == method for row in rows)
    ]


def _lines(rows: Rows, method: str, order: Order) -> dict[str, Any]:
    """The method in colour, the others behind it in grey, so that lines that cross can be followed."""
    import altair as alt

    domain, axis = score_axis(rows)
    values: list[dict[str, Any]] = [
        {
            "parameters": row["num_parameters"],
            "score": row["mean_score"],
            "low": None if row["ci_low"] is None else max(row["ci_low"], domain[0]),
            "high": None if row["ci_high"] is None else min(row["ci_high"], domain[1]),
            "beyond": [
                {"at": end, "angle": angle}
                for end, angle, is_beyond in (
                    (domain[0], 180, row["ci_low"] is not None and row["ci_low"] < domain[0]),
                    (domain[1], 0, row["ci_high"] is not None and row["ci_high"] > domain[1]),
                )
                if is_beyond
            ],
            "method": row["method"],
            "link": answers_link(row, sort="lowest"),
            "is_shown": row["method"] == method,
        }
        for row in rows
        if row["num_parameters"] and row["mean_score"] is not None
    ]
    sizes = sorted({value["parameters"] for value in values})
    x = alt.X(
        "parameters:Q",
        title="parameters",
        scale=alt.Scale(type="log", domain=[sizes[0] / 1.25, sizes[-1] * 1.25], nice=False),
        axis=alt.Axis(values=sizes, grid=False, labelExpr="replace(format(datum.value, '.3~s'), 'G', 'B')"),
    )
    y = alt.Y("score:Q", title=axis, scale=alt.Scale(domain=list(domain), nice=False, zero=False))
    base = alt.Chart(alt.Data(values=tuple(values))).encode(x=x, y=y, detail=alt.Detail("method:N"))
    others = base.transform_filter("!datum.is_shown").mark_line(color="#888888", opacity=0.35)
    shown = base.transform_filter("datum.is_shown")
    colour = order.colour(method)
    line = shown.mark_line(color=colour, strokeWidth=2)
    interval = (
        shown.transform_filter("datum.low !== null")
        .mark_rule(color=colour, strokeWidth=1.8)
        .encode(y=alt.Y("low:Q"), y2=alt.Y2("high:Q"))
    )
    point = shown.mark_point(color=colour, fill=colour, shape=order.shape(method), size=70, opacity=1).encode(
        href=alt.Href("link:N")
    )
    arrow = (
        shown.transform_flatten(["beyond"])
        .transform_calculate(at="datum.beyond.at", angle="datum.beyond.angle")
        .mark_point(color=colour, shape="triangle-up", filled=True, size=45, opacity=1)
        .encode(y=alt.Y("at:Q"), angle=alt.Angle("angle:Q", scale=None))
    )
    return themed(
        alt.layer(others, line, interval, arrow, point).properties(width=PANEL_WIDTH - 60, height=150)
    )
