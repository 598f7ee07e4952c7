"""Data files as examples: every format says the same, and what is wrong is said with its place."""

import csv
import gzip
import io
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsl.data.examples import Reader, examples
from dsl.data.files import read_file
from dsl.data.formats import format_of
from dsl.data.records import Example
from dsl.data.source import Columns, FileSource, Part, RowNumber
from dsl.errors import DataError

ROWS = [
    {"id": "q1", "text": "What is\n“this”?", "answer": "a, b"},
    {"id": "q2", "text": "Quelle « heure »\test-il ?", "answer": ""},
]
COLUMNS = Columns(item="id", instruction="text", response="answer")


def source(path: Path, format: str, header: bool = True) -> FileSource:
    return FileSource.model_validate(
        {"path": str(path), "sha256": "0" * 64, "format": format, "header": header}
    )


def read(path: Path, format: str, columns: Columns = COLUMNS, header: bool = True) -> list[Example]:
    return list(examples(read_file(source(path, format, header)), Reader(columns, "en", None, path.name)))


def write(path: Path, format: str, rows: list[dict[str, Any]]) -> None:
    if format == "parquet":
        import pyarrow
        import pyarrow.parquet

        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), path)
        return
    if format == "json":
        text = json.dumps(rows)
    elif format == "jsonl":
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    else:
        out = io.StringIO()
        writer = csv.writer(out, delimiter="," if format == "csv" else "\t")
        writer.writerows([list(rows[0]), *(list(row.values()) for row in rows)])
        text = out.getvalue()
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())


