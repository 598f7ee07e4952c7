"""Tables for paper: the main tables of a report in parts that fit a page, each with its definition."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from warehouse.report.figures import Figure, Section
from warehouse.report.tables import Table

MOST_LINES = 40
"""Rows of a table on one page; a longer one goes on in the next."""

INTERVALS = "In brackets: 95% intervals."


@dataclass(frozen=True, slots=True)
class Printed:
    """A table, or a part of one."""

    label: str
    """Letters, digits and hyphens; the same whenever the same study is written."""
    caption: str
    """Names of data stand between backticks."""
    table: Table


def printed(experiment: str, section: Section) -> Iterator[Printed]:
    """The section's tables, none for a section that is not for paper."""
    for figure in (*section.figures, *section.more) if section.is_printed else ():
        whole = figure.brief
        starts = range(0, len(whole.cells), MOST_LINES)
        for number, start in enumerate(starts, 1):
            part = Table(
                whole.columns,
                whole.cells[start : start + MOST_LINES],
                whole.n_left_out if number == len(starts) else 0,
            )
            label = "-".join((experiment, figure.anchor, *([str(number)] if len(starts) > 1 else [])))
            yield Printed(
                re.sub(r"[^A-Za-z0-9]+", "-", label).strip("-").lower(),
                _caption(section, figure, part, number),
                part,
            )


def _caption(section: Section, figure: Figure, part: Table, number: int) -> str:
    named = ": ".join(filter(None, (section.heading, figure.heading))) + (
        " (continued)." if number > 1 else "."
    )
    left_out = f"{part.n_left_out} more rows are in the warehouse." if part.n_left_out else ""
    explained = (
        ()
        if number > 1
        else (figure.caption, figure.warning, INTERVALS if _has_intervals(part.cells) else "")
    )
    return " ".join(filter(None, (named, *explained, left_out)))


def _has_intervals(cells: Sequence[Sequence[str]]) -> bool:
    return any(re.search(r"\[[−\d]", cell) for row in cells for cell in row)
