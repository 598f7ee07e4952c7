"""Data files as other people write them: what is in them comes out, or a refusal says why not."""

import csv
import gzip
import io
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.ipc
import pyarrow.parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsl.data.files import read_file
from dsl.data.formats import format_of, rows_of_file
from dsl.data.source import FileSource
from dsl.errors import DataError


def rows(path: Path, content: str | bytes | None = None, **settings: Any) -> list[Any]:
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    source = {"path": str(path), "sha256": "0" * 64, "format": format_of(path.name), **settings}
    return [
        row if isinstance(row, list) else dict(row) for row in read_file(FileSource.model_validate(source))
    ]


@pytest.mark.parametrize(
    ("name", "format"),
    [
        ("A.JSONL.GZ", "jsonl"),
        ("a.json.zst", "json"),
        ("a.ndjson", "jsonl"),
        ("a.Parquet", "parquet"),
        ("a.arrow", "arrow"),
        ("a.xlsx", None),
        ("a.gz", None),
        ("jsonl", None),
    ],
)
def test_an_ending_tells_the_format_in_any_case(name: str, format: str | None) -> None:
    assert format_of(name) == format


TABLE = [{"id": "a", "n": 1}, {"id": "b", "n": 2}]


def as_bytes(format: str) -> bytes:
    out = io.BytesIO()
    table = pyarrow.Table.from_pylist(TABLE)
    if format == "jsonl":
        return "".join(json.dumps(row) + "\n" for row in TABLE).encode()
    if format == "parquet":
        pyarrow.parquet.write_table(table, out)
    else:
        new = pyarrow.ipc.new_file if format == "arrow file" else pyarrow.ipc.new_stream
        with new(out, table.schema) as writer:
            writer.write_table(table)
    return out.getvalue()


@pytest.mark.parametrize("format", ["jsonl", "parquet", "arrow file", "arrow stream"])
@pytest.mark.parametrize("codec", [None, "gzip", "zstd"])
def test_a_compressed_file_has_the_rows_of_the_plain_one(
    format: str, codec: str | None, tmp_path: Path
) -> None:
    content = as_bytes(format)
    if codec == "gzip":
        content = gzip.compress(content, mtime=0)
    elif codec == "zstd":
        content = pyarrow.compress(content, codec="zstd", asbytes=True)
    ending = format.split()[0] + {"gzip": ".gz", "zstd": ".zst", None: ""}[codec]
    assert rows(tmp_path / f"t.{ending}", content) == TABLE


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("cut.jsonl.gz", gzip.compress(b'{"id": 1}\n' * 100, mtime=0)[:-9]),
        ("cut.jsonl.zst", pyarrow.compress(b'{"id": 1}\n' * 100, codec="zstd", asbytes=True)[:-9]),
        ("cut.parquet", as_bytes("parquet")[:-9]),
        ("cut.arrow", as_bytes("arrow file")[:-9]),
        ("magic.arrow", b"ARROW1\0\0"),
        ("text.parquet", b"id,q\n1,2\n"),
    ],
)
def test_a_file_that_is_cut_off_is_refused_by_name(name: str, content: bytes, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=name):
        rows(tmp_path / name, content)


def test_a_json_file_of_one_object_a_line_is_read_as_lines(tmp_path: Path) -> None:
    assert rows(tmp_path / "a.json", '{"id": "a"}\n\n{"id": "b"}\n') == [{"id": "a"}, {"id": "b"}]
    with pytest.raises(DataError, match=r"b\.json:2: not JSON"):
        rows(tmp_path / "b.json", '{"id": "a"}\n{"id": \n')


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ('{"data": [], "version": 1}', r"a mapping with the keys `data`, `version`\. .* `field: data`"),
        ('{\n "data": []\n}', r"`field: data`"),
        ("3", "this one holds a number"),
        ('["a"]', r"row 1: a row is a mapping or a list; this one is a text"),
        ('[{"id": 1}, null]', "row 2: a row is a mapping or a list; this one is nothing"),
    ],
)
def test_a_json_file_without_rows_at_its_top_says_what_it_holds(
    content: str, says: str, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=says):
        rows(tmp_path / "a.json", content)


