"""Grids of small pictures: methods down, languages or models across, all on one scale.

Each cell is a strip as wide as its column, whatever the screen, so that its text keeps its size. The axis is
the measure's own scale and ends there; an interval that goes on ends in an arrow.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from warehouse.charts.theme import (
    Order,
    Row,
    Rows,
    answers_link,
    contrast_link,
    decimals_for,
    method_name,
    number,
    place,
    reach,
    stopped,
)
from warehouse.report.prose import listed
from warehouse.report.wording import SHARE, Wording, language_name, percent, point_decimals

MOST_COLUMNS = 4
"""Columns of one grid; further ones stand in the next."""

MANY_SIZES = 3
"""From so many sizes on, models stand across, and each language has a grid."""


@dataclass(frozen=True, slots=True)
class Dot:
    """A value with its interval, in per cent of the axis."""

    at: float
    low: float | None
    high: float | None
    goes_below: bool
    goes_above: bool
    is_filled: bool
    is_faint: bool = False


@dataclass(frozen=True, slots=True)
class Heat:
    """A share as a colour and a number; None where it is not known."""

    share: float | None
    shown: str
    told: str
    link: str
    is_marked: bool = False
    of: str = ""
    """The denominator, as it stands behind the share."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One strip: a dot, its number, and a share of errors beside it."""

    dot: Dot | None
    text: str
    """The number beside the dot."""
    told: str
    """All of it, for a reader who points at it or cannot see it."""
    link: str
    """Fragment of the page with the answers behind it."""
    heat: Heat | None = None
    of: str = ""
    """The number's denominator, where it may be said of all cells at once."""


@dataclass(frozen=True, slots=True)
class Line:
    """One row of a grid."""

    name: str
    cells: tuple[Cell | None, ...]
    method: str | None = None
    """The method that gives it colour and shape; None for a contrast."""


@dataclass(frozen=True, slots=True)
class Grid:
    """Rows and columns on one axis."""

    title: str
    columns: tuple[str, ...]
    lines: tuple[Line, ...]
    ticks: tuple[tuple[float, str], ...]
    """(place in per cent, number) along the axis."""
    reference: float | None = None
    """Place of the line of no difference."""
    has_heat: bool = False


@dataclass(frozen=True, slots=True)
class Axis:
    """A scale, and how a number on it is written."""

    low: float
    high: float
    write: Callable[[float], str]

    def place(self, value: float) -> float:
        return 100 * (min(max(value, self.low), self.high) - self.low) / (self.high - self.low)

    @property
    def ticks(self) -> tuple[tuple[float, str], ...]:
        """Both ends and the middle; the unit stands at the last one."""
        low, middle, high = map(self.write, (self.low, (self.low + self.high) / 2, self.high))
        return (0.0, low.removesuffix("%")), (50.0, middle.removesuffix("%")), (100.0, high)

    def dot(
        self, value: float, low: float | None, high: float | None, is_filled: bool, is_faint: bool = False
    ) -> Dot:
        """Return a value's dot; an interval of no width, which says nothing, is not drawn."""
        if low is None or high is None or low == high:
            return Dot(self.place(value), None, None, False, False, is_filled, is_faint)
        slack = 1e-9 * (self.high - self.low)
        return Dot(
            self.place(value),
            self.place(low),
            self.place(high),
            low < self.low - slack,
            high > self.high + slack,
            is_filled,
            is_faint,
        )


def mean_grids(
    rows: Rows,
    order: Order,
    words: Wording,
    significant: Mapping[tuple[str, ...], bool] | None = None,
    heats: Mapping[tuple[str, ...], Heat] | None = None,
) -> tuple[Grid, ...]:
    """Return the means of one measure, methods down.

    Args:
        rows: of `score_by_method_language`.
        order: the study's.
        words: the measure's scale.
        significant: `where` of a row -> whether it differs significantly from the baseline.
        heats: `where` of a row -> share of answers with a critical error.
    """
    scored = [row for row in rows if row["mean_score"] is not None]
    if not scored:
        return ()
    low, high = words.scale(scored[0]) or reach(scored, ("mean_score", "ci_low", "ci_high"))
    axis = Axis(low, high, _writer(scored[0], words))
    of = " of {}" if words.is_share(scored[0]) else " (n {})"

    def cell(row: Row) -> Cell:
        heat = (heats or {}).get(where(row))
        if row["mean_score"] is None:
            return Cell(None, "unscored", "unscored", answers_link(row, only="unscored"), heat)
        value, low, high = axis.write(row["mean_score"]), row["ci_low"], row["ci_high"]
        interval = "" if low is None or low == high else f" [{axis.write(low)}, {axis.write(high)}]"
        left_out = f", {row['n_unscored']} unscored" if row["n_unscored"] else ""
        is_filled = significant is None or bool(significant.get(where(row)))
        return Cell(
            axis.dot(row["mean_score"], low, high, is_filled),
            value,
            f"{value}{interval}{stopped(row)}, n = {row['n']}{left_out}",
            answers_link(row, sort="lowest"),
            heat,
            of.format(row["n"]) + stopped(row),
        )

    return drawn(rows, order, axis, cell, has_heat=bool(heats))


def contrast_grids(rows: Rows, order: Order, words: Wording) -> tuple[tuple[Grid, ...], str]:
    """Return the differences of one measure, contrasts down, and a sentence on exact ties throughout."""
    tied, lines = _without_ties([row for row in rows if row["estimate"] is not None])
    note = _tie_note(tied, lines)
    if not lines:
        return (), note
    scale = words.scale(lines[0])
    used = reach(lines, ("ci_low", "ci_high", "estimate"), least=(-0.1, 0.1))
    bound = min(scale[1] - scale[0] if scale else float("inf"), max(-used[0], used[1]))
    axis = Axis(-bound, bound, _points if words.is_share(lines[0]) else _precise)

    def cell(row: Row) -> Cell:
        value, low, high = row["estimate"], row["ci_low"], row["ci_high"]
        is_faint = not row["is_significant_uncorrected"]
        return Cell(
            axis.dot(value, low, high, bool(row["is_significant"]), is_faint),
            f"{axis.write(value)} (n {row['n']})",
            f"{words.difference(row, value, low, high)}, n = {row['n']}",
            contrast_link(row),
        )

    return drawn(lines, order, axis, cell, reference=axis.place(0)), note


