"""The numbers and figures of docs/showcase.md, from the rows that `xp bundle` packed into docs/showcase.zip.

Each table of the page stands below the query that makes it: cog puts both there, `make pages` writes them,
and a test compares them. Tables are read by DuckDB and the bundle's own SQL; no other code of xp has a part
in them. The figures are drawn by the report's charts, with intervals after correction.

`python -m tests.docs.showcase` makes all of it anew: the bundle's statistics, tables and report by this
version's code, then figures, page and pictures.
"""

import subprocess
import sys
import textwrap
import zipfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import duckdb

from warehouse.charts.contrast_by_language_and_size import chart
from warehouse.connect import WAREHOUSE, connect
from warehouse.report.pictures import as_svg
from warehouse.report.reading import read_from
from warehouse.report.study import StudyRows
from warehouse.report.summary import summary
from warehouse.statements import fetch

ROOT = Path(__file__).resolve().parents[2]
BUNDLE = ROOT / "docs" / "showcase.zip"
"""File that `xp bundle` made of the study, once it was run."""

FIGURES = {
    "english_examples": ("english_examples", "language"),
    "examples_help": ("examples_help", "correct"),
    "sft_against_examples": ("sft_against_examples", "correct"),
    "dpo_against_examples": ("dpo_against_examples", "correct"),
    "dpo_over_sft": ("dpo_over_sft", "correct"),
    "dpo_over_base": ("dpo_over_base", "correct"),
    "errors": ("dpo_over_base", "prompt_echo"),
}
"""File of docs/showcase/ without its ending -> contrast and measure."""


WIDER = {"left": 36, "right": 48, "top": 8, "bottom": 8}
"""Room for the labels in whatever letters a browser has."""


def table(query: str, bundle: Path = BUNDLE, *, folded: str = "") -> str:
    """Return a query as a reader may ask it, and what it finds in the bundled rows, as Markdown.

    Args:
        query: on the views.
        bundle: where the rows are.
        folded: the line under which it is folded, else the query stands open.

    Raises:
        duckdb.Error: the views do not have what it asks for.
    """
    asked = textwrap.dedent(query).strip()
    if bundle.exists():
        names, rows = _found(_read(bundle), asked)
    else:  # with the same views
        with TemporaryDirectory() as folder, connect(Path(folder) / WAREHOUSE) as connection:
            names, rows = _found(connection, asked)
    lines = [names, ["---"] * len(names), *([_shown(value) for value in row] for row in rows)]
    made = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    text = f"```sql\n{asked}\n```\n\n{made if bundle.exists() else NO_ROWS}\n"
    if folded:
        summed = f"<summary>{folded}</summary>"
        return f'<details markdown="1">\n{summed}\n\n{text}\n</details>\n'
    return text


NO_ROWS = "*No rows yet: the study has not been run to its end.*"


def rows_of(query: str) -> list[dict[str, Any]]:
    """Return what a query finds in the bundled rows."""
    return fetch(_read(BUNDLE), query)


def figure(name: str) -> str:
    """Return the text of an SVG file of docs/showcase/: a contrast on a measure."""
    contrast, measure = FIGURES[name]
    study = _study()
    rows = [
        _after_correction(row)
        for row in study.views["contrast_by_language_and_size"]
        if (row["contrast"], row["measure"]) == (contrast, measure)
    ]
    (panel,) = chart(rows, study.order)
    return as_svg(panel, WIDER)


def not_supported() -> str:
    """Return what the report says that the study does not support, as a quotation."""
    said = textwrap.fill(" ".join(summary(_study()).unsupported), 108)
    return textwrap.indent(said, "> ") + "\n"


def main() -> None:
    """Make all of the showcase's page anew from its rows."""
    from tests.docs import pictures

    with TemporaryDirectory() as folder:
        store = ["--store", f"{folder}/.xp"]
        _xp("rebuild", "--bundle", str(BUNDLE), *store)
        _xp("bundle", "showcase", str(BUNDLE), "--no-adapters", *store)
        for name in FIGURES:
            (BUNDLE.with_suffix("") / f"{name}.svg").write_text(figure(name), "utf-8", newline="\n")
        page = str(BUNDLE.with_suffix(".md"))
        subprocess.run([sys.executable, "-m", "cogapp", "-r", page], cwd=ROOT, check=True)
        pictures.draw(Path(folder) / ".xp")


def _xp(*words: str) -> None:
    subprocess.run([sys.executable, "-m", "xp", *words], cwd=ROOT, check=True)


@cache
def _read(bundle: Path) -> duckdb.DuckDBPyConnection:
    """Read a bundle as its format says: the tables, the rows of each, then the views."""
    connection = duckdb.connect()
    with TemporaryDirectory() as name, zipfile.ZipFile(bundle) as packed:
        folder = Path(name)
        packed.extractall(folder)
        connection.execute((folder / "schema.sql").read_text("utf-8"))
        for rows in sorted((folder / "rows").glob("*.parquet")):
            connection.execute(f'insert into "{rows.stem}" by name from read_parquet(?)', [str(rows)])
        connection.execute((folder / "views.sql").read_text("utf-8"))
    return connection


@cache
def _study() -> StudyRows:
    return read_from(_read(BUNDLE), "showcase")


def _found(connection: duckdb.DuckDBPyConnection, query: str) -> tuple[list[str], list[Sequence[object]]]:
    found = connection.sql(query)
    return found.columns, found.fetchall()


def _after_correction(row: Any) -> dict[str, Any]:
    """The row with interval and significance after correction; of a fault, by the share of answers that have
    it."""
    sign = -1 if row["fault"] else 1
    low, high = sorted(sign * row[f"{end}_corrected"] for end in ("ci_low", "ci_high"))
    decided = {"is_significant_uncorrected": row["is_significant"]}
    return {**row, **decided, "estimate": sign * row["estimate"] + 0.0, "ci_low": low, "ci_high": high}


def _shown(value: object) -> str:
    # + 0.0: no -0
    return "" if value is None else f"{value + 0.0:.3g}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    main()