def test_a_document_over_several_lines_in_a_jsonl_file_is_told_its_format(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"a\.jsonl:1: not JSON: .*`format: json`"):
        rows(tmp_path / "a.jsonl", '{\n "id": 1\n}\n')


@pytest.mark.parametrize("name", ["a.jsonl", "a.json"])
def test_a_key_that_stands_twice_is_refused_with_its_line(name: str, tmp_path: Path) -> None:
    twice = '{"id": "1", "q": {"x": 1, "q": "first", "q": "second"}}'
    content = f'{{"id": "0", "q": "x"}}\n{twice}\n' if name == "a.jsonl" else f"[{twice}]"
    where = r"a\.jsonl:2" if name == "a.jsonl" else r"a\.json"
    with pytest.raises(DataError, match=rf"{where}: the key `q` stands twice"):
        rows(tmp_path / name, content)


WRITTEN = [
    "0.1",
    "-0.0",
    "1e999",
    "5e-324",
    "NaN",
    "-Infinity",
    "1" * 4000,
    "123456789012345678901234567890",
    r'"\ud800"',
    r'"a \ud83d b"',
    r'"\ud83d\ude00 \u0000"',
    "[" * 300 + "]" * 300,
    '"\u2028\x7f"',
]
"""Values that other readers of JSON take for a fault, or for another value."""


@pytest.mark.parametrize("value", WRITTEN)
@pytest.mark.parametrize("name", ["a.jsonl", "a.json"])
def test_a_value_is_what_json_reads(value: str, name: str, tmp_path: Path) -> None:
    content = f'{{"q": {value}}}' if name == "a.jsonl" else f'[{{"q": {value}}}]'
    assert repr(rows(tmp_path / name, f"{content}\n")) == repr([{"q": json.loads(value)}])


@pytest.mark.parametrize("value", ["01", "1.", '"a\tb"', "[1,]", "{'a': 1}", "nul", r'"\x"'])
def test_a_value_that_is_none_is_refused_with_its_line(value: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"a\.jsonl:2: not JSON: "):
        rows(tmp_path / "a.jsonl", f'{{"q": 1}}\n{{"q": {value}}}\n')


NESTED = {
    "version": "1",
    "data": [
        {
            "title": "Rivers",
            "paragraphs": [
                {"context": "The Po.", "qas": [{"id": "p1", "q": "Which?"}, {"id": "p2", "q": "Where?"}]},
                {"context": "The Ebro.", "qas": [{"id": "e1", "q": "Which?"}]},
            ],
        },
        {"title": "Lakes", "paragraphs": []},
    ],
}


@pytest.mark.parametrize("field", ["data.*.paragraphs.*.qas", "data.*.paragraphs.*.qas.*"])
def test_rows_of_inner_lists_have_the_keys_around_them_by_path(field: str, tmp_path: Path) -> None:
    found = rows(tmp_path / "a.json", json.dumps(NESTED), field=field)
    assert [(row["id"], row["data"]["title"], row["data"]["paragraphs"]["context"]) for row in found] == [
        ("p1", "Rivers", "The Po."),
        ("p2", "Rivers", "The Po."),
        ("e1", "Rivers", "The Ebro."),
    ]
    assert {row["version"] for row in found} == {"1"}


@pytest.mark.parametrize("name", ["a.jsonl", "a.json", "a.parquet"])
def test_inner_lists_of_rows_are_read_alike_in_every_format(name: str, tmp_path: Path) -> None:
    outer = [{"talk": "t1", "turns": [{"q": "a"}, {"q": "b"}]}, {"talk": "t2", "turns": [{"q": "c"}]}]
    path = tmp_path / name
    if name == "a.parquet":
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(outer), path)
    else:
        path.write_text(json.dumps(outer) if name == "a.json" else "\n".join(map(json.dumps, outer)), "utf-8")
    found = rows(path, field="turns")
    assert [(row["talk"], row["q"]) for row in found] == [("t1", "a"), ("t1", "b"), ("t2", "c")]


