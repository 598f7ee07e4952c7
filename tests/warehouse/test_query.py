"""`xp query`: four formats, and no way out of the warehouse."""

import csv
import io
import json
from pathlib import Path

import pyarrow.parquet as parquet
import pytest

from dsl.errors import WarehouseError
from tests.warehouse.stores import StoreMaker
from warehouse.connect import WAREHOUSE
from warehouse.load import rebuild
from warehouse.query import Format, run

TEXTS = {
    "1": 'a "quoted", text\nin\r\nlines\r',
    "2": None,
    "3": "\x1b[31mred\x07 \u202e <b>",
    "4": "=1+1",
    "5": "",
}


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A warehouse that every query of this file leaves as it is."""
    maker = StoreMaker(tmp_path_factory.mktemp("query"))
    maker.cell(texts=TEXTS)
    maker.study()
    rebuild(maker.folder)
    return maker.folder / WAREHOUSE


def ask(path: Path, sql: str, format: Format) -> bytes:
    out = io.BytesIO()
    run(path, sql, format, out)
    return out.getvalue()


def test_json_and_parquet_hold_the_values_as_they_are(path: Path) -> None:
    sql = (
        "select item, text, n_new_tokens, null as nothing, [1, 2] as list, {a: 1.5} as pair from completions"
        " order by item"
    )
    expected = [
        {
            "item": i,
            "text": t,
            "n_new_tokens": None if t is None else 5,
            "nothing": None,
            "list": [1, 2],
            "pair": {"a": 1.5},
        }
        for i, t in TEXTS.items()
    ]
    assert json.loads(ask(path, sql, "json")) == expected
    rows = parquet.read_table(io.BytesIO(ask(path, sql, "parquet"))).to_pylist()
    assert [row | {"pair": {"a": float(row["pair"]["a"])}} for row in rows] == expected


def test_csv_survives_quotes_and_line_ends(path: Path) -> None:
    text = ask(path, "select item, text from completions order by item", "csv").decode()
    assert list(csv.reader(io.StringIO(text, newline=""))) == [
        ["item", "text"],
        *([i, t or ""] for i, t in TEXTS.items()),
    ]


def test_json_knows_no_nan_and_dates_are_text(path: Path) -> None:
    sql = (
        "select 'nan'::double as a, ['inf'::double] as b, timestamp '2026-01-02 03:04:05' as c,"
        " 1.5::decimal(4, 2) as d, map{'k': 1} as e"
    )
    assert json.loads(ask(path, sql, "json")) == [
        {"a": None, "b": [None], "c": "2026-01-02T03:04:05", "d": 1.5, "e": {"k": 1}}
    ]


def test_a_table_is_aligned_and_prints_nothing_a_terminal_would_obey(path: Path) -> None:
    sql = "select item, text, 2 / 3 as share from completions where item in ('2', '3') order by item"
    assert ask(path, sql, "table").decode().splitlines() == [
        "item  text                           share",
        "────  ──────────────────────────  ────────",
        "2     null                        0.666667",
        "3     \\x1b[31mred\\x07 \\u202e <b>  0.666667",
        "2 rows",
    ]


def test_a_table_cuts_long_text_and_says_so(path: Path) -> None:
    shown = ask(path, "select repeat('x', 1000000) as text", "table").decode().splitlines()
    assert shown[2] == "x" * 79 + "…"
    assert shown[3] == "1 row"


def test_columns_of_equal_names_are_numbered(path: Path) -> None:
    sql = "select 1 as n, 2 as n, 3 as n_2, 4 as n"
    assert json.loads(ask(path, sql, "json")) == [{"n": 1, "n_2": 2, "n_2_2": 3, "n_3": 4}]
    assert parquet.read_table(io.BytesIO(ask(path, sql, "parquet"))).column_names == [
        "n",
        "n_2",
        "n_2_2",
        "n_3",
    ]


@pytest.mark.parametrize("format", ["table", "csv", "json", "parquet"])
def test_nothing_found_is_no_rows_in_every_format(path: Path, format: Format) -> None:
    found = ask(path, "select item from completions where false", format)
    if format == "parquet":
        assert parquet.read_table(io.BytesIO(found)).num_rows == 0
    else:
        assert (
            found.decode().split()
            == {"table": ["item", "────", "0", "rows"], "csv": ["item"], "json": ["[]"]}[format]
        )


@pytest.mark.parametrize(
    "sql",
    [
        "from read_text('{secret}')",
        "from '{secret}'",
        "from read_csv('{secret}')",
        "copy completions to '{written}'",
        "export database '{written}'",
        "attach '{written}' as other",
        "install httpfs",
        "load httpfs",
        "set enable_external_access = true",
        "from 'https://example.org/x.parquet'",
        "delete from step_completions",
        "drop view completions",
        "create table t as select 1",
        "call enable_logging(storage = 'file', storage_path = '{written}')",
        "from enable_logging(storage = 'file', storage_path = '{written}'); select 1",
        "set profiling_output = '{written}'; pragma enable_profiling; select 1",
        "set threads = 1",
    ],
)
def test_a_query_reaches_no_file_and_changes_nothing(path: Path, tmp_path: Path, sql: str) -> None:
    secret, written = tmp_path / "secret.csv", tmp_path / "written"
    secret.write_text("key\nsesame\n")
    before = path.read_bytes()
    with pytest.raises(WarehouseError):
        ask(path, sql.format(secret=secret, written=written), "table")
    assert not written.exists()
    assert path.read_bytes() == before


def test_a_mistake_in_the_query_is_told_in_duckdbs_words(path: Path) -> None:
    with pytest.raises(WarehouseError, match='Referenced column "metod" not found'):
        ask(path, "select metod from completions", "table")
    with pytest.raises(WarehouseError, match="syntax error"):
        ask(path, "selec 1", "json")
    for format in ("csv", "parquet"):
        with pytest.raises(WarehouseError, match="Could not convert string"):
            ask(path, "select text::integer from completions", format)


def test_an_empty_query_is_refused(path: Path) -> None:
    for sql in ("", "  ; ", "-- only a comment"):
        with pytest.raises(WarehouseError, match="There is no query"):
            ask(path, sql, "table")
