"""Trends of contrasts with the size of the model, a panel a contrast and language."""

from typing import Any

from warehouse.charts.theme import PANEL_WIDTH, Order, Panel, Row, Rows, contrast_link, place, reach, themed

LINE, POINT = "#8a9099", "currentColor"


def chart(rows: Rows, order: Order) -> list[Panel]:
    """Paired difference between two methods by the model's parameters, with 95% intervals.

    The axis of parameters is logarithmic. The line is the trend over the models; a contrast without one is in
    the table alone. The dotted upright is where the line says that both methods are equal, where the data can
    say it.
    """
    ranked = sorted(rows, key=lambda row: place(order.languages, row["language"]))
    drawn = [row for row in ranked if row["points"] and _ends(row)]
    ends = [{**point, **end} for row in drawn for point in row["points"] for end in _ends(row)]
    domain = reach(ends, ("ci_low", "ci_high", "estimate", "value"), least=(-0.1, 0.1))
    return [Panel(_title(row, rows, order), _trend(row, domain)) for row in drawn]


def _ends(row: Row) -> list[dict[str, float]]:
    """The two ends of a trend's line; none where no trend can be estimated."""
    return [
        {"parameters": row[end], "value": row[f"at_{end}"]}
        for end in ("smallest", "largest")
        if row[f"at_{end}"] is not None
    ]


def _title(row: Row, rows: Rows, order: Order) -> str:
    tuned = [
        row[side]
        for side, method in (("of_train_languages", "of"), ("against_train_languages", "against"))
        if row[side] and row[side] != row["language"] and row[method] in order.retuned
    ]
    several = len({other["contrast"] for other in rows}) > 1
    return " ".join(
        [
            *([f"{row['of']} − {row['against']}:"] if several else []),
            row["language"],
            *(f"← {name}" for name in dict.fromkeys(tuned)),
        ]
    )


def _trend(row: Row, domain: tuple[float, float]) -> dict[str, Any]:
    import altair as alt

    points: Rows = row["points"]
    sizes = sorted({point["num_parameters"] for point in points})
    x = alt.X(
        "parameters:Q",
        title="parameters",
        scale=alt.Scale(type="log", domain=[sizes[0] / 1.25, sizes[-1] * 1.25], nice=False),
        axis=alt.Axis(values=sizes, grid=False, labelExpr="replace(format(datum.value, '.3~s'), 'G', 'B')"),
    )
    y = alt.Y(
        "value:Q",
        title=f"{row['of']} − {row['against']}"[:40],
        scale=alt.Scale(domain=list(domain), nice=False, zero=False),
    )
    values = [
        {
            "parameters": p["num_parameters"],
            "value": p["estimate"],
            "low": p["ci_low"],
            "high": p["ci_high"],
            "link": contrast_link({**row, **p}),
        }
        for p in points
        if p["estimate"] is not None
    ]
    measured = alt.Chart(alt.Data(values=tuple(values))).encode(x=x, y=y)
    interval = (
        measured.transform_filter("datum.low !== null")
        .mark_rule(color=POINT, strokeWidth=1.8)
        .encode(y=alt.Y("low:Q"), y2=alt.Y2("high:Q"))
    )
    layers: list[Any] = [
        alt.Chart(alt.Data(values=[{"at": 0}])).mark_rule(strokeDash=[4, 3]).encode(y=alt.Y("at:Q")),
        alt.Chart(alt.Data(values=tuple(_ends(row)))).mark_line(color=LINE, strokeWidth=2).encode(x=x, y=y),
        interval,
        measured.mark_point(color=POINT, fill=POINT, shape="diamond", size=70, opacity=1).encode(
            href=alt.Href("link:N")
        ),
    ]
    if row["crossing"] is not None:
        upright = alt.Chart(alt.Data(values=[{"parameters": row["crossing"]}])).mark_rule(
            color=LINE, strokeDash=[2, 3]
        )
        layers.append(upright.encode(x=x))
    return themed(alt.layer(*layers).properties(width=PANEL_WIDTH - 60, height=150))