@pytest.mark.parametrize(
    ("field", "says"),
    [
        ("rows", "a mapping has no key `rows`"),
        (
            "data.paragraphs",
            r"a list has no key `paragraphs`\. For each of its elements write `\*\.paragraphs`",
        ),
        ("version", "leads to a text, and a row is a mapping or a list"),
        ("version.*", r"`\*` stands where the file has a text"),
    ],
)
def test_a_path_to_no_rows_says_where_it_ends(field: str, says: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=says):
        rows(tmp_path / "a.json", json.dumps(NESTED), field=field)


def test_double_column_names_are_told_as_such_in_every_format(tmp_path: Path) -> None:
    table = pyarrow.table([["1"], ["x"], ["y"]], names=["id", "q", "q"])
    pyarrow.parquet.write_table(table, tmp_path / "a.parquet")
    with pyarrow.ipc.new_stream(tmp_path / "a.arrow", table.schema) as writer:
        writer.write_table(table)
    (tmp_path / "a.csv").write_text("id,q,q\n1,x,y\n", "utf-8")
    for name in ("a.parquet", "a.arrow", "a.csv"):
        with pytest.raises(DataError, match=rf"{name}.*: these column names occur more than once: q"):
            rows(tmp_path / name)


def test_a_binary_column_is_text_where_it_is_utf_8_and_else_stays_bytes(tmp_path: Path) -> None:
    table = pyarrow.table({"q": [b"na\xc3\xafve", None], "image": [b"\x89PNG\xff", b"ok"]})
    pyarrow.parquet.write_table(table, tmp_path / "a.parquet")
    assert rows(tmp_path / "a.parquet") == [
        {"q": "naïve", "image": b"\x89PNG\xff"},
        {"q": None, "image": b"ok"},
    ]


MGSM = 'He says "no".\t3\n"Two" eggs and "three"\t5\n'


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ('a "b\t1\n', [['a "b', "1"]]),
        (MGSM, [['He says "no".', "3"], ['"Two" eggs and "three"', "5"]]),
        ('"Say ""hi"" twice."\t1\nplain\t2\n', [['Say "hi" twice.', "1"], ["plain", "2"]]),
        ('"Two\nlines, and a\ttab"\t1\nplain\t2\n', [["Two\nlines, and a\ttab", "1"], ["plain", "2"]]),
        ('"id"\t"q"\n"1"\t"x"\n2\t"y"\n', [["id", "q"], ["1", "x"], ["2", "y"]]),
        ("a\rb\t1\r\nc\t2\r\n", [["a\rb", "1"], ["c", "2"]]),
    ],
)
def test_quotes_of_a_tsv_file_are_taken_away_where_a_writer_put_them(
    text: str, read: list[list[str]], tmp_path: Path
) -> None:
    assert rows(tmp_path / "a.tsv", text, header=False) == read


@pytest.mark.parametrize(
    "text",
    [
        'plain\t1\n"All of it."\t2\n',
        '"Say \\"hi\\" twice."\t1\nplain\t2\n',
        '"Say ""hi""."\t1\n"Two" eggs\t2\n',
    ],
)
def test_quotes_of_a_tsv_file_with_two_readings_are_refused_until_they_are_named(
    text: str, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=r"a\.tsv: values stand in quotes .*`quoting: none`"):
        rows(tmp_path / "a.tsv", text, header=False)
    kept = rows(tmp_path / "a.tsv", header=False, quoting="none")
    assert kept == [line.split("\t") for line in text.splitlines()]


def test_a_named_quoting_takes_plain_quotes_away(tmp_path: Path) -> None:
    text = 'plain\t1\n"All of it."\t2\n'
    assert rows(tmp_path / "a.tsv", text, header=False, quoting="minimal")[1] == ["All of it.", "2"]


def test_a_delimiter_is_named_and_a_file_with_another_one_says_so(tmp_path: Path) -> None:
    text = 'id;q\n1;"a; b"\n'
    with pytest.raises(DataError, match='Name what separates values: `delimiter: ";"`'):
        rows(tmp_path / "a.csv", text)
    assert rows(tmp_path / "a.csv", delimiter=";") == [{"id": "1", "q": "a; b"}]


@pytest.mark.parametrize("name", ["a.tsv", "a.csv"])
def test_a_row_of_another_width_is_refused_without_a_header_too(name: str, tmp_path: Path) -> None:
    text = "q\t1\na tab\tinside\t2\n"
    with pytest.raises(DataError, match=rf"{name}:2: 3 values where the first row has 2"):
        rows(tmp_path / name, text if name == "a.tsv" else text.replace("\t", ","), header=False)


