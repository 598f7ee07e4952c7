"""Rows of numbers with intervals, drawn as in a forest plot: name, picture, number. Several charts are made
of them."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from dsl.messages import one_line
from warehouse.charts.theme import CHARACTER_WIDTH, PANEL_WIDTH, label_width, themed

ROW_HEIGHT = 21


@dataclass(frozen=True, slots=True)
class Line:
    """One row of a panel."""

    label: str
    value: float | None
    low: float | None
    high: float | None
    text: str
    """The number as it is written at the row's end."""
    colour: str
    shape: str = "circle"
    is_filled: bool = True
    group: str = ""
    """Lines of one group stand together under its name."""


def dots(
    lines: Sequence[Line], axis: str, domain: tuple[float, float], reference: float | None = None
) -> dict[str, Any]:
    """Points with intervals. `reference` is where the line of no difference is drawn."""
    import altair as alt

    base, x, parts = _base(lines, axis, domain, reference)
    if reference is not None:
        # Of the same data as all other parts, or they could not stand in groups; one rule, not one a row.
        parts.insert(0, alt.Chart(base.data).mark_rule(strokeDash=[4, 3]).encode(x=alt.X("mean(at):Q")))
    point = base.mark_point(size=70, opacity=1, strokeWidth=1.8).encode(
        x=x,
        shape=alt.Shape("shape:N", scale=None),
        stroke=alt.Stroke("colour:N", scale=None),
        fill=alt.Fill("fill:N", scale=None),
    )
    return _finish(lines, [*parts, point])


def bars(lines: Sequence[Line], axis: str, domain: tuple[float, float]) -> dict[str, Any]:
    """Bars from zero; a rule over each shows its interval where it has one."""
    import altair as alt

    base, x, (rule, text) = _base(lines, axis, domain)
    bar = base.mark_bar(height=11, opacity=0.85).encode(
        x=x, x2=alt.datum(0), color=alt.Color("colour:N", scale=None)
    )
    return _finish(lines, [bar, rule, text])


def _base(
    lines: Sequence[Line], axis: str, domain: tuple[float, float], reference: float | None = None
) -> tuple[Any, Any, list[Any]]:
    """The rows, their axis, and what dots and bars have in common: the interval's rule and the number at the
    end."""
    import altair as alt

    values = [
        {
            # A name may occur in two lines (two groups), but a row of the axis is known by its place.
            "row": place,
            "label": one_line(line.label),
            "value": line.value,
            "low": line.low,
            "high": line.high,
            "text": one_line(line.text),
            "colour": line.colour,
            "fill": line.colour if line.is_filled else "transparent",
            "shape": line.shape,
            "at": reference,
            # Vega pastes it into code, where a line separator would be an error
            "group": one_line(line.group),
        }
        for place, line in enumerate(lines)
    ]
    width = _plot_width(lines)
    base = alt.Chart(alt.Data(values=values)).encode(y=_rows_axis(lines))
    x = alt.X("value:Q", title=axis, scale=alt.Scale(domain=list(domain), nice=False, zero=False))
    rule = (
        base.transform_filter("datum.low !== null")
        .mark_rule(strokeWidth=1.8, opacity=0.75)
        .encode(x=alt.X("low:Q"), x2="high:Q")
    )
    text = base.mark_text(align="left", baseline="middle").encode(x=alt.value(width + 8), text="text:N")
    return base, x, [rule, text]


def _rows_axis(lines: Sequence[Line]) -> Any:
    import altair as alt

    names = "[" + ",".join(_quoted(one_line(line.label)) for line in lines) + "]"
    axis = alt.Axis(labelExpr=f"{names}[datum.value]", domain=False, ticks=False, grid=False, labelPadding=8)
    # by place: the rule's data alone would put lines without interval last
    return alt.Y("row:O", title=None, axis=axis, sort="ascending")


def _finish(lines: Sequence[Line], parts: Sequence[Any]) -> dict[str, Any]:
    import altair as alt

    chart: Any = alt.layer(*parts).properties(width=_plot_width(lines), height=alt.Step(ROW_HEIGHT))
    if any(line.group for line in lines):
        groups = list(dict.fromkeys(one_line(line.group) for line in lines))
        row = alt.Row(
            "group:N",
            title=None,
            sort=groups,
            header=alt.Header(labelOrient="top", labelAnchor="start", labelFontWeight="bold"),
        )
        return themed(chart.facet(row=row, spacing=8).resolve_scale(y="independent"))
    return themed(chart)


def _plot_width(lines: Sequence[Line]) -> float:
    numbers = CHARACTER_WIDTH * max((len(line.text) for line in lines), default=0)
    return max(90.0, PANEL_WIDTH - label_width(line.label for line in lines) - numbers - 16)


def _quoted(text: str) -> str:
    """A text as a literal of Vega's expression language, which is that of JSON."""
    return json.dumps(text)
