"""Theme of all charts: sizes, fonts, and a colour and shape for each method, the same throughout a report.

A chart is a function from rows to panels, one panel a language (or a contrast, or a metric). A panel is small
enough for a phone; on a wider screen the page sets panels side by side. Text is drawn in `currentColor`: the
page's own colours hold, in the dark too.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import ceil, floor, log10
from typing import Any
from urllib.parse import urlencode

Row = Mapping[str, Any]
"""A row of a view: column -> value."""

Rows = Sequence[Row]

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#999999")
"""The palette of Okabe and Ito without its yellow and black, which vanish on white and on black; grey
replaces them."""

SHAPES = (
    "circle",
    "square",
    "triangle-up",
    "diamond",
    "triangle-down",
    "cross",
    "triangle-right",
    "triangle-left",
)
"""One more than there are colours, so that 56 methods differ in colour or shape."""

PANEL_WIDTH = 350
"""Pixels from the first letter of a row's name to the last of its number: the width of a phone."""

CHARACTER_WIDTH = 7.2
"""Pixels of an average character at the size of a row's name, in a wide font as readers may have it."""

LONGEST_LABEL = 140
"""Pixels; longer names are cut in the picture and whole in the table."""


@dataclass(frozen=True, slots=True)
class Order:
    """Order of methods, models and languages in the study.

    Rows follow it in every figure, and a method's place decides its colour and shape.
    """

    methods: tuple[str, ...]
    models: tuple[str, ...]
    languages: tuple[str, ...]
    retuned: frozenset[str] = frozenset()
    """Methods that were trained on several sets of languages, which their rows have to name."""

    def colour(self, method: str) -> str:
        return COLOURS[place(self.methods, method) % len(COLOURS)]

    def shape(self, method: str) -> str:
        return SHAPES[place(self.methods, method) % len(SHAPES)]

    def sort(self, rows: Iterable[Row]) -> list[Row]:
        """Rows by method, model and training languages."""
        return sorted(
            rows,
            key=lambda row: (
                place(self.methods, row["method"]),
                place(self.models, row["model"]),
                row.get("train_languages") or "",
            ),
        )


def place(names: Sequence[str], name: str) -> int:
    """Return the position of a name among those of the study; unknown names come last."""
    return names.index(name) if name in names else len(names)


@dataclass(frozen=True, slots=True)
class Panel:
    """One small picture."""

    title: str
    spec: dict[str, Any]
    """Vega-Lite."""


def label(row: Row, order: Order) -> str:
    """Return the label of a row: its method, and its model if the study has several.

    Of a study with one method on several models it is the model alone.
    """
    name = method_name(row, order)
    if len(order.methods) == 1 < len(order.models):
        name = name.removeprefix(row["method"]).lstrip()
    if len(order.models) > 1:
        return f"{name} · {row['model']}" if name else str(row["model"])
    return name


def method_name(row: Row, order: Order) -> str:
    """Return a row's method, with `← en` where another set of training languages would be another row."""
    tuned = row.get("train_languages") or ""
    is_named = row["method"] in order.retuned and tuned and tuned != row.get("language")
    return f"{row['method']} ← {tuned}" if is_named else str(row["method"])


def by_language(rows: Rows, order: Order) -> list[tuple[str, list[Row]]]:
    """(language, its rows in the study's order), languages in the study's order too."""
    present = sorted(
        {row["language"] for row in rows}, key=lambda language: (place(order.languages, language), language)
    )
    return [
        (language, order.sort(row for row in rows if row["language"] == language)) for language in present
    ]


def number(value: float | None, decimals: int = 2) -> str:
    """A number for a picture or a table, with a true minus sign; a dash where there is none."""
    if value is None:
        return "–"
    text = f"{value:.{decimals}f}"
    return (
        ("−" + text[1:] if text.startswith("-") and float(text) != 0 else text.lstrip("-"))
        if value < 0
        else text
    )


def decimals_for(values: Iterable[float | None]) -> int:
    """Return the digits after the point, two to four, none above a hundred.

    Enough that no number but zero is rounded to zero.
    """
    sizes = [abs(value) for value in values if value]
    if not sizes:
        return 2
    if max(sizes) >= 100:
        return 0
    return min(4, max(2, -floor(log10(2 * min(sizes)))))


def with_interval(value: float, low: float | None, high: float | None, decimals: int | None = None) -> str:
    """Return a number and its interval as text.

    There is no interval where all scores are the same, which says nothing of how far they could differ.
    """
    places = decimals_for((value, low, high)) if decimals is None else decimals
    if low is None or low == high:
        return number(value, places) + ("" if low is None else " [no spread]")
    return f"{number(value, places)} [{number(low, places)}, {number(high, places)}]"


