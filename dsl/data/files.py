"""Data files as examples: JSON, JSONL, CSV, TSV and Parquet, gzipped or not, with the columns a spec names.

The same reading serves the check of a spec (do items pair across languages?) and the `data` step.
"""

import csv
import gzip
import importlib
import io
import json
import re
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from dsl.data.fingerprints import file_sha256
from dsl.data.records import Example
from dsl.data.regular_files import are_column_names, read_regular
from dsl.data.source import Columns, FileSource, Part, RowNumber, Selector
from dsl.errors import DataError
from dsl.values import Language

FORMATS = {
    ".json": "json",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".csv": "csv",
    ".tsv": "tsv",
    ".parquet": "parquet",
}

Row = Mapping[str, Any] | Sequence[Any]


def format_of(path: str) -> str | None:
    """The format a file's ending stands for, or None; `.gz` may follow."""
    return FORMATS.get(Path(path.removesuffix(".gz")).suffix.lower())


def read_file(source: FileSource) -> Iterator[Row]:
    """The rows of one file, in order: mappings, or sequences where the file has no header.

    Raises:
        DataError: the file is missing, cut off, or not in its format; the message names the line.
    """
    path = Path(source.path)
    try:
        content = gzip.decompress(read_regular(path)) if path.suffix == ".gz" else read_regular(path)
        if source.format == "parquet":
            yield from _parquet(content)
            return
        text = content.decode("utf-8-sig")
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path}: {getattr(error, 'strerror', None) or error}") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 at byte {error.start}") from error
    if source.format == "json":
        yield from _json(path, text)
    elif source.format == "jsonl":
        yield from _jsonl(path, text)
    else:
        yield from _separated(path, text, "," if source.format == "csv" else "\t", source.header)


def read_planned(source: FileSource) -> Iterator[Row]:
    """The rows of a file whose digest the plan has filled in.

    Raises:
        DataError: as `read_file`, or the file is no longer the one that was planned.
    """
    if file_sha256(Path(source.path)) != source.sha256:
        raise DataError(f"{source.path} has changed since it was planned. Plan again")
    return read_file(source)


def examples(
    rows: Iterable[Row], columns: Columns, language: Language, limit: int | None, where: str
) -> Iterator[Example]:
    """Rows as examples. An item without a column of its own is the row's number, from 1.

    Raises:
        DataError: a row lacks a named column, or holds something else than text there.
    """
    made = 0
    for number, row in enumerate(rows, 1):
        if limit is not None and made >= limit:
            return
        at = f"{where}: row {number}"
        if columns.language is not None and _text(row, columns.language, number, at) != language:
            continue
        made += 1
        example = _example(row, columns, language, number, at)
        try:
            example.model_dump_json()
        except ValueError as error:  # half of a surrogate pair, as JSON's \\ud800 can write it
            raise DataError(f"{at}: a character that is not text: {str(error).splitlines()[0]}") from error
        yield example


def _example(row: Row, columns: Columns, language: Language, number: int, at: str) -> Example:
    def text(selector: Selector | None) -> str | None:
        return None if selector is None else _text(row, selector, number, at)

    return Example(
        item=str(number) if columns.item is None else _text(row, columns.item, number, at),
        language=language,
        instruction=instruction_of(row, columns, number, at),
        response=text(columns.response),
        chosen=text(columns.chosen),
        rejected=text(columns.rejected),
        answers=() if columns.answers is None else _texts(_pick(row, columns.answers, number, at)),
        reference=text(columns.reference),
        category=text(columns.category),
        extra={name: _whole(_pick(row, selector, number, at)) for name, selector in columns.extra.items()},
    )


def instruction_of(row: Row, columns: Columns, number: int, at: str) -> str:
    """Return a row's instruction with its `input`.

    `number` is the row's, from 1; `at` says in errors which row it is.

    Raises:
        DataError: as `examples`.
    """
    instruction = "" if columns.instruction is None else _text(row, columns.instruction, number, at)
    below = "" if columns.input is None else _text(row, columns.input, number, at)
    return f"{instruction}\n\n{below}" if below.strip() else instruction


def text_at(row: Row, selector: Selector, number: int, at: str) -> str | None:
    """One column of a row as text; None where the row holds null.

    Raises:
        DataError: as `examples`.
    """
    value = _pick(row, selector, number, at)
    if value is None:
        return None
    if isinstance(value, bool | Mapping | list | tuple):
        kind = (
            "true or false"
            if isinstance(value, bool)
            else "a mapping"
            if isinstance(value, Mapping)
            else "a list"
        )
        raise DataError(f"{at}: `{selector}` holds {kind}, not text")
    return str(value)


