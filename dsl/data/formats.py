"""Rows of one data file: JSON, JSON lines, CSV, TSV, Parquet and Arrow, compressed or not.

Files are streamed; only a JSON document, and a separated file that may quote its fields, are read whole.
"""

import gzip
import importlib
import io
import json
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any, cast

from jiter import from_json

from dsl.data.inner_rows import Row, inner_rows, kind_of
from dsl.data.regular_files import are_column_names, open_regular
from dsl.data.separated import separated_rows
from dsl.data.source import Format, Quoting
from dsl.errors import DataError
from dsl.messages import listed

FORMATS: dict[str, Format] = {
    ".json": "json",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".csv": "csv",
    ".tsv": "tsv",
    ".parquet": "parquet",
    ".arrow": "arrow",
}
COMPRESSED = (".gz", ".zst")
READ = f"{', '.join(FORMATS)}, each also with {' or '.join(COMPRESSED)} behind it"
"""The endings that are read, for messages."""


def format_of(path: str) -> Format | None:
    """The format a file's ending stands for, in any case, or None; `.gz` or `.zst` may follow."""
    name = Path(path.lower())
    return FORMATS.get((name.with_suffix("") if name.suffix in COMPRESSED else name).suffix)


def rows_of_file(
    path: Path,
    format: Format,
    *,
    header: bool = True,
    delimiter: str | None = None,
    quoting: Quoting | None = None,
    field: str | None = None,
) -> Iterator[Row]:
    """The rows of one file in their order: mappings, or lists where the file names no columns.

    A file that begins as gzip or Zstandard data is decompressed, whatever it is called.

    Raises:
        DataError: the file is missing, cut off, or not in its format; the message names the line.
    """
    try:
        with open_regular(path) as file, _decompressed(_checked(path, file)) as content:
            if format == "json":
                rows = _json(path, content.read(), field)
            elif format == "jsonl":
                rows = _json_lines(path, content, field)
            elif format == "parquet":
                rows = _inner(path, _parquet(path, content), field)
            elif format == "arrow":
                rows = _inner(path, _arrow(path, content), field)
            else:
                separator = delimiter or ("," if format == "csv" else "\t")
                rows = separated_rows(str(path), _text(path, content.read()), separator, quoting, header)
            yield from rows
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path}: {getattr(error, 'strerror', None) or error}") from error
    except (ValueError, NotImplementedError) as error:  # pyarrow's are such
        kind = "a Parquet file" if format == "parquet" else "an Arrow file"
        raise DataError(f"{path}: not {kind} that can be read: {error}") from error


def _decompressed(file: io.BufferedReader) -> IO[bytes]:
    begins = file.peek(4)[:4]
    if begins.startswith(b"\x1f\x8b"):
        return cast("IO[bytes]", gzip.GzipFile(fileobj=file))
    if begins == b"\x28\xb5\x2f\xfd":
        arrow: Any = importlib.import_module("pyarrow")  # Any: it has no types
        return io.BytesIO(arrow.CompressedInputStream(file, "zstd").read())
    return file


def _checked(path: Path, file: io.BufferedReader) -> io.BufferedReader:
    """Return the file. Raises DataError for one that stands in another's place."""
    begins = file.peek(64)[:64].removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if begins.startswith(b"version https://git-lfs.github.com/"):
        raise DataError(
            f"{path}: a pointer of Git LFS, not the file. Fetch that: `git lfs pull`, in its repository"
        )
    if begins.startswith((b"<!doctype html", b"<html")):
        raise DataError(
            f"{path}: a web page, not data. Save the file itself, from the link that downloads it"
        )
    return file


def _text(path: Path, content: bytes) -> str:
    _check_no_utf_16(str(path), content)
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _not_utf8(str(path), content, error) from error


def _check_no_utf_16(at: str, begins: bytes) -> None:
    """Raise DataError for UTF-16 without its mark: as UTF-8 it is text with a NUL in every character."""
    if begins[:2].count(0) == 1:
        raise DataError(f"{at}: not UTF-8: every other byte is zero, as in UTF-16. Save it as UTF-8")


