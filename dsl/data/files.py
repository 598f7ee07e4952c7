"""Rows of data files: JSON, JSONL, CSV, TSV and Parquet, gzipped or not."""

import csv
import gzip
import importlib
import io
import json
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from dsl.data.fingerprints import file_sha256
from dsl.data.regular_files import are_column_names, read_regular
from dsl.data.source import FileSource
from dsl.errors import DataError

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
