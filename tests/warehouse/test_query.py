"""`xp query`: four formats, and no way out of the warehouse."""

import csv
import io
import json
import sys
from pathlib import Path

import pyarrow.parquet as parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from dsl.errors import ArgumentError, WarehouseError
from tests.warehouse.stores import StoreMaker
from warehouse.connect import WAREHOUSE, connect
from warehouse.load import rebuild
from warehouse.query import Format, Library, frame, run
from warehouse.query_formats import as_table

TEXTS = {
    "1": 'a "quoted", text\nin\r\nlines\r',
    "2": None,
    "3": "\x1b[31mred\x07 \u202e <b>",
    "4": "=1+1",
    "5": "",
    "6": "a lone\rcarriage return",
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


def test_lines_of_csv_end_in_a_line_feed_alone(path: Path) -> None:
    assert ask(path, "select 1 as a, 'x' as b union all select 2, null", "csv") == b"a,b\n1,x\n2,\n"


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


def ask_on_a_terminal(path: Path, sql: str, width: int) -> list[str]:
    out = io.BytesIO()
    run(path, sql, "table", out, width)
    return out.getvalue().decode().splitlines()


def test_on_a_terminal_columns_with_one_value_are_named_below_the_table_with_it(path: Path) -> None:
    sql = "select 'sums' as dataset, range as n, null as seed from range(2)"
    assert ask_on_a_terminal(path, sql, 80) == [
        "n",
        "─",
        "0",
        "1",
        "2 rows",
        "the same in every row: dataset = sums, seed = null",
    ]
    assert ask_on_a_terminal(path, f"{sql} limit 1", 80)[0] == "dataset  n  seed", "one row is no constant"
    assert ask_on_a_terminal(path, "select 1 as a, 2 as b from range(3)", 80)[0] == "a  b", (
        "all that there is"
    )
    assert ask_on_a_terminal(path, f"{sql} limit 0", 80)[-1] == "0 rows"


def test_on_a_terminal_small_numbers_have_four_digits_and_large_ones_six(path: Path) -> None:
    sql = "select 2 / 3 as a, 1234.5678 :: double as b, 'nan' :: double as c"
    assert ask_on_a_terminal(path, sql, 80)[2] == "0.6667  1234.57  nan"
    assert ask(path, sql, "table").decode().splitlines()[2] == "0.666667  1234.57  nan"


def test_on_a_terminal_names_are_broken_then_text_is_cut_then_columns_are_left_out_and_named(
    path: Path,
) -> None:
    sql = (
        "select repeat('日', 9 + range) as text, 0.5 + range as mean_standard_error, range as n, -range as"
        " last from range(2)"
    )
    assert ask_on_a_terminal(path, sql, 60)[0] == "text                  mean_standard_error  n  last"
    assert ask_on_a_terminal(path, sql, 42)[:3] == [
        "                          mean_",
        "                      standard_",
        "text                      error  n  last",
    ]
    assert ask_on_a_terminal(path, sql, 23) == [
        "                  mean_",
        "              standard_",
        "text              error",
        "────────────  ─────────",
        "日日日日日 …        0.5",
        "日日日日日 …        1.5",
        "2 rows",
        "not shown: n, last. Select them by name, or use --format csv",
    ]


@given(
    st.lists(st.text("ab_日", min_size=1, max_size=30), min_size=1, max_size=6),
    st.integers(24, 60),
    st.lists(st.text("x日 ", max_size=40), min_size=6, max_size=12),
)
def test_a_table_is_as_wide_as_the_terminal_at_most(names: list[str], width: int, texts: list[str]) -> None:
    rows = [texts[: len(names)], texts[-len(names) :]]
    table, _, _ = as_table(names, rows, width).partition("2 rows")
    assert max(map(cell_len, table.splitlines())) <= width


def test_a_frame_of_pandas_holds_the_values_and_closes_the_warehouse(path: Path) -> None:
    found = frame(
        path, "select item, text, 2 / 3 as share, 1 as n, 2 as n from completions order by item", "pandas"
    )
    assert list(found.columns) == ["item", "text", "share", "n", "n_2"]
    assert [None if text != text else text for text in found["text"]] == [*TEXTS.values()]
    with connect(path):
        pass  # for writing, which needs it closed


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_a_frame_of_a_library_that_is_not_there_is_refused_with_the_remedy(
    path: Path, library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(ArgumentError, match=f"pip install {library}"):
        frame(path, "select 1", library)


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
        "copy (select 1) to '{path}' (format csv, use_tmp_file false)",
        "copy (select 1) to '{path}.wal' (format csv, use_tmp_file false)",
        "explain analyze copy completions to '{path}' (format csv, use_tmp_file false)",
        "copy (pivot completions on finish_reason) to '{path}' (format csv, use_tmp_file false)",
        "export database '{path}.tmp'",
        "select content from read_blob('{path}')",
        "from read_duckdb('{path}', table_name = 'cells')",
        "from query('select content from read' || '_blob(''{path}'')')",
        """from "query" /* as */ ('select content from read' || '_blob(''{path}'')')""",
    ],
)
def test_a_query_reaches_no_file_and_changes_nothing(path: Path, tmp_path: Path, sql: str) -> None:
    secret, written = tmp_path / "secret.csv", tmp_path / "written"
    secret.write_text("key\nsesame\n")
    before = path.read_bytes()
    with pytest.raises(WarehouseError):
        ask(path, sql.format(secret=secret, written=written, path=path), "table")
    with pytest.raises(WarehouseError):
        frame(path, sql.format(secret=secret, written=written, path=path), "pandas")
    assert not written.exists()
    assert path.read_bytes() == before
    assert [file.name for file in path.parent.iterdir() if file.name.startswith(path.name)] == [path.name]


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
