"""Rows of a query as text: a table for the eye, or CSV or JSON for a program."""

import csv
import datetime
import io
import json
import math
import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import TypeAlias, cast

from rich.cells import cell_len, set_cell_size

from dsl.messages import one_line

Rows: TypeAlias = Sequence[Sequence[object]]

_WIDEST = 80
"""Cells of a terminal that a value takes at most in a table."""

_NARROWEST = 12
"""Cells that text keeps where a table is made narrower."""

_DIGITS, _DIGITS_ON_A_TERMINAL = 6, 4
"""Digits of a number; on a terminal, of one below 1000."""

_GAP = 2
"""Spaces between columns."""


def as_table(names: Sequence[str], rows: Rows, width: int | None = None) -> str:
    """Return rows as an aligned table.

    Args:
        width: Cells of a line. Columns that have one value in every row are named below the table instead. In
            what has no room, names are broken and text is cut; what still has none is left out and named
            below. None leaves all as it is.
    """
    digits = _DIGITS if width is None else _DIGITS_ON_A_TERMINAL
    cells = [[_shown(value, digits) for value in row] for row in rows]
    titles = {column: [one_line(name)] for column, name in enumerate(names)}
    notes: list[str] = []
    if width is not None and (same := _constant(cells, len(names))):
        notes.append(f"the same in every row: {', '.join(f'{names[c]} = {cells[0][c]}' for c in same)}")
        titles = {column: title for column, title in titles.items() if column not in same}
    numbers = {c for c in titles if any(isinstance(row[c], int | float | Decimal) for row in rows)}
    widths = _widths(titles, cells)
    if width is not None and _over(widths, width) > 0:
        values = {c: max((cell_len(row[c]) for row in cells), default=0) for c in titles}
        titles = {c: _broken(title, values[c]) for c, (title,) in titles.items()}
        widths = _widths(titles, cells)
        _make_narrower(widths, {*titles} - numbers, width)
        if left_out := [names[c] for c in titles if c not in widths]:
            notes.append(f"not shown: {', '.join(left_out)}. Select them by name, or use --format csv")
    height = max(map(len, titles.values()))
    lines = [
        {c: ["", *titles[c]][max(0, len(titles[c]) - height + n + 1)] for c in widths} for n in range(height)
    ]
    table = [
        *([_padded(title, widths[c], c in numbers) for c, title in line.items()] for line in lines),
        ["─" * cells_of for cells_of in widths.values()],
        *([_padded(row[c], cells_of, c in numbers) for c, cells_of in widths.items()] for row in cells),
    ]
    below = [f"{len(rows)} row{'s' * (len(rows) != 1)}", *map(one_line, notes)]
    return "".join(f"{line}\n" for line in [*((" " * _GAP).join(line).rstrip() for line in table), *below])


def as_csv(names: Sequence[str], rows: Rows) -> str:
    """Return rows as CSV, lists and mappings in it as JSON."""
    return "".join(map(_csv_line, [names, *([_flat(value) for value in row] for row in rows)]))


def as_json(names: Sequence[str], rows: Rows) -> str:
    """Return rows as a list of objects, one a line."""
    lines = [
        json.dumps({name: as_plain(v) for name, v in zip(names, row, strict=True)}, ensure_ascii=False)
        for row in rows
    ]
    return "[\n" + ",\n".join(lines) + "\n]\n" if lines else "[]\n"


def _csv_line(values: Sequence[object]) -> str:
    """Return values as a line that ends in a line feed alone."""
    line = io.StringIO()
    # told to end lines so by itself, Python 3.11 leaves a lone carriage return in a value without quotes
    csv.writer(line, lineterminator="\r\n").writerow(values)
    return line.getvalue().removesuffix("\r\n") + "\n"


def _constant(cells: Sequence[Sequence[str]], n_columns: int) -> list[int]:
    """Columns with one value in all of several rows, unless that is all there is to show."""
    found = [c for c in range(n_columns) if len(cells) > 1 and len({row[c] for row in cells}) == 1]
    return found if len(found) < n_columns else []


def _widths(titles: Mapping[int, Sequence[str]], cells: Sequence[Sequence[str]]) -> dict[int, int]:
    return {c: max(map(cell_len, (*title, *(row[c] for row in cells)))) for c, title in titles.items()}


def _over(widths: Mapping[int, int], width: int) -> int:
    """Cells by which a line is too long."""
    return sum(widths.values()) + _GAP * (len(widths) - 1) - width


def _broken(title: str, width: int) -> list[str]:
    """Break a name behind its underscores into lines of a width, as far as that can be."""
    lines = [""]
    for part in re.findall(r"[^_]*_|[^_]+", title):
        if lines[-1] and len(lines[-1] + part) > width:
            lines.append("")
        lines[-1] += part
    return lines


def _make_narrower(widths: dict[int, int], texts: set[int], width: int) -> None:
    """Cut the widest text columns first, until a line has room; then leave out each column, from the left,
    that has none beside those before it."""
    while (over := _over(widths, width)) > 0 and (
        wide := [c for c in widths if c in texts and widths[c] > _NARROWEST]
    ):
        widest = max(wide, key=lambda c: widths[c])
        widths[widest] = max(
            widths[widest] - over, _NARROWEST, *(widths[c] for c in wide if widths[c] < widths[widest])
        )
    left = width + _GAP
    for column, cells in list(widths.items()):
        if cells + _GAP <= left or column == min(widths):
            left -= cells + _GAP
        else:
            del widths[column]


def _padded(text: str, cells: int, to_the_right: bool) -> str:
    if (length := cell_len(text)) > cells:
        return set_cell_size(text, cells - 1) + "…"
    return " " * (cells - length) + text if to_the_right else text + " " * (cells - length)


def _shown(value: object, digits: int) -> str:
    if value is None:
        return "null"
    if isinstance(value, float):
        return f"{value:.{digits if abs(value) < 1000 else _DIGITS}g}"
    text = str(_flat(value))
    short = one_line(text[: 2 * _WIDEST])
    is_whole = cell_len(short) <= _WIDEST and len(text) <= 2 * _WIDEST
    return short if is_whole else set_cell_size(short, _WIDEST - 1).rstrip() + "…"


def _flat(value: object) -> object:
    """Lists and mappings as JSON text, everything else as it is."""
    plain = as_plain(value)
    return json.dumps(plain, ensure_ascii=False) if isinstance(plain, list | dict) else value


def as_plain(value: object) -> object:
    """The value as JSON knows it: what is not finite becomes null, dates and the like their text."""
    match value:
        case None | bool() | int() | str():
            return value
        case float():
            return value if math.isfinite(value) else None
        case Decimal():
            return as_plain(float(value))
        case list() | tuple():
            return [as_plain(inner) for inner in cast("Sequence[object]", value)]
        case dict():
            mapping = cast("Mapping[object, object]", value)
            return {str(key): as_plain(inner) for key, inner in mapping.items()}
        case datetime.datetime() | datetime.date() | datetime.time():
            return value.isoformat()
        case _:
            return str(value)
