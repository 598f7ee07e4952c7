"""Tables that stand beside pictures: every number with its n, its unscored and its interval."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

from warehouse.charts.theme import Row, Rows, decimals_for, number, stopped, with_interval
from warehouse.report.prose import p_value

MOST_ROWS = 250
"""A longer table is cut, and says how to see the rest."""


@dataclass(frozen=True, slots=True)
class Column:
    """A heading and how a row is written under it."""

    heading: str
    write: Callable[[Row], str]
    is_number: bool = False
    is_brief: bool = True
    """True for a column of the table for paper too."""


@dataclass(frozen=True, slots=True)
class Table:
    """Headings and cells, all text."""

    columns: tuple[Column, ...]
    cells: tuple[tuple[str, ...], ...]
    n_left_out: int = 0


def table(columns: Sequence[Column], rows: Rows) -> Table:
    """The rows under those columns that say something: a column that is empty in every row is left out."""
    written = [[column.write(row) for column in columns] for row in rows[:MOST_ROWS]]
    kept = [
        place for place, _ in enumerate(columns) if any(cells[place] not in ("", "–") for cells in written)
    ]
    return Table(
        tuple(columns[place] for place in kept),
        tuple(tuple(cells[place] for place in kept) for cells in written),
        max(0, len(rows) - MOST_ROWS),
    )


def aside(*columns: Column) -> tuple[Column, ...]:
    """Columns that paper has no room for."""
    return tuple(replace(column, is_brief=False) for column in columns)


def text(key: str, heading: str) -> Column:
    return Column(heading, lambda row: _plain(row.get(key)))


def count(key: str, heading: str) -> Column:
    return Column(heading, lambda row: "–" if row.get(key) is None else f"{row[key]:,}", is_number=True)


def share(key: str, heading: str) -> Column:
    return Column(
        heading, lambda row: "–" if row.get(key) is None else f"{number(100 * row[key], 1)}%", is_number=True
    )


def decimal(key: str, heading: str, decimals: int | None = None) -> Column:
    """A number; without `decimals` written with as many as it needs."""
    return Column(
        heading,
        lambda row: number(row.get(key), decimals_for([row.get(key)]) if decimals is None else decimals),
        is_number=True,
    )


def estimate(key: str, heading: str, low: str = "ci_low", high: str = "ci_high") -> Column:
    """A number and the 95% interval beside it."""
    return Column(
        heading,
        lambda row: "–" if row[key] is None else with_interval(row[key], row[low], row[high]) + stopped(row),
        is_number=True,
    )


def share_estimate(key: str, heading: str, low: str = "ci_low", high: str = "ci_high") -> Column:
    """A share and its 95% interval, in per cent."""
    return Column(
        heading,
        lambda row: percent_interval(row[key], row[low], row[high]) + stopped(row),
        is_number=True,
    )


def percent_interval(share: float | None, low: float | None, high: float | None) -> str:
    """Return a share and its interval in per cent; a dash where there is none.

    To a tenth where the interval is narrower than ten.
    """
    if share is None:
        return "–"
    if low is None or high is None:
        return f"{number(100 * share, 1)}%"
    decimals = 1 if high - low < 0.1 else 0
    return f"{number(100 * share, decimals)}% [{number(100 * low, decimals)}, {number(100 * high, decimals)}]"


def probability(key: str, heading: str) -> Column:
    return Column(heading, lambda row: p_value(row.get(key)), is_number=True)


def size(key: str, heading: str) -> Column:
    """Bytes, as gigabytes."""
    return Column(
        heading, lambda row: "–" if row.get(key) is None else f"{row[key] / 1e9:.2f}", is_number=True
    )


def _plain(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(map(str, cast("Sequence[object]", value)))
    return "" if value is None else str(value)
