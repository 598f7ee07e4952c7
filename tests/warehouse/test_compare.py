"""Warehouses are compared by what they say, not by the order in which DuckDB added."""

import duckdb
import pytest

from warehouse.compare import n_unlike


@pytest.mark.parametrize(
    ("held", "fresh", "n_rows"),
    [
        ("(1, 0.1::double + 0.2::double)", "(1, 0.3)", 0),
        ("(1, null)", "(1, null)", 0),
        ("(1, 0)", "(1, 1.2e-9)", 0),
        ("(1, 0.3)", "(1, 0.30001)", 2),
        ("(1, 0.3)", "(1, null)", 2),
        ("(1, 0.3), (1, 0.3)", "(1, 0.3)", 1),
        ("(1, 0.3)", "(2, 0.3)", 2),
    ],
)
def test_rows_differ_by_more_than_the_last_digits_of_a_sum(held: str, fresh: str, n_rows: int) -> None:
    with duckdb.connect() as connection:
        for name, rows in (("held", held), ("fresh", fresh)):
            connection.execute(f"attach ':memory:' as {name}")
            connection.execute(f"create table {name}.scores (n integer, mean double)")
            connection.execute(f"insert into {name}.scores values {rows}")
        assert n_unlike(connection, "scores") == n_rows