def length_grids(rows: Rows, order: Order) -> tuple[Grid, ...]:
    """Return the mean lengths of answers, methods down."""
    measured = [row for row in rows if row["mean_characters"] is not None]
    axis = Axis(
        0.0, reach(measured, ("mean_characters",), least=(0.0, 1.0))[1], lambda value: number(value, 0)
    )

    def cell(row: Row) -> Cell:
        text = f"{number(row['mean_characters'], 0)} (n {row['n']})"
        return Cell(axis.dot(row["mean_characters"], None, None, True), text, text, answers_link(row))

    return drawn(measured, order, axis, cell)


def drawn(
    rows: Rows,
    order: Order,
    axis: Axis,
    cell: Callable[[Row], Cell],
    reference: float | None = None,
    has_heat: bool = False,
) -> tuple[Grid, ...]:
    """Return the grids of one measure's rows, all on one axis."""
    return tuple(
        Grid(
            title,
            columns,
            tuple(
                Line(name, tuple(None if row is None else cell(row) for row in found), method)
                for name, method, found in lines
            ),
            axis.ticks,
            reference,
            has_heat,
        )
        for title, columns, lines in _arranged(rows, order)
    )


def where(row: Row) -> tuple[str, ...]:
    """Return what identifies a method's row on one measure of one data set."""
    return (row["language"], row["model"], row["method"], row["train_languages"] or "")


def _writer(row: Row, words: Wording) -> Callable[[float], str]:
    if words.scale(row) == SHARE:
        return percent
    return lambda value: _precise(value).removesuffix(".00")


def _points(difference: float) -> str:
    return number(100 * difference, point_decimals((100 * difference,)))


def _precise(value: float) -> str:
    """A number in two digits after the point, or as many more as keep it from showing as zero."""
    return number(value, max(2, decimals_for((round(value, 9),))))


Arranged = tuple[str, tuple[str, ...], list[tuple[str, str | None, list[Row | None]]]]
"""(title, columns, rows as (name, method, a row of the view in each column))."""


def _arranged(rows: Rows, order: Order) -> Iterator[Arranged]:
    """Methods or contrasts down; across, languages with a grid a model, or models with a grid a language."""
    models = [model for model in order.models if any(row["model"] == model for row in rows)]
    sizes = {row["model"]: row["num_parameters"] for row in rows}
    languages = [code for code in order.languages if any(row["language"] == code for row in rows)]
    languages += sorted({row["language"] for row in rows} - set(languages))
    known = {size for size in sizes.values() if size}
    if len(known) >= MANY_SIZES:
        models.sort(key=lambda model: sizes[model] or float("inf"))
        outer, inner, keys = languages, models, ("language", "model")
    else:
        outer, inner, keys = models, languages, ("model", "language")
    for one in outer:
        found = [row for row in rows if row[keys[0]] == one]
        title = _shown(keys[0], one) if len(outer) > 1 else ""
        for start in range(0, len(inner), MOST_COLUMNS):
            across = [
                name for name in inner[start : start + MOST_COLUMNS] if any(r[keys[1]] == name for r in found)
            ]
            if across:
                columns = tuple(_shown(keys[1], name) for name in across)
                yield title, columns, _lines(found, across, keys[1], order)


def _lines(
    rows: Rows, across: Sequence[str], key: str, order: Order
) -> list[tuple[str, str | None, list[Row | None]]]:
    named: dict[str, dict[str, Row]] = {}
    methods: dict[str, str | None] = {}
    ranked = (
        sorted(rows, key=lambda row: place(order.methods, row.get("method") or ""))
        if "of" not in rows[0]
        else rows
    )
    for row in ranked:
        name = (
            f"{row['of']} − {row['against']}{_sides_tuned(row, order)}"
            if "of" in row
            else method_name(row, order)
        )
        named.setdefault(name, {})[row[key]] = row
        methods[name] = None if "of" in row else row["method"]
    return [(name, methods[name], [found.get(one) for one in across]) for name, found in named.items()]


def _sides_tuned(row: Row, order: Order) -> str:
    """Name training languages, and the method that models are compared with, where rows differ in them."""
    sides = ((row["of"], row["of_train_languages"]), (row["against"], row["against_train_languages"]))
    tuned = dict.fromkeys(
        on for method, on in sides if on and on != row["language"] and method in order.retuned
    )
    method = f" ({row['method']})" if row.get("method") else ""
    return method + (f" ← {', '.join(tuned)}" if tuned else "")


def _shown(key: str, name: str) -> str:
    return language_name(name) if key == "language" else name


def _without_ties(rows: Rows) -> tuple[list[Row], list[Row]]:
    """(rows of contrasts that are exact ties wherever they were measured, all other rows)."""
    alive = {row["contrast"] for row in rows if row["estimate"] != 0}
    return [row for row in rows if row["contrast"] not in alive], [
        row for row in rows if row["contrast"] in alive
    ]


def _tie_note(tied: Rows, others: Rows) -> str:
    if not tied:
        return ""
    if not others:
        return "Exact ties throughout."
    names = list(dict.fromkeys(f"{row['of']} − {row['against']}" for row in tied))
    return f"Exact ties in every language: {listed(names)}."