def test_a_row_with_a_comma_too_many_says_that_values_stand_in_quotes(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"A `,` inside a value needs quotes around it$"):
        rows(tmp_path / "a.csv", "id,q\n1,What, then?\n")


def test_the_line_of_a_ragged_row_is_counted_through_quoted_line_breaks(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"a\.csv:4: 1 value under 2 column names"):
        rows(tmp_path / "a.csv", 'id,q\n1,"two\nlines"\n2\n')


def test_a_quote_that_is_not_closed_and_rows_without_line_feeds_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"a\.csv:2: a quote is opened and not closed"):
        rows(tmp_path / "a.csv", 'id,q\n1,"two\nlines\n')
    with pytest.raises(DataError, match="this file has carriage returns alone"):
        rows(tmp_path / "b.csv", "id,q\r1,x\r")


TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))


@given(st.lists(st.lists(TEXT, min_size=2, max_size=2), min_size=1), st.sampled_from(",;\t"))
def test_what_a_writer_quoted_comes_back_character_by_character(
    tmp_path_factory: pytest.TempPathFactory, table: list[list[str]], delimiter: str
) -> None:
    out = io.StringIO()
    csv.writer(out, delimiter=delimiter, quoting=csv.QUOTE_ALL).writerows(table)
    path = tmp_path_factory.mktemp("rows") / "a.csv"
    assert rows(path, out.getvalue(), header=False, delimiter=delimiter, quoting="minimal") == table


@given(
    st.lists(st.lists(TEXT.filter(lambda s: not set("\t\n") & set(s)), min_size=2, max_size=2), min_size=1)
)
def test_a_tsv_file_that_quotes_nothing_keeps_every_character_or_is_refused(
    tmp_path_factory: pytest.TempPathFactory, table: list[list[str]]
) -> None:
    table = [[first, f"{second}."] for first, second in table]
    path = tmp_path_factory.mktemp("rows") / "a.tsv"
    text = "".join("\t".join(row) + "\n" for row in table)
    assert rows(path, text, header=False, quoting="none") == table


