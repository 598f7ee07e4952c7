"""Values of rows as text: what a value says, what is missing, and what is no text."""

import datetime
import importlib
import json
import math
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from dsl.data.examples import Reader, examples
from dsl.data.files import read_file
from dsl.data.records import Example
from dsl.data.selectors import pick, text_at, texts_at
from dsl.data.source import Columns, FileSource, LanguageColumn, Template
from dsl.errors import DataError


def one(row: dict[str, Any], **columns: Any) -> Example:
    (example,) = examples([row], Reader(Columns(**columns), "en", None, "f.jsonl"))
    return example


@pytest.mark.parametrize(
    ("written", "text"),
    [
        ('"03"', "03"),
        ("12345678901234567890123", "12345678901234567890123"),
        ("3.0", "3"),
        ("1e22", "1" + "0" * 22),
        ("0.10", "0.1"),
        ("1e-7", "0.0000001"),
        ("-0.0", "0"),
        ("1e23", "1" + "0" * 23),
        ("null", None),
        ("NaN", None),
        ('""', ""),
    ],
)
def test_json_values_are_their_digits_and_null_and_nan_are_missing(written: str, text: str | None) -> None:
    assert text_at({"v": json.loads(written)}, "v", 1, "f") == text


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_float_is_decimal_digits_that_give_the_same_number(number: float) -> None:
    text = text_at({"v": number}, "v", 1, "f")
    assert text is not None
    assert set(text) <= set("-0123456789.")
    assert float(text) == number
    assert not text.endswith(".0")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Decimal("1.50"), "1.50"),
        (Decimal("1E+3"), "1000"),
        (Decimal("NaN"), None),
        (datetime.date(2024, 2, 29), "2024-02-29"),
        (datetime.datetime(2024, 2, 29, 12, 0, 1, tzinfo=datetime.UTC), "2024-02-29T12:00:01+00:00"),
        (datetime.time(8, 5), "08:05:00"),
    ],
)
def test_decimals_keep_their_digits_and_dates_are_iso_8601(value: object, text: str | None) -> None:
    assert text_at({"v": value}, "v", 1, "f") == text


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (math.inf, r"row 1: `v` holds infinity, not text. Write null where a number is missing"),
        (True, r"row 1: `v` holds true or false, not text. Write the words that are meant, as `{column: v"),
        (b"na\xc3\xafve", r"row 1: `v` holds bytes, not text. Write the column as UTF-8 text"),
        ({"start": [3], "text": ["Quito"]}, r"a mapping, .*path to the text: `v\.text`$"),
        ({"start": 3, "end": 4}, r"a mapping, .*path to the text: `v\.start` or `v\.end`$"),
        ([("k", "v")], r"a mapping, .*: `v\.k`"),
        (["a", "b"], r"a list, not text. Write `v\.0` for its first entry"),
        ([{"content": "a", "role": "user"}], r"a list of messages, not text. Write `v\.-1\.content` for"),
        ([{"says": "a", "at": "b"}], r"a list of mappings, .*`v\.0\.says` or `v\.0\.at`"),
        ([{"type": "text", "text": "a"}], r"a list of mappings, .* the text: `v\.0\.text`$"),
        (datetime.timedelta(1), r"a value of type timedelta, not text. Write the column as text"),
    ],
)
def test_what_is_no_text_is_refused_with_its_row_and_what_to_write_instead(value: object, says: str) -> None:
    with pytest.raises(DataError, match=says):
        text_at({"v": value}, "v", 1, "f: row 1")


def test_no_value_of_a_mapping_is_shown_in_an_error() -> None:
    with pytest.raises(DataError) as caught:
        one({"v": {"root:x:0:0": "hunter2"}}, instruction="v")
    assert str(caught.value) == (
        "f.jsonl: row 1: `v` holds a mapping, not text. Write the path to the text in it"
    )


def test_booleans_are_texts_where_they_are_asked_for() -> None:
    assert [text_at({"v": value}, "v", 1, "f", booleans=True) for value in (True, False)] == ["true", "false"]


@pytest.mark.parametrize("missing", [None, math.nan])
def test_a_missing_input_is_no_input_and_a_missing_response_is_no_response(missing: object) -> None:
    found = one(
        {"q": "Name a lake.", "in": missing, "out": missing}, instruction="q", input="in", response="out"
    )
    assert (found.instruction, found.response) == ("Name a lake.", None)