@pytest.mark.parametrize("ending", ["json", "jsonl", "csv", "parquet", "json.gz", "jsonl.gz", "csv.gz"])
def test_every_format_gives_the_same_examples(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"rows.{ending}"
    format = format_of(path.name)
    assert format is not None
    write(path, format, ROWS)
    assert [(e.item, e.instruction, e.response) for e in read(path, format)] == [
        ("q1", "What is\n“this”?", "a, b"),
        ("q2", "Quelle « heure »\test-il ?", ""),
    ]


def test_a_tsv_file_without_header_is_read_by_column_number_and_row_number(tmp_path: Path) -> None:
    path = tmp_path / "mgsm_fr.tsv"
    path.write_text('Il vend 16 "œufs" à 2 $.\t18\nUne robe\t3\n', "utf-8")
    found = read(
        path, "tsv", Columns(item=RowNumber(row_number=True), instruction=0, answers=1), header=False
    )
    assert [(e.item, e.instruction, e.answers) for e in found] == [
        ("1", 'Il vend 16 "œufs" à 2 $.', ("18",)),
        ("2", "Une robe", ("3",)),
    ]


def test_dotted_paths_lead_through_mappings_and_lists_and_a_key_with_a_dot_is_found_first() -> None:
    row = {
        "input": {"messages": [{"content": "system"}, {"content": "ask"}]},
        "a.b": "whole key",
        "id": "81_FR",
    }
    columns = Columns(
        item=Part(column="id", pattern=r"^(\d+)"),
        instruction="input.messages.-1.content",
        response="input.messages.0.content",
        category="a.b",
    )
    (found,) = examples([row], Reader(columns, "fr", None, "here"))
    assert (found.item, found.instruction, found.response, found.category) == (
        "81",
        "ask",
        "system",
        "whole key",
    )


def test_input_stands_below_the_instruction_only_where_there_is_some() -> None:
    columns = Columns(item="id", instruction="q", input="more")
    rows = [{"id": 1, "q": "Translate.", "more": "Hello"}, {"id": 2, "q": "Sing.", "more": " "}]
    assert [e.instruction for e in examples(rows, Reader(columns, "en", None, "here"))] == [
        "Translate.\n\nHello",
        "Sing.",
    ]


def test_one_file_with_a_language_column_gives_only_the_rows_of_that_language() -> None:
    columns = Columns(item="id", instruction="q", language="lang")
    rows = [{"id": "1", "q": "a", "lang": "en"}, {"id": "1", "q": "b", "lang": "fr"}]
    assert [e.instruction for e in examples(rows, Reader(columns, "fr", None, "here"))] == ["b"]


def test_a_limit_takes_the_first_rows() -> None:
    assert [
        e.item
        for e in examples(
            [{"q": "a"}, {"q": "b"}, {"q": "c"}], Reader(Columns(instruction="q"), "en", 2, "here")
        )
    ] == ["1", "2"]


@pytest.mark.parametrize(
    ("content", "format", "says"),
    [
        (b'{"id": 1}\n{"id": \n', "jsonl", "rows.jsonl:2: not JSON"),
        (b'{"id": 1}', "json", "a list of rows"),
        (b"\xff\xfe", "json", "not UTF-8 at byte 0"),
        (b"id,text\n1\n", "csv", "rows.csv:2: 1 value under 2 column names"),
        (b"PAR1 nothing", "parquet", "not a Parquet file"),
        (b"id,id,text\n1,2,3\n", "csv", "these column names occur more than once: id"),
        (b"[" * 100_000, "json", "not JSON"),
        (b"[" * 100_000 + b"\n", "jsonl", "not JSON"),
    ],
)
def test_a_broken_file_is_an_error_with_its_place(
    tmp_path: Path, content: bytes, format: str, says: str
) -> None:
    path = tmp_path / f"rows.{format}"
    path.write_bytes(content)
    with pytest.raises(DataError, match=says):
        list(read_file(source(path, format)))


def test_a_gzip_file_that_is_cut_off_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl.gz"
    path.write_bytes(gzip.compress(b'{"id": 1}\n' * 100)[:-10])
    with pytest.raises(DataError):
        list(read_file(source(path, "jsonl")))


@pytest.mark.parametrize(
    ("row", "selector", "says"),
    [
        ({"a": 1, "c": 2}, "b", "no column `b`; there are: a, c"),
        ({"hunter2": 1}, "b", "no column `b`; its columns have other names"),
        ({"root:x:0:0": 1, "other": 2}, "b", "no column `b`; its columns have other names"),
        ({"a": [1]}, "a.3", "asks for entry 3 of a list of 1, the first being 0"),
        ({"a": {"b": 1}}, "a", "not text"),
        ({"a": "x"}, "a.b", "does not lead to a value"),
    ],
)
def test_a_column_that_is_not_there_is_an_error_that_names_the_row_and_what_is_there(
    row: dict[str, Any], selector: str, says: str
) -> None:
    with pytest.raises(DataError, match=says):
        list(examples([row], Reader(Columns(instruction=selector), "en", None, "f.jsonl")))


@given(
    st.lists(
        st.text(st.characters(exclude_categories=["Cs"])).filter(lambda s: s.strip()), min_size=1, max_size=5
    )
)
def test_jsonl_keeps_every_character(tmp_path_factory: pytest.TempPathFactory, texts: list[str]) -> None:
    path = tmp_path_factory.mktemp("rows") / "rows.jsonl"
    path.write_text(
        "".join(json.dumps({"q": text}, ensure_ascii=False) + "\n" for text in texts), "utf-8", newline=""
    )
    assert [e.instruction for e in read(path, "jsonl", Columns(instruction="q"))] == texts


def test_a_gzip_file_with_a_flipped_bit_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl.gz"
    content = bytearray(gzip.compress(b'{"id": 1}\n' * 100))
    content[15] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(DataError):
        list(read_file(source(path, "jsonl")))


def test_half_of_a_surrogate_pair_is_refused_with_its_row() -> None:
    with pytest.raises(DataError, match=r"f\.jsonl: row 1: a character that is not text"):
        list(
            examples(
                [json.loads('{"q": "a \\ud800 b"}')], Reader(Columns(instruction="q"), "en", None, "f.jsonl")
            )
        )


def test_a_pattern_that_is_no_regular_expression_is_refused_with_the_spec() -> None:
    with pytest.raises(ValueError, match="this is no regular expression"):
        Part(column="id", pattern="(")


def test_further_columns_are_text_and_what_is_more_than_text_is_json() -> None:
    row = {
        "ids": ["a:b", "ç"],
        "kwargs": [{"n": 1, "words": None}, {}],
        "flag": True,
        "n": 3,
        "text": "plain",
        "nothing": None,
    }
    (example,) = examples([row], Reader(Columns(extra={name: name for name in row}), "en", None, "f.jsonl"))
    assert example.extra == {
        "ids": '["a:b", "ç"]',
        "kwargs": '[{"n": 1, "words": null}, {}]',
        "flag": "true",
        "n": "3",
        "text": "plain",
        "nothing": "",
    }


def of_folder(folder: Path, *files: list[dict[str, Any]], **changes: Any) -> FileSource:
    """Several JSONL files as one source: a.jsonl, b.jsonl …"""
    names = [folder / f"{letter}.jsonl" for letter in "abc"[: len(files)]]
    for name, rows in zip(names, files, strict=True):
        write(name, "jsonl", rows)
    listed = [{"path": str(name), "sha256": "0" * 64} for name in names]
    whole = {"path": str(folder), "sha256": "0" * 64, "format": "jsonl", "files": listed, **changes}
    return FileSource.model_validate(whole)


def test_of_several_files_an_error_names_the_file_and_the_row_in_it(tmp_path: Path) -> None:
    good, bad = {"id": 1, "text": "a", "answer": "b", "keep": 1}, {"id": 2, "text": {"x": 1}, "keep": 1}
    reader = Reader(COLUMNS, "en", None, "rows")
    with pytest.raises(DataError, match=r"b\.jsonl: row 2: `text` holds a mapping"):
        list(examples(read_file(of_folder(tmp_path, [good, good], [good, bad])), reader))
    kept = of_folder(tmp_path, [good], [{"keep": 2}, good, bad], where={"keep": (1,)})
    with pytest.raises(
        DataError, match=r"b\.jsonl \(rows that `where: \{keep\}` keeps\): row 2: `text` holds"
    ):
        list(examples(read_file(kept), reader))
    with pytest.raises(DataError, match=r"b\.jsonl: row 2: no column `keep`"):
        list(read_file(of_folder(tmp_path, [good, good], [good, {"id": 3}], where={"keep": (1,)})))
    with pytest.raises(DataError, match=r"`where` keeps none of 3 rows: `keep` holds `1`"):
        list(read_file(of_folder(tmp_path, [good], [good, good], where={"keep": (7,)})))


def test_rows_of_several_files_are_numbered_over_all_of_them(tmp_path: Path) -> None:
    rows = [{"text": "a", "answer": "b"}, {"text": "c", "answer": "d"}]
    numbered = Reader(COLUMNS.model_copy(update={"item": None}), "en", None, "rows")
    found = examples(read_file(of_folder(tmp_path, rows, rows)), numbered)
    assert [one.item for one in found] == ["1", "2", "3", "4"]