def stopped(row: Row) -> str:
    """Return the mark of a figure whose number of items was decided by what was found."""
    return " †" if row.get("stopped_by") else ""


def reach(
    rows: Rows, columns: Sequence[str], least: tuple[float, float] | None = None
) -> tuple[float, float]:
    """The axis that holds every number in `columns` and at least `least`, ending on a tenth of its length."""
    found = [float(row[column]) for row in rows for column in columns if row.get(column) is not None]
    low, high = min([*(least or ())[:1], *found], default=0.0), max([*(least or ())[1:], *found], default=1.0)
    if low == high:
        return low - 0.5, high + 0.5
    tenth = 10 ** floor(log10(high - low)) / 10
    rounded = floor(low / tenth) * tenth, ceil(high / tenth) * tenth
    return (low, rounded[1]) if least and low == least[0] else rounded


def score_axis(rows: Rows) -> tuple[tuple[float, float], str]:
    """Return the axis for means with intervals, and its title.

    It is the whole scale and ends there, or the part in use where that is less than a third of it.
    """
    scale = scale_of(rows)
    used = reach(rows, ("mean_score", "ci_low", "ci_high"))
    if 3 * (used[1] - used[0]) < scale[1] - scale[0]:
        return used, f"mean score (a part of {scale[0]:g} to {scale[1]:g})"
    return scale, "mean score"


def share_axis(rows: Rows) -> tuple[float, float]:
    """Return the axis for shares with intervals, from zero: [0, 1], or less of it where all are small."""
    highest = max((row[column] or 0.0 for row in rows for column in ("ci_high", "share")), default=1.0)
    return 0.0, next(step for step in (0.1, 0.25, 0.5, 1.0) if highest <= step or step == 1.0)


def scale_of(rows: Rows) -> tuple[float, float]:
    """Return the scale of these means: [0, 1] for shares, [1, 5] for levels of a rubric, else their range."""
    means = [float(row["mean_score"]) for row in rows if row["mean_score"] is not None]
    for low, high in ((0.0, 1.0), (1.0, 5.0)):
        if all(low <= mean <= high for mean in means):
            return low, high
    return min(means), max(means)


def difference(row: Row) -> str:
    """Return the name of a contrast: its sides, and the method that two models were compared with."""
    method = f" ({row['method']})" if row.get("method") else ""
    return f"{row['of']} − {row['against']}{method}"


def answers_link(row: Row, **more: str) -> str:
    """Return the link to a row's answers in the page, whose parts the browser of answers reads."""
    keys = ("dataset", "language", "model", "method", "measure")
    return "#answers?" + urlencode({key: row[key] for key in keys if row.get(key)} | more)


def contrast_link(row: Row) -> str:
    """Return the link to the answers of both sides of a difference, those that lose by it first."""
    if row.get("method") is not None:
        return answers_link(row)
    return answers_link({**row, "method": row["of"]}, against=row["against"], sort="worse")


def label_width(labels: Iterable[str], room: float = LONGEST_LABEL) -> float:
    """Pixels that the longest of these names takes in a picture, where they are cut at `room`."""
    return min(LONGEST_LABEL, room, 8 + CHARACTER_WIDTH * max((len(text) for text in labels), default=0))


def themed(chart: Any) -> dict[str, Any]:
    """The chart as Vega-Lite, in the report's fonts and colours."""
    text = {
        "labelColor": "currentColor",
        "titleColor": "currentColor",
        "labelFontSize": 12,
        "titleFontSize": 12,
        "titleFontWeight": "normal",
    }
    config = {
        "background": "transparent",
        "font": "sans-serif",
        "aria": False,  # the page describes the picture once and sets a table beside it
        "padding": 2,
        "view": {"stroke": None},
        "axis": {
            **text,
            "gridColor": "#8888884d",
            "domainColor": "#888888",
            "tickColor": "#888888",
            "labelLimit": LONGEST_LABEL,
            "labelFlush": False,
            "labelOverlap": "greedy",
            "labelSeparation": 4,
            "tickCount": 4,
        },
        "axisX": {"labelSeparation": 12},
        "axisY": {"labelPadding": 6},
        "header": text,
        "legend": {**text, "title": None, "orient": "bottom", "columns": 2, "labelLimit": LONGEST_LABEL},
        "text": {"color": "currentColor", "fontSize": 12},
        "rule": {"color": "currentColor"},
    }
    # a test validates every chart; here it would double the time
    return {**chart.to_dict(validate=False), "config": config}