def test_a_path_that_ends_in_null_on_its_way_is_missing_and_one_that_leads_nowhere_is_refused() -> None:
    assert text_at({"a": None}, "a.b", 1, "f") is None
    with pytest.raises(DataError, match="nothing there has a `b`"):
        text_at({"a": "x"}, "a.b", 1, "f")
    with pytest.raises(DataError, match="nothing there has a `b`"):
        text_at(None, "b", 1, "f")  # pyright: ignore[reportArgumentType]  # a row that is null


@pytest.mark.parametrize(
    ("value", "path", "texts"),
    [
        ("Lima", "a", ("Lima",)),
        (5, "a", ("5",)),
        (None, "a", ()),
        (math.nan, "a", ()),
        (["Lima", None, "", math.nan, 8.0], "a", ("Lima", "8")),
        ({"text": ["Lima", "Ciudad"], "start": [3, 9]}, "a.text", ("Lima", "Ciudad")),
        ([{"text": "one"}, {"text": None}, {"text": "two"}], "a.*.text", ("one", "two")),
        ([["red"], ["crimson", "ruby"]], "a.*.*", ("red", "crimson", "ruby")),
        ([{"text": ["x", "y"]}, None, {"text": ["z"]}], "a.*.text.*", ("x", "y", "z")),
        ([("k", "v")], "a.k", ("v",)),
        ([], "a.*.text", ()),
    ],
)
def test_answers_are_a_text_a_list_or_a_path_over_lists(
    value: Any, path: str, texts: tuple[str, ...]
) -> None:
    assert texts_at({"a": value}, path, 1, "f") == texts


@pytest.mark.parametrize(
    ("value", "path", "says"),
    [
        ({"text": ["Lima"]}, "a", r"Write the path to the text: `a\.text`"),
        ([{"text": "x", "start": 1}], "a", r"a list of mappings, .*`a\.\*\.text`$"),
        (
            [{"text": "x"}],
            "a[].text",
            r"no column `a\[\]\.text`; .* Write `a\.\*\.text` for a path into a list",
        ),
        ([("k", "v")], "a", r"a mapping, .*`a\.k`$"),
        ([{"text": "x"}], "a.text", r"a list has no `text`. Write `a\.\*\.text` for every entry's"),
        ([["red"]], "a", r"lists in a list, not texts. Write `a\.\*\.\*`"),
        (True, "a", "true or false"),
        ([b"x"], "a", "bytes"),
    ],
)
def test_answers_that_are_no_texts_are_refused(value: Any, path: str, says: str) -> None:
    with pytest.raises(DataError, match=says):
        texts_at({"a": value}, path, 1, "f")


def test_every_entry_of_a_list_is_not_one_text() -> None:
    with pytest.raises(DataError, match=r"Write `a\.0\.text` for its first entry"):
        text_at({"a": [{"text": "x"}]}, "a.*.text", 1, "f")


def test_further_columns_hold_lists_as_json_and_no_bytes() -> None:
    found = one({"v": [1, math.nan, {"day": datetime.date(2024, 1, 2)}]}, extra={"v": "v"})
    assert found.extra == {"v": '[1, null, {"day": "2024-01-02"}]'}
    with pytest.raises(DataError, match="bytes"):
        one({"v": [b"x"]}, extra={"v": "v"})


def test_a_template_makes_one_text_of_several_columns_and_doubled_braces_are_braces() -> None:
    row = {"passage": "P", "mc": {"a": "one", "b": 2.0}, "doc": "d", "n": 7}
    found = one(
        row,
        item={"template": "{doc}:{n}"},
        instruction={"template": "{passage}\n\n{{A}} {mc.a}\n{{B}} {mc.b}"},
    )
    assert (found.item, found.instruction) == ("d:7", "P\n\n{A} one\n{B} 2")


def test_a_template_in_the_place_of_a_column_is_refused_with_what_to_write() -> None:
    with pytest.raises(DataError, match=r'A text of several columns is `\{template: "\{p\}\\n\{q\}"\}`'):
        text_at({"p": "a", "q": "b"}, "{p}\n{q}", 1, "d: row 1")