def _not_utf8(at: str, content: bytes, error: UnicodeDecodeError) -> DataError:
    looks = " (it begins as UTF-16 does)" if content.startswith((b"\xff\xfe", b"\xfe\xff")) else ""
    return DataError(f"{at}: not UTF-8 at byte {error.start}{looks}. Save it as UTF-8")


class _DoubledKey(ValueError):
    """A JSON object has one key twice, so one of two values would be lost."""


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        keys = [key for key, _ in pairs]
        doubled = sorted({key for key in keys if keys.count(key) > 1})
        which = f"the key `{doubled[0]}` stands" if are_column_names(keys) else "a key stands"
        raise _DoubledKey(f"{which} twice in one object. Take one of them out")
    return made


_decode = json.JSONDecoder(object_pairs_hook=_object).decode


def _at_once(content: bytes) -> Any:
    """A JSON value, in a fourth of json's time. Raises ValueError for anything unusual, which `_parsed` reads
    or names the fault of."""
    return from_json(content, cache_mode="keys", catch_duplicate_keys=True)


_ONE_A_LINE = ". Each line is to be one value; a document over several lines is `format: json`"


def _parsed(at: str, text: str, remedy: str = "", more: str = "") -> Any:
    """A JSON value. `remedy` ends the error about a text that is none, `more` that about a value with another
    behind it."""
    try:
        return _decode(text)
    except _DoubledKey as error:
        raise DataError(f"{at}: {error}") from error
    except (ValueError, RecursionError) as error:
        has_more = isinstance(error, json.JSONDecodeError) and error.msg == "Extra data"
        raise DataError(f"{at}: not JSON: {error}{more if has_more else remedy}") from error


def _json(path: Path, content: bytes, field: str | None) -> Iterator[Row]:
    try:
        whole = _at_once(content)
    except ValueError:
        text = _text(path, content)
        if _holds_lines(text):
            yield from _json_lines(path, io.BytesIO(content), field)
            return
        whole = _parsed(str(path), text, more=". Rows of one value a line are `format: jsonl`")
    if isinstance(whole, list):
        yield from _inner(path, cast("list[Any]", whole), field)
    elif isinstance(whole, dict) and field is not None:
        yield from inner_rows(str(path), cast("dict[str, Any]", whole), field)
    else:
        raise DataError(f"{path}: a JSON data file is a list of rows; this one holds {_wrapped(whole)}")


def _wrapped(whole: Any) -> str:
    if not isinstance(whole, dict):
        return kind_of(whole)
    inside = list(cast("dict[str, Any]", whole).values())
    if how := _other_orientation(inside):
        return f'{how}; pandas writes one by `to_json(path, orient="records")`'
    keys = [str(key) for key in cast("dict[str, Any]", whole)]
    named = f" with the keys {listed(keys, most=10)}" if are_column_names(keys) else ""
    return (
        f"a mapping{named}. Name the key that the rows lie under, as `field: data`, or `format: jsonl` where"
        " each line is a row"
    )


_SAVE = "Save it as a list of rows"


def _other_orientation(inside: list[Any]) -> str | None:
    """Say how a mapping of these values holds a table, by columns or by rows, and what to do."""
    if inside and all(isinstance(one, list) for one in inside) and all(inside):
        lists = cast("list[list[Any]]", inside)
        is_table = len({len(one) for one in lists}) == 1 and not any(
            isinstance(value, dict) for one in lists for value in one[:1]
        )
        return f"a mapping of columns, each a list. {_SAVE}" if is_table else None
    if inside and all(isinstance(one, dict) for one in inside) and all(inside):
        keys = [[str(key) for key in one] for one in cast("list[dict[str, Any]]", inside)]
        if all(keys[0] == one for one in keys) and all(key.isdecimal() for key in keys[0]):
            return f"a mapping of columns, each by the numbers of the rows. {_SAVE}"
        if len(keys) > 1 and set[str].intersection(*map(set, keys)):
            return f"a mapping of rows, whose ids are its keys. {_SAVE}, each with its id"
    return None


