"""The numbers of docs/showcase.md: each table stands below the query that makes it.

Cog puts both into the page; `make pages` writes them, and a test compares them. The rows are those that
`xp bundle` packed, and DuckDB alone reads them: no code of xp has a part in it.
"""

import textwrap
import zipfile
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb

from warehouse.connect import WAREHOUSE, connect

BUNDLE = Path(__file__).resolve().parents[2] / "docs" / "showcase.zip"
"""File that `xp bundle` made of the study, once it was run."""


def table(query: str, bundle: Path = BUNDLE) -> str:
    """Return a query as a reader may ask it, and what it finds in the bundled rows, as Markdown.

    Raises:
        duckdb.Error: the views do not have what it asks for.
    """
    asked = textwrap.dedent(query).strip()
    with TemporaryDirectory() as folder:
        empty = Path(folder) / WAREHOUSE  # with the same views
        with _unpacked(bundle, Path(folder)) if bundle.exists() else connect(empty) as connection:
            found = connection.sql(asked)
            names, rows = found.columns, found.fetchall()
    lines = [names, ["---"] * len(names), *([_shown(value) for value in row] for row in rows)]
    made = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    return f"```sql\n{asked}\n```\n\n{made if bundle.exists() else NO_ROWS}\n"


NO_ROWS = "*No rows yet: the study has not been run to its end.*"


def _unpacked(bundle: Path, folder: Path) -> duckdb.DuckDBPyConnection:
    """Read a bundle as its format says: the tables, the rows of each, then the views."""
    with zipfile.ZipFile(bundle) as packed:
        packed.extractall(folder)
    connection = duckdb.connect()
    connection.execute((folder / "schema.sql").read_text("utf-8"))
    for rows in sorted((folder / "rows").glob("*.parquet")):
        connection.execute(f'insert into "{rows.stem}" by name from read_parquet(?)', [str(rows)])
    connection.execute((folder / "views.sql").read_text("utf-8"))
    return connection


def _shown(value: object) -> str:
    # + 0.0: no -0
    return "" if value is None else f"{value + 0.0:.3g}" if isinstance(value, float) else str(value)
