"""Tables for paper: one for each kind of figure in a section, in parts that fit a page."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from warehouse.report.figures import Figure, Section
from warehouse.report.tables import Column, Table

MOST_LINES = 40
"""Rows of a table on one page; a longer one goes on in the next."""

INTERVALS = "In brackets: 95% intervals."
"""Said where no heading says it."""


@dataclass(frozen=True, slots=True)
class Printed:
    """A table, or a part of one."""

    label: str
    """Letters, digits and hyphens; the same whenever the same study is written."""
    caption: str
    """Names of data stand between backticks."""
    table: Table
    headings: tuple[tuple[int, str], ...] = ()
    """(row, heading of the figure whose rows begin there), where the table is of several figures."""


def printed(experiment: str, section: Section) -> Iterator[Printed]:
    """Return the section's tables that paper has room for."""
    for heading, figures in (
        (section.heading, section.figures),
        (section.more_heading or section.heading, section.more),
    ):
        for alike in _alike(figures):
            yield from _parts(experiment, heading, alike)


def _alike(figures: Iterable[Figure]) -> list[list[Figure]]:
    """Figures in groups that one table can hold: of one definition and warning, and of like columns."""
    groups: list[list[Figure]] = []
    for figure in figures:
        if not figure.brief.cells:
            continue
        last = groups[-1] if groups else []
        said = figure.caption, figure.warning
        if last and said == (last[0].caption, last[0].warning) and _columns([*last, figure]):
            last.append(figure)
        else:
            groups.append([figure])
    return groups


def _columns(figures: Sequence[Figure]) -> tuple[Column, ...] | None:
    """Return the columns of the widest table, if the others have theirs among them in the same order."""
    widest = max((figure.brief.columns for figure in figures), key=len)
    for figure in figures:
        rest = iter([_key(column) for column in widest])
        if not all(_key(column) in rest for column in figure.brief.columns):
            return None
    return widest


def _key(column: Column) -> tuple[str, bool]:
    return column.heading, column.is_number


def _parts(experiment: str, heading: str, figures: Sequence[Figure]) -> Iterator[Printed]:
    columns, said = _columns(figures), _said(figures)
    assert columns is not None, "figures of one table have columns of one table"
    rows: list[tuple[str, tuple[str, ...]]] = []
    for figure in figures:
        names = [_key(column) for column in figure.brief.columns]
        for cells in figure.brief.cells:
            here = dict(zip(names, cells, strict=True))
            empty = (("–" if column.is_number else "") for column in columns)
            rows.append(
                (
                    said[figure.anchor],
                    tuple(here.get(_key(c), none) for c, none in zip(columns, empty, strict=True)),
                )
            )
    columns, rows, shared = _without_shared(columns, rows)
    n_left_out = sum(figure.brief.n_left_out for figure in figures)
    starts = range(0, len(rows), MOST_LINES)
    for number, start in enumerate(starts, 1):
        part = rows[start : start + MOST_LINES]
        begun = [name for name, _ in part]
        table = Table(columns, tuple(cells for _, cells in part), n_left_out if number == len(starts) else 0)
        label = "-".join((experiment, figures[0].anchor, *([str(number)] if len(starts) > 1 else [])))
        yield Printed(
            re.sub(r"[^A-Za-z0-9]+", "-", label).strip("-").lower(),
            _caption(heading, figures, table, number, shared),
            table,
            tuple(
                (place, name)
                for place, name in enumerate(begun)
                if len(figures) > 1 and (place == 0 or name != begun[place - 1])
            ),
        )


def _directions(figures: Iterable[Figure]) -> set[str]:
    return {figure.direction for figure in figures}


def _said(figures: Sequence[Figure]) -> dict[str, str]:
    """Return each figure's heading by its anchor, with its direction where they do not all have the same."""
    if len(_directions(figures)) == 1:
        return {figure.anchor: figure.heading for figure in figures}
    return {figure.anchor: f"{figure.heading}. {figure.direction}".rstrip(". ") for figure in figures}


def _without_shared(
    columns: Sequence[Column], rows: Sequence[tuple[str, tuple[str, ...]]]
) -> tuple[tuple[Column, ...], list[tuple[str, tuple[str, ...]]], str]:
    """The table without the columns, but the first, that are the same in every row, and a sentence of these.

    Estimates stay, for the rows are of different things.
    """
    values = [{cells[place] for _, cells in rows} for place in range(len(columns))]
    gone = {
        place: next(iter(found))
        for place, found in enumerate(values)
        if place and len(rows) > 1 and len(found) == 1 and "[" not in next(iter(found))
    }
    said = [f"{columns[place].heading} {value}" for place, value in gone.items() if value not in ("", "–")]
    return (
        tuple(column for place, column in enumerate(columns) if place not in gone),
        [
            (name, tuple(cell for place, cell in enumerate(cells) if place not in gone))
            for name, cells in rows
        ],
        f"In every row: {'; '.join(said)}." if said else "",
    )


def _caption(heading: str, figures: Sequence[Figure], part: Table, number: int, shared: str) -> str:
    alone = figures[0].heading if len(figures) == 1 else ""
    named = ": ".join(filter(None, (heading, alone))) + (" (continued)." if number > 1 else ".")
    left_out = f"{part.n_left_out} more rows are in the warehouse." if part.n_left_out else ""
    direction = "" if len(_directions(figures)) > 1 else figures[0].direction
    defined, explained = (
        ("", ()) if number > 1 else (figures[0].caption, (direction, _intervals(part), shared))
    )
    return " ".join(filter(None, (named, defined, figures[0].warning, *explained, left_out)))


def _intervals(part: Table) -> str:
    """Say what stands in brackets, if a column has them and its heading does not."""
    unsaid = [place for place, column in enumerate(part.columns) if "95% interval" not in column.heading]
    found = any(re.search(r"\[[−\d]", cells[place]) for cells in part.cells for place in unsaid)
    return INTERVALS if found else ""
