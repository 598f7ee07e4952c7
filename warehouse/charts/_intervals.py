"""Forest plots: rows of a name, a number with its interval, and the number as text."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from dsl.messages import one_line
from warehouse.charts.theme import (
    CHARACTER_WIDTH,
    LONGEST_LABEL,
    PANEL_WIDTH,
    Order,
    Panel,
    Row,
    Rows,
    answers_link,
    by_language,
    decimals_for,
    difference,
    label,
    label_width,
    place,
    reach,
    stopped,
    themed,
    with_interval,
)

ROW_HEIGHT = 21

NARROWEST = 90.0
"""Pixels of the field in which points are drawn, at least."""

SIGNIFICANT, NOT_SIGNIFICANT = "currentColor", "#8a9099"
"""Colours of what is no method's: a method keeps its own in every picture."""

NEUTRAL = NOT_SIGNIFICANT


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
    link: str = ""
    """Link of its point to the answers behind it; empty where it stands for none."""


def method_line(
    row: Row, order: Order, value: str, text: str, group: str = "", link: str | None = None
) -> Line:
    """Return the line of a method: the value of a column with its interval, in the method's colour.

    Without a `link` it leads to the row's answers.
    """
    return Line(
        label(row, order),
        row[value],
        row.get("ci_low"),
        row.get("ci_high"),
        text + stopped(row),
        order.colour(row["method"]),
        order.shape(row["method"]),
        group=group,
        link=answers_link(row) if link is None else link,
    )


def panels_by_language(
    rows: Rows,
    order: Order,
    lines: Callable[[Sequence[Row]], list[Line]],
    draw: Callable[..., dict[str, Any]],
    **settings: Any,
) -> list[Panel]:
    """Return a panel for each language, in which `draw` draws the lines of its rows."""
    return [Panel(language, draw(lines(found), **settings)) for language, found in by_language(rows, order)]


def panels_by_contrast(
    rows: Rows,
    order: Order,
    name: Callable[[Row], str],
    rank: Callable[[Row], Any],
    link: Callable[[Row], str],
    axis: str,
) -> list[Panel]:
    """Return a panel for each contrast: its differences as dots, filled and coloured by significance.

    Args:
        rows: rows of contrasts or gaps.
        order: the study's; of several models each has its lines under its name.
        name: the name of a row's line.
        rank: sorts the lines of a panel.
        link: the answers behind a row.
        axis: the axis's title, with `{of}` and `{against}` for the two methods.
    """
    ranked = sorted(rows, key=lambda row: (place(order.models, row["model"]), rank(row)))
    domain = reach(rows, ("ci_low", "ci_high", "estimate"), least=(-0.1, 0.1))
    decimals = decimals_for(row[column] for row in rows for column in ("estimate", "ci_low", "ci_high"))
    return [
        Panel(
            title,
            dots(
                [
                    replace(
                        _difference(row, name(row), decimals),
                        group=row["model"] if len(order.models) > 1 and not row.get("method") else "",
                        link=link(row),
                    )
                    for row in ranked
                    if row["contrast"] == contrast
                ],
                axis=axis.format(of=of, against=against),
                domain=domain,
                reference=0.0,
            ),
        )
        for contrast, of, against, title in dict.fromkeys(
            (row["contrast"], row["of"], row["against"], difference(row)) for row in rows
        )
    ]


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
        href=alt.Href("link:N"),
    )
    return _finish(lines, [*parts, point])


def bars(lines: Sequence[Line], axis: str, domain: tuple[float, float]) -> dict[str, Any]:
    """Bars from zero; a rule over each shows its interval where it has one."""
    import altair as alt

    base, x, parts = _base(lines, axis, domain)
    bar = base.mark_bar(height=11, opacity=0.85).encode(
        x=x, x2=alt.datum(0), color=alt.Color("colour:N", scale=None), href=alt.Href("link:N")
    )
    return _finish(lines, [bar, *parts])


def _difference(row: Row, name: str, decimals: int) -> Line:
    return Line(
        name,
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


def _base(
    lines: Sequence[Line], axis: str, domain: tuple[float, float], reference: float | None = None
) -> tuple[Any, Any, list[Any]]:
    """Return what dots and bars share: rows, axis, the intervals' rules and the numbers at the end.

    The axis ends at its domain; an interval that goes on ends in an arrow.
    """
    import altair as alt

    values = [
        {
            # A name may occur in two lines (two groups), but a row of the axis is known by its place.
            "row": number,
            "label": one_line(line.label),
            "value": line.value,
            "low": None if line.low is None else max(line.low, domain[0]),
            "high": None if line.high is None else min(line.high, domain[1]),
            "beyond_low": domain[0] if line.low is not None and line.low < domain[0] else None,
            "beyond_high": domain[1] if line.high is not None and line.high > domain[1] else None,
            "text": one_line(line.text),
            "colour": line.colour,
            "fill": line.colour if line.is_filled else "transparent",
            "shape": line.shape,
            "at": reference,
            "link": line.link,
            # Vega pastes it into code, where a line separator would be an error
            "group": one_line(line.group),
        }
        for number, line in enumerate(lines)
    ]
    width = _plot_width(lines)
    base = alt.Chart(alt.Data(values=tuple(values))).encode(y=_rows_axis(lines))
    x = alt.X("value:Q", title=axis, scale=alt.Scale(domain=list(domain), nice=False, zero=False))
    rules = [
        base.transform_filter("datum.low !== null")
        .mark_rule(strokeWidth=1.8, opacity=0.75)
        .encode(x=alt.X("low:Q"), x2=alt.X2("high:Q")),
        *(
            base.transform_filter(f"datum.{end} !== null")
            .mark_point(shape=shape, size=45, filled=True, opacity=0.75, color="currentColor")
            .encode(x=alt.X(f"{end}:Q"))
            for end, shape in (("beyond_low", "triangle-left"), ("beyond_high", "triangle-right"))
            if any(value[end] is not None for value in values)
        ),
    ]
    text = base.mark_text(align="left", baseline="middle").encode(
        x=alt.XValue(width + 8), text=alt.Text("text:N")
    )
    return base, x, [*rules, text]


def _rows_axis(lines: Sequence[Line]) -> Any:
    import altair as alt

    names = "[" + ",".join(_quoted(one_line(line.label)) for line in lines) + "]"
    room = _label_room(lines)
    axis = alt.Axis(
        labelExpr=f"{names}[datum.value]",
        domain=False,
        ticks=False,
        grid=False,
        labelPadding=8,
        # cut before it is as wide as that in a reader's font
        labelLimit=room - 15,
        minExtent=label_width((line.label for line in lines), room),
    )
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
    names = label_width((line.label for line in lines), _label_room(lines))
    return max(NARROWEST, PANEL_WIDTH - names - _numbers_width(lines) - 16)


def _label_room(lines: Sequence[Line]) -> float:
    """Pixels that names may take, so that the panel is no wider than a phone beside its numbers."""
    return max(60.0, min(LONGEST_LABEL, PANEL_WIDTH - NARROWEST - _numbers_width(lines) - 16))


def _numbers_width(lines: Sequence[Line]) -> float:
    return CHARACTER_WIDTH * max((len(line.text) for line in lines), default=0)


def _quoted(text: str) -> str:
    """A text as a literal of Vega's expression language, which is that of JSON."""
    return json.dumps(text)
