"""The numbers of docs/showcase.md: each table stands below the query that makes it.

Cog puts both into the page; `make pages` writes them, and a test compares them.
"""

import textwrap
from pathlib import Path
from tempfile import TemporaryDirectory

from warehouse.connect import WAREHOUSE, connect

BUNDLE = Path(__file__).resolve().parents[2] / "docs" / "showcase"
"""Folder that `xp bundle` made of the study, once it was run."""


def table(query: str) -> str:
    """Return a query as the reader may ask it, and what it finds in the bundled rows, as Markdown.

    Raises:
        duckdb.Error: the views of the warehouse do not have what it asks for.
    """
    asked = textwrap.dedent(query).strip()
    with TemporaryDirectory() as folder, connect(Path(folder) / WAREHOUSE) as connection:
        connection.sql(asked)  # on an empty warehouse: its columns are there
    if not BUNDLE.exists():
        return f"```sql\n{asked}\n```\n\n*No rows yet: the study has not been run to its end.*\n"
    raise NotImplementedError(f"{BUNDLE} is there, and nothing reads it yet")