def _pick(row: Row, selector: Selector, number: int, at: str) -> Any:
    if isinstance(selector, RowNumber):
        return number
    if isinstance(selector, Part):
        whole = _text(row, selector.column, number, at)
        found = re.search(selector.pattern, whole)
        if found is None:
            raise DataError(f"{at}: `{selector.pattern}` does not match the text of `{selector.column}`")
        return found.group(1) if found.groups() else found.group(0)
    if isinstance(selector, int):
        return _step(row, str(selector), str(selector), at)
    if isinstance(row, Mapping) and selector in row:  # a key may itself hold a dot
        return row[selector]
    value: Any = row
    for part in selector.split("."):
        value = _step(value, part, selector, at)
    return value


def _step(value: Any, part: str, selector: str, at: str) -> Any:
    if isinstance(value, Mapping):
        mapping = cast("Mapping[str, Any]", value)
        if part in mapping:
            return mapping[part]
        keys = [str(key) for key in mapping]
        others = (
            f"there are: {', '.join(keys[:20])}" if are_column_names(keys) else "its columns have other names"
        )
        raise DataError(f"{at}: no column `{selector}`; {others}")
    if isinstance(value, Sequence) and not isinstance(value, str) and re.fullmatch(r"-?\d+", part):
        listed = cast("Sequence[Any]", value)
        if -len(listed) <= int(part) < len(listed):
            return listed[int(part)]
        raise DataError(f"{at}: `{selector}` asks for number {part} of {len(listed)}")
    raise DataError(f"{at}: `{selector}` does not lead to a value: nothing there has a `{part}`")


def _text(row: Row, selector: Selector, number: int, at: str) -> str:
    return text_at(row, selector, number, at) or ""


def _whole(value: Any) -> str:
    """A column as text whatever it holds: lists and mappings as JSON, nothing as nothing."""
    if isinstance(value, bool | Mapping | list | tuple):
        return json.dumps(value, ensure_ascii=False, default=str)
    return "" if value is None else str(value)


def _texts(value: Any) -> tuple[str, ...]:
    if value is None:
        return ()
    if isinstance(value, Sequence) and not isinstance(value, str):
        return tuple(str(one) for one in cast("Sequence[object]", value))
    return (str(value),)


def _json(path: Path, text: str) -> Iterator[Row]:
    try:
        whole = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: not JSON: {error}") from error
    if not isinstance(whole, list):
        raise DataError(f"{path}: a JSON data file is a list of rows; this one holds {type(whole).__name__}")
    yield from whole


def _jsonl(path: Path, text: str) -> Iterator[Row]:
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            try:
                yield json.loads(line)
            except (ValueError, RecursionError) as error:
                raise DataError(f"{path}:{number}: not JSON: {error}") from error


def _separated(path: Path, text: str, delimiter: str, header: bool) -> Iterator[Row]:
    csv.field_size_limit(2**31 - 1)
    # tab-separated files of this field quote nothing: a lone " is a character
    quoting = csv.QUOTE_NONE if delimiter == "\t" else csv.QUOTE_MINIMAL
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, quoting=quoting, strict=True)
    try:
        names = next(rows, list[str]()) if header else None
        if names is not None and (doubles := sorted({name for name in names if names.count(name) > 1})):
            which = (
                f"these column names occur more than once: {', '.join(doubles)}"
                if are_column_names(names)
                else "equal column names"
            )
            raise DataError(f"{path}:1: {which}")
        for row in rows:
            if not row:
                continue
            if names is None:
                yield row
            elif len(row) != len(names):
                raise DataError(f"{path}:{rows.line_num}: {len(row)} values under {len(names)} column names")
            else:
                yield dict(zip(names, row, strict=True))
    except csv.Error as error:
        raise DataError(f"{path}:{rows.line_num}: {error}") from error


def _parquet(content: bytes) -> Iterator[Row]:
    parquet: Any = importlib.import_module("pyarrow.parquet")  # Any: it has no types
    try:
        table = parquet.read_table(io.BytesIO(content))
    except ValueError as error:  # pyarrow's ArrowInvalid is one
        raise DataError(f"not a Parquet file: {error}") from error
    yield from cast("list[Row]", table.to_pylist())