def test_where_keeps_the_rows_with_a_wanted_value_and_counts_them(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    table = [{"id": n, "meta": {"split": s}, "ok": n % 2 == 0} for n, s in enumerate("abcab")]
    path.write_text("".join(json.dumps(row) + "\n" for row in table), "utf-8")

    def kept(**where: Any) -> tuple[list[int], Counter[str]]:
        counted: Counter[str] = Counter()
        source = FileSource(path=str(path), sha256="0" * 64, format="jsonl", where=where)
        return [row["id"] for row in read_file(source, counted)], counted  # type: ignore[call-overload]

    assert kept(**{"meta.split": ("a", "c")}) == ([0, 2, 3], {"read": 5, "kept": 3})
    assert kept(**{"meta.split": ("a",), "ok": (True,)})[0] == [0]
    assert kept(id=(4,))[0] == [4]
    with pytest.raises(DataError, match=r"keeps none of 5 rows: `meta\.split` holds `a`, `b`, `c`"):
        kept(**{"meta.split": ("d",)})
    with pytest.raises(DataError, match=r"row 1: no column `splt`"):
        kept(splt=("a",))
    with pytest.raises(DataError, match="keeps none"):
        kept(ok=(1,))


def test_where_compares_a_csv_file_s_text_with_the_value_as_it_is_written(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    assert rows(path, "id,ok\n07,true\n7,false\n", where={"id": (7,)}) == [{"id": "7", "ok": "false"}]
    assert rows(path, where={"ok": (True,)}) == [{"id": "07", "ok": "true"}]
    assert rows(path, header=False, where={"0": ("7",)}) == [["7", "false"]]
    with pytest.raises(DataError, match="a list has no `id`"):
        rows(path, header=False, where={"id": ("7",)})


def test_where_finds_a_number_under_its_digits_too(tmp_path: Path) -> None:
    read = '{"n": 1}\n{"n": "1"}\n{"n": true}\n{"n": "true"}\n{"n": null}\n{"n": [1]}\n'
    path = tmp_path / "a.jsonl"
    for wanted in (1, "1"):
        assert rows(path, read, where={"n": (wanted,)}) == [{"n": 1}, {"n": "1"}]
    for wanted in (True, "true"):
        assert rows(path, where={"n": (wanted,)}) == [{"n": True}, {"n": "true"}]


def test_a_byte_order_mark_and_carriage_returns_before_line_feeds_are_no_text(tmp_path: Path) -> None:
    read = [{"id": "1", "q": "two\r\nlines"}, {"id": "2", "q": "null"}]
    csv_text = '\ufeffid,q\r\n1,"two\r\nlines"\r\n\r\n2,null\r\n'
    jsonl = '\ufeff{"id": "1", "q": "two\\r\\nlines"}\r\n{"id": "2", "q": "null"}\r\n'
    assert rows(tmp_path / "a.csv", csv_text) == read
    assert rows(tmp_path / "a.tsv", csv_text.replace(",", "\t")) == read
    assert rows(tmp_path / "a.jsonl", jsonl) == read
    assert rows(tmp_path / "a.json", jsonl) == read


@pytest.mark.parametrize(
    ("name", "content"),
    [("a.csv", "id,q\n1,caf\u00e9\n"), ("a.jsonl", '{"q": "caf\u00e9"}\n'), ("a.json", '["caf\u00e9"]')],
)
def test_another_encoding_is_refused_with_its_place(name: str, content: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=rf"{name}.*not UTF-8 at byte \d+\. Save it as UTF-8"):
        rows(tmp_path / name, content.encode("latin-1"))
    with pytest.raises(DataError, match="begins as UTF-16 does"):
        rows(tmp_path / name, content.encode("utf-16"))
    for without_mark in ("utf-16-le", "utf-16-be"):
        with pytest.raises(DataError, match=rf"{name}.*: every other byte is zero, as in UTF-16\."):
            rows(tmp_path / name, content.encode(without_mark))


def test_values_one_after_another_are_told_the_format_of_lines(tmp_path: Path) -> None:
    lists = '["1", "q"]\n["2", "r"]\n'
    with pytest.raises(DataError, match=r"a\.json: not JSON: Extra data.*`format: jsonl`"):
        rows(tmp_path / "a.json", lists)
    assert rows(tmp_path / "a.json", format="jsonl") == [["1", "q"], ["2", "r"]]
    with pytest.raises(DataError, match=r"b\.jsonl:1: not JSON: Extra data"):
        rows(tmp_path / "b.jsonl", '{"id": 1}{"id": 2}\n')


@pytest.mark.parametrize(
    ("name", "text", "why"),
    [
        (
            "q.jsonl",
            "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\n",
            "Git LFS.*`git lfs pull`",
        ),
        ("q.parquet", "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\n", "Git LFS"),
        ("q.csv", "\n<!DOCTYPE html><html><body>404</body></html>", "a web page, not data"),
        ("q.json", '{"id": [1, 2], "q": ["a?", "b?"]}', "columns, each a list.*orient=.records"),
        ("q.json", '{"id": {"0": 1}, "q": {"0": "a?"}}', "columns, each by the numbers of the rows"),
        (
            "q.json",
            '{"q1": {"q": "a?"}, "q2": {"q": "b?"}}',
            "rows, whose ids are its keys.*each with its id",
        ),
        ("q.json", '{"data": [{"q": "a?"}]}', "Name the key that the rows lie under, as `field: data`"),
        ("q.csv", 'id,q\n1,a\n2,"b" or c?\n', ":3: text behind a quote.*`quoting: none`"),
        (
            "q.csv",
            'id,q\n1,"say \\"hi, you\\" ok?"\n',
            ":2: quotes inside of a value stand behind a backslash",
        ),
        (
            "q.jsonl",
            '{"id": 1, "x": {"k": 1, "k": 1}}\n',
            ":1: the key `k` stands twice in one object. Take one",
        ),
    ],
)
def test_what_is_no_table_of_rows_is_refused_with_what_to_do(
    name: str, text: str, why: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_text(text, "utf-8")
    format = format_of(name)
    assert format is not None
    with pytest.raises(DataError, match=why):
        list(rows_of_file(tmp_path / name, format))
