"""Warehouses are compared by what they say, not by the order in which DuckDB added."""

from pathlib import Path

import duckdb
import pytest

from dsl.errors import WarehouseError
from warehouse.compare import differences, n_unlike
from warehouse.connect import WAREHOUSE
from warehouse.load import make_warehouse


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


def test_the_sql_of_a_warehouse_that_is_compared_reaches_no_other_file(tmp_path: Path) -> None:
    (tmp_path / "secret.csv").write_text("a\n1\n")
    make_warehouse(tmp_path, tmp_path / WAREHOUSE)
    assert differences(tmp_path) == ()
    with duckdb.connect(str(tmp_path / WAREHOUSE)) as connection:
        connection.execute(f"drop table runs; create view runs as from '{tmp_path}/secret.csv'")
    with pytest.raises(WarehouseError, match="disabled"):
        differences(tmp_path)