def test_a_template_with_a_missing_column_is_missing() -> None:
    assert text_at({"a": "x", "b": None}, Template(template="{a}{b}"), 1, "f") is None


@pytest.mark.parametrize("template", ["no column", "{", "{}", "{a!r}", "{a:3}"])
def test_a_template_without_a_column_or_with_more_than_one_in_its_braces_is_refused(template: str) -> None:
    with pytest.raises(ValidationError):
        Template(template=template)


def test_values_stand_for_texts_true_and_false_too() -> None:
    row = {"gold": 1.0, "right": True, "none": None}
    labels = {"column": "gold", "values": {"0": "A", "1": "B"}}
    words = {"column": "right", "values": {"true": "yes", "false": "no"}}
    missing = {"column": "none", "values": {"1": "x"}}
    found = one(row, answers=labels, reference=words, category=missing)
    assert (found.answers, found.reference, found.category) == (("B",), "yes", None)
    with pytest.raises(
        DataError, match="row 1: `gold` holds `1`, which `values` does not name: it has `0`, `2`"
    ):
        one(row, answers={"column": "gold", "values": {"0": "A", "2": "C"}})


def test_a_language_column_may_call_languages_by_other_names() -> None:
    rows = [{"q": word, "l": word} for word in ("eng_Latn", "fra", "ZH", "es")]
    column = LanguageColumn(column="l", values={"en": "eng_Latn", "fr": "fra", "zh-Hant": "ZH"})
    columns = Columns(instruction="q", language=column)
    found = {
        language: [row.instruction for row in examples(rows, Reader(columns, language, None, "f"))]
        for language in ("en", "fr", "zh-Hant", "es", "de")
    }
    assert found == {"en": ["eng_Latn"], "fr": ["fra"], "zh-Hant": ["ZH"], "es": ["es"], "de": []}


def test_controls_and_the_character_nul_stay_as_they_are() -> None:
    text = "before\0after \x1b[31m \u2028 \x85"
    assert one({"id": "a\0b", "q": text}, item="id", instruction="q").instruction == text


def test_parquet_values_are_text_by_the_same_rules(tmp_path: Path) -> None:
    pyarrow: Any = importlib.import_module("pyarrow")  # Any: it has no types
    parquet: Any = importlib.import_module("pyarrow.parquet")
    table = pyarrow.table(
        {
            "id": pyarrow.array([1.0, None], pyarrow.float64()),
            "gap": pyarrow.array([math.nan, 0.5], pyarrow.float64()),
            "price": pyarrow.array([Decimal("2.50"), None], pyarrow.decimal128(5, 2)),
            "map": pyarrow.array([[("k", "v")], []], pyarrow.map_(pyarrow.string(), pyarrow.string())),
            "raw": pyarrow.array([b"\xff", b"y"], pyarrow.binary()),
        }
    )
    parquet.write_table(table, tmp_path / "rows.parquet")
    source = FileSource(path=str(tmp_path / "rows.parquet"), sha256="0" * 64, format="parquet")
    first, second = read_file(source)
    assert [text_at(first, name, 1, "f") for name in ("id", "gap", "price", "map.k")] == [
        "1",
        None,
        "2.50",
        "v",
    ]
    assert [text_at(second, name, 2, "f") for name in ("id", "gap", "price")] == [None, "0.5", None]
    for name in ("map", "raw"):
        with pytest.raises(DataError, match="not text"):
            text_at(first, name, 1, "f")


@pytest.mark.parametrize("row", [{"q": "a"}, {"gold": "a"}])
def test_a_file_s_name_for_a_column_is_told_what_names_files(row: dict[str, str]) -> None:
    with pytest.raises(
        DataError, match=r"\. A file is named by `rows: \{path: gold\.jsonl\}`; reference answers"
    ):
        text_at(row, "gold.jsonl", 1, "row 1")


def test_a_column_whose_name_begins_with_a_space_is_shown_and_named() -> None:
    with pytest.raises(DataError, match=r'there are: id, ` q`\. A name keeps its spaces: write it as " q"'):
        pick({"id": 1, " q": "hello"}, "q", 1, "sp.csv: row 1")
