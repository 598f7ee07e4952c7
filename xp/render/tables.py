"""Tables and views of the warehouse as text."""

import re

from rich.cells import cell_len, set_cell_size

from warehouse.relations import described

KINDS = {
    "marts": "Views for charts and people",
    "base": "Views below them, of single answers and verdicts too",
    "tables": "Materialised views",
    "schema": "Tables from the store's files, and of statistics",
}


def tables_as_text(width: int | None) -> str:
    """A line for each table and view with what a row of it is, cut to a terminal of `width` cells.

    Their whole description is in the database: `comment` of `duckdb_views()` and `duckdb_tables()`.
    """
    lines: list[str] = []
    for kind, found in described().items():
        lines.append(f"{KINDS[kind]}:")
        widest = max(map(len, found))
        for name, text in found.items():
            line = f"  {name.ljust(widest)}  {_in_short(text)}"
            is_cut = width is not None and cell_len(line) > width
            lines.append(f"{set_cell_size(line, width - 1).rstrip()}…" if width and is_cut else line)
    return "\n".join(lines)


def _in_short(text: str) -> str:
    """The first sentence, what is known of a row before what it is a row of."""
    (sentence, *_) = re.split(r"(?<=\.) (?=[A-Z`])", text, maxsplit=1)
    subject, _, known = sentence.removeprefix("One row per ").rstrip(".").partition(": ")
    return f"{known}, per {subject}" if known else f"per {subject}"
