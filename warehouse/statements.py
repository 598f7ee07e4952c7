"""Statements run on a connection: SQL files, queries for their rows, and transactions around them."""

import contextlib
import re
from collections.abc import Generator, Mapping, Sequence
from pathlib import Path
from typing import Any

import duckdb

from warehouse.errors import duckdb_errors

HERE = Path(__file__).parent


@contextlib.contextmanager
def transaction(connection: duckdb.DuckDBPyConnection) -> Generator[None]:
    """Commit the block as one transaction; roll all of it back if it raises."""
    connection.begin()
    try:
        yield
    except BaseException:
        connection.rollback()
        raise
    connection.commit()


def run_file(connection: duckdb.DuckDBPyConnection, file: Path, **parameters: object) -> None:
    """Run the statements of an SQL file, each with those of the parameters that it names."""
    for statement in connection.extract_statements(file.read_text("utf-8")):
        connection.execute(statement, {name: parameters[name] for name in statement.named_parameters})


def fetch(
    connection: duckdb.DuckDBPyConnection, sql: str, parameters: Sequence[object] | Mapping[str, object] = ()
) -> list[dict[str, Any]]:
    """Run a query and return its rows as mappings. Raises WarehouseError."""
    with duckdb_errors("the warehouse"):
        found = connection.execute(sql, parameters)
        names = [column[0] for column in found.description]
        return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


def comments_of(file: Path) -> dict[str, str]:
    """Return the tables that an SQL file makes, or the view of its name, each with the comment above it, the
    lines of a paragraph joined."""
    text = file.read_text("utf-8")
    above = re.findall(r"((?:^--.*\n)+)create table (\w+)", text, re.MULTILINE) or [
        (header[0], file.stem) for header in [re.match(r"(?:--.*\n)+", text)] if header is not None
    ]
    return {
        name: " ".join(line.removeprefix("--").strip() for line in comment.splitlines())
        for comment, name in above
    }