def _holds_lines(text: str) -> bool:
    """Test whether a JSON file holds one object a line: its first line is one, and more follow."""
    first, _, rest = text.lstrip().partition("\n")
    if not first.startswith("{") or not rest.strip():
        return False
    try:
        return isinstance(json.loads(first), dict)
    except (ValueError, RecursionError):
        return False


def _json_lines(path: Path, lines: Iterable[bytes], field: str | None) -> Iterator[Row]:
    file = str(path)
    for number, line in enumerate(lines, 1):
        at = f"{file}:{number}"
        try:
            value = _at_once(line)
        except ValueError:
            text = _text_of_line(at, line, number == 1)
            if not text or text.isspace():
                continue
            value = _parsed(at, text, _ONE_A_LINE if number == 1 else "")
        row = _row(at, value)
        if field is None:
            yield row
        else:
            yield from inner_rows(at, row, field)


def _text_of_line(at: str, line: bytes, is_first: bool) -> str:
    if is_first:
        _check_no_utf_16(at, line)
    try:
        return line.decode("utf-8-sig" if is_first else "utf-8")
    except UnicodeDecodeError as error:
        raise _not_utf8(at, line, error) from error


def _inner(path: Path, rows: Iterable[Any], field: str | None) -> Iterator[Row]:
    for number, one in enumerate(rows, 1):
        at = f"{path}: row {number}"
        row = _row(at, one)
        if field is None:
            yield row
        else:
            yield from inner_rows(at, row, field)


def _row(at: str, value: Any) -> Row:
    if isinstance(value, dict | list):
        return cast("Row", value)
    raise DataError(f"{at}: a row is a mapping or a list; this one is {kind_of(value)}")


def _parquet(path: Path, content: IO[bytes]) -> Iterator[Any]:
    parquet: Any = importlib.import_module("pyarrow.parquet")
    with parquet.ParquetFile(_seekable(content)) as file:
        _check_names(path, file.schema_arrow.names)
        for batch in file.iter_batches(batch_size=4096):
            yield from _rows_of_batch(batch)


def _arrow(path: Path, content: IO[bytes]) -> Iterator[Any]:
    """An Arrow IPC file or stream: `datasets` and Polars write either."""
    ipc: Any = importlib.import_module("pyarrow.ipc")
    whole = _seekable(content)
    is_file = whole.read(6) == b"ARROW1"
    whole.seek(0)
    with ipc.open_file(whole) if is_file else ipc.open_stream(whole) as reader:
        _check_names(path, reader.schema.names)
        batches = map(reader.get_batch, range(reader.num_record_batches)) if is_file else reader
        for batch in batches:
            yield from _rows_of_batch(batch)


def _seekable(content: IO[bytes]) -> IO[bytes]:
    """A decompressed stream as bytes: to go back in it would decompress it again."""
    return io.BytesIO(content.read()) if isinstance(content, gzip.GzipFile) else content


def _check_names(path: Path, names: list[str]) -> None:
    if doubled := sorted({name for name in names if names.count(name) > 1}):
        raise DataError(f"{path}: these column names occur more than once: {', '.join(doubled)}")


def _rows_of_batch(batch: Any) -> list[Any]:
    """Rows of a record batch. Binary columns are text where they hold UTF-8, and bytes where they do not."""
    types: Any = importlib.import_module("pyarrow").types
    for index, field in enumerate(batch.schema):
        if types.is_binary(field.type) or types.is_large_binary(field.type):
            try:
                text = batch.column(index).cast("string" if types.is_binary(field.type) else "large_string")
            except ValueError:  # images and the like, which no column of a study need name
                continue
            batch = batch.set_column(index, field.name, text)
    return batch.to_pylist()
