"""Figures of the report: pictures, a caption, a table and their source.

The view's name leads to its chart.
"""

import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from warehouse.charts.theme import Order, Panel, Row, Rows, place
from warehouse.report import tables
from warehouse.report.grids import Grid
from warehouse.report.heat import HeatTable
from warehouse.report.study import StudyRows
from warehouse.report.tables import Column, Table

Columns = Sequence[Column]

MOST_MODELS = 12
"""That have panels of their own; what goes over models is drawn of all."""

OVER_MODELS = ("score_by_model_size", "size_trend", "contrast_by_language_and_size", "training_curve")

ON_SCREEN = Table((), ())

FIRST_IS_BETTER = "Above zero the first is better."

SCOPE = (tables.text("scope", "for"),)
"""Scope of an interval where a method was trained with one seed."""

COUNTS = (tables.count("n", "n"), tables.count("n_unscored", "unscored"), *tables.aside(*SCOPE))


def model(study: StudyRows) -> Columns:
    """The column of the model, where the study has several."""
    return (tables.text("model", "model"),) if len(study.order.models) > 1 else ()


def cell(study: StudyRows) -> Columns:
    """The columns that say what a row was measured on."""
    return (
        tables.text("language", "language"),
        *model(study),
        tables.text("method", "method"),
        *tuned(study, tables.text("train_languages", "tuned on")),
    )


def tuned(study: StudyRows, *columns: Column) -> Columns:
    """The columns of training languages, for which paper has room where a method has several sets of them."""
    return columns if study.order.retuned else tables.aside(*columns)


@dataclass(frozen=True, slots=True)
class Figure:
    """A chart with its caption, table and source."""

    anchor: str
    heading: str
    caption: str
    """Definition of the numbers: the beginning of the chart's docstring."""
    legend: str
    """Explanation of what is drawn: of pictures, the rest of it."""
    draw: Callable[[], Sequence[Panel]] | None
    """Its pictures, which take time and not every form of the report needs; None where the table says it
    all."""
    table: Table
    brief: Table
    """The table as a page of paper has room for it; `ON_SCREEN` where it has none."""
    view: str
    """The view behind the numbers."""
    warning: str = ""
    """A warning to be seen before the numbers; their rows have it."""
    grids: tuple[Grid, ...] | None = None
    """Drawings of the page in the place of its pictures, which are files' then; empty where `note` says all
    that is to be seen."""
    heat: tuple[HeatTable, ...] = ()
    note: str = ""
    """All that is the same throughout and so not drawn."""
    direction: str = ""
    """The end of the scale that is the good one, written with every figure."""
    is_main: bool = False
    """True where it is seen at once; of a view of which none is, the first one is."""


@dataclass(frozen=True, slots=True)
class Section:
    """A question of the reader, and the figures that answer it."""

    anchor: str
    heading: str
    says: tuple[str, ...]
    figures: tuple[Figure, ...] = ()
    more: tuple[Figure, ...] = ()
    """Figures that are folded away."""
    more_heading: str = ""


def by_measure(
    study: StudyRows,
    view: str,
    rows: Rows,
    columns: Columns,
    anchor: str = "",
    brief: Callable[[Rows], Table] | None = None,
    drawn: Callable[[Rows], tuple[tuple[Grid, ...], str]] | None = None,
    legend: str = "",
    direction: Callable[[StudyRows, Row], str] | None = None,
) -> tuple[Figure, ...]:
    """Return a figure for each data set and measure, in the order of the rows, headed by what it is `named`.

    `brief` makes the table for paper from a figure's rows, `drawn` their grids and a note, which `legend`
    explains; `direction` says which end of a row's numbers is the good one.
    """
    several = len(study.datasets_of(rows)) > 1
    found = {(row["dataset"], row["measure"]): row.get("named", f"`{row['measure']}`") for row in rows}
    made: list[Figure] = []
    for number, ((dataset, measure), named) in enumerate(found.items()):
        shown = [row for row in rows if (row["dataset"], row["measure"]) == (dataset, measure)]
        one = figure(
            study,
            view,
            shown,
            columns,
            heading=named + (f" on {dataset}" if several else ""),
            anchor=f"{anchor or view}-{number}",
            brief=brief,
        )
        one = replace(one, direction=(direction or good_end)(study, shown[0]))
        if drawn:
            grids, note = drawn(shown)
            one = replace(one, grids=grids, note=note, legend=legend)
        made.append(one)
    return tuple(made)


def good_end(study: StudyRows, row: Row) -> str:
    """Say which end of an axis is the good one, of means and of differences."""
    if "other_language" in row:
        return "Above zero the first language's lead is larger."
    return FIRST_IS_BETTER if "of" in row and study.role_of(row) != "measure" else study.words.direction(row)


def by_dataset(study: StudyRows, view: str, columns: Columns) -> tuple[Figure, ...]:
    """A figure for each data set."""
    rows = study.views[view]
    names = study.datasets_of(rows)
    return tuple(
        figure(
            study,
            view,
            study.order.sort(row for row in rows if row["dataset"] == dataset),
            columns,
            heading=f"on {dataset}" if len(names) > 1 else "",
            anchor=f"{view}-{number}",
        )
        for number, dataset in enumerate(names)
    )


def figure(
    study: StudyRows,
    view: str,
    rows: Rows,
    columns: Columns,
    *,
    anchor: str,
    heading: str = "",
    table_rows: Rows | None = None,
    brief: Callable[[Rows], Table] | None = None,
) -> Figure:
    """One figure. `table_rows` are those of its table where they are not those of its pictures."""
    chart: Callable[[Rows, Order], list[Panel]] = importlib.import_module(f"warehouse.charts.{view}").chart
    caption, _, legend = (chart.__doc__ or "").partition("\n\n")
    written = _in_order(rows if table_rows is None else table_rows, study.order)
    return Figure(
        anchor,
        heading,
        " ".join(caption.split()),
        " ".join(legend.split()),
        lambda: _drawn(
            chart,
            rows
            if view in OVER_MODELS
            else [row for row in rows if row.get("model") not in study.order.models[MOST_MODELS:]],
            study.order,
        ),
        tables.table(columns, written),
        brief(written) if brief else tables.table([column for column in columns if column.is_brief], written),
        view,
        next((f"This is {row['warning']}." for row in rows if row.get("warning")), ""),
    )


def _drawn(chart: Callable[[Rows, Order], list[Panel]], rows: Rows, order: Order) -> list[Panel]:
    """Draw without validating each part of a chart as it is made: a test does that, and here it would take
    nearly half of the time."""
    from altair.utils import schemapi

    with schemapi.debug_mode(False):
        return chart(rows, order)


def listing(
    study: StudyRows,
    view: str,
    rows: Rows,
    columns: Columns,
    *,
    anchor: str,
    caption: str,
    heading: str = "",
) -> Figure:
    """A figure that is a table alone."""
    written = _in_order(rows, study.order)
    brief = tables.table([column for column in columns if column.is_brief], written)
    return Figure(anchor, heading, caption, "", None, tables.table(columns, written), brief, view)


def _in_order(rows: Rows, order: Order) -> Rows:
    """The rows in the study's order of languages and methods, where they have these."""
    return sorted(
        rows,
        key=lambda row: (
            place(order.languages, row.get("language", "")),
            place(order.methods, row.get("method", "")),
        ),
    )
