"""Rows of comma- and tab-separated text, and whether a tab-separated file quotes its fields."""

import csv
import re
from collections.abc import Iterator

from dsl.data.inner_rows import Row
from dsl.data.regular_files import are_column_names
from dsl.data.source import Quoting
from dsl.errors import DataError

csv.field_size_limit(2**31 - 1)

_ESCAPED = re.compile(r'"(?:[^"]|"")*""(?:[^"]|"")*"|".*\\".*"', re.DOTALL)
"""A field as only a writer that quotes would have it: in quotes, the inner ones doubled or escaped."""
_ENCLOSED = re.compile(r'"[^"]*"')
"""A field in quotes that a writer may have put, or the text may have."""


def separated_rows(
    path: str, text: str, delimiter: str, quoting: Quoting | None, header: bool
) -> Iterator[Row]:
    """Rows as mappings, or as lists without a header. A row ends at a line feed; a lone carriage return is
    text.

    Without `quoting`, a comma-separated file quotes as `csv` writes it. A tab-separated one does where it has
    quotes that only a writer can have put, and does not where it has some that none would have left; one that
    could be read either way is refused.

    Raises:
        DataError: a row has more or fewer values than the others, a quote is not closed, a column name occurs
            twice, or the quotes of a tab-separated file have two readings.
    """
    if "\r" in text and "\n" not in text:
        raise DataError(f"{path}: rows end at a line feed, and this file has carriage returns alone")
    if quoting is None:
        quoting = _quoting_of_tabs(path, text, header) if delimiter == "\t" else "minimal"
    rows = _records(path, text, delimiter, quoting)
    first = next(rows, None)
    if first is None:
        return
    line, names = first
    if header:
        _check_names(path, names, delimiter)
    else:
        yield names
    for line, row in rows:
        if len(row) != len(names):
            beside = f"under {len(names)} column names" if header else f"where the first row has {len(names)}"
            raise DataError(f"{path}:{line}: {_values(len(row))} {beside}{_remedy(delimiter, quoting)}")
        yield dict(zip(names, row, strict=True)) if header else row


def _values(n: int) -> str:
    return f"{n} value{'s' if n != 1 else ''}"


def _remedy(delimiter: str, quoting: Quoting) -> str:
    inside = "tab" if delimiter == "\t" else f"`{delimiter}`"
    also = ", and `quoting: minimal`" if quoting == "none" else ""
    return f". A {inside} inside a value needs quotes around it{also}"


def _check_names(path: str, names: list[str], delimiter: str) -> None:
    if len(names) == 1 and (others := [mark for mark in ";\t|," if mark != delimiter and mark in names[0]]):
        what = "tab" if others[0] == "\t" else f"`{others[0]}`"
        how = "\\t" if others[0] == "\t" else others[0]
        raise DataError(
            f'{path}:1: one column name, with {what} in it. Name what separates values: `delimiter: "{how}"`'
        )
    if doubled := sorted({name for name in names if names.count(name) > 1}):
        which = (
            f"these column names occur more than once: {', '.join(doubled)}"
            if are_column_names(names)
            else "equal column names"
        )
        raise DataError(f"{path}:1: {which}")


def _records(path: str, text: str, delimiter: str, quoting: Quoting) -> Iterator[tuple[int, list[str]]]:
    """(line, values) of every row; empty lines are none."""
    if quoting == "none":
        for number, line in enumerate(text.split("\n"), 1):
            if line := line.removesuffix("\r"):
                yield number, line.split(delimiter)
        return
    # csv would end a row at a lone carriage return: a character that the text lacks stands for it meanwhile
    lone = next(c for c in map(chr, range(0xE000, 0xF900)) if c not in text) if "\r" in text else ""
    lines = (re.sub("\r(?!$)", lone, line) if lone else line for line in text.split("\n"))
    rows = csv.reader((f"{line}\n" for line in lines), delimiter=delimiter, strict=True)
    number = 1
    try:
        for row in rows:
            if row:
                yield number, [value.replace(lone, "\r") for value in row] if lone else row
            number = rows.line_num + 1
    except csv.Error as error:
        raise DataError(f"{path}:{number}: {_quoted_wrong(str(error), text, number)}") from error


def _quoted_wrong(error: str, text: str, number: int) -> str:
    """Say what is wrong with the quotes of a row that begins at a line, and what to do."""
    if "expected after" not in error:
        return "a quote is opened and not closed" if "unexpected end" in error else error
    remedy = 'Double quotes inside of a quoted value, as `"He said ""hi"""`'
    line = text.split("\n")[number - 1]
    if '\\"' in line:
        return f"quotes inside of a value stand behind a backslash, which is text in such a file. {remedy}"
    return f"text behind a quote that closes a value. {remedy}; `quoting: none` keeps quotes that are text"


def _quoting_of_tabs(path: str, text: str, header: bool) -> Quoting:
    if not re.search(r'(?:^|[\t\n])"', text):  # a quote elsewhere is a character under either reading
        return "none"
    fields = [field for _, row in _records(path, text, "\t", "none") for field in row if field[:1] == '"']
    is_even = {quoting: _is_even(path, text, quoting) for quoting in ("minimal", "none")}
    is_written = any(_ESCAPED.fullmatch(field) for field in fields)
    if is_even["minimal"] and (not is_even["none"] or is_written or _quotes_all(path, text, header)):
        return "minimal"
    # a writer that quotes would have doubled the inner quotes of such a field
    is_loose = any(not _ENCLOSED.fullmatch(field) for field in fields)
    if not is_written and (is_loose or not is_even["minimal"]):
        return "none"
    raise DataError(
        f'{path}: values stand in quotes ("…"), which are either part of the text or were put there by a'
        " writer. Say which: `quoting: none` keeps them, `quoting: minimal` takes them away"
    )


def _is_even(path: str, text: str, quoting: Quoting) -> bool:
    try:
        return len({len(row) for _, row in _records(path, text, "\t", quoting)}) <= 1
    except DataError:
        return False


def _quotes_all(path: str, text: str, header: bool) -> bool:
    """Test whether every value stands in quotes, numbers and empty ones aside."""
    return all(
        _ENCLOSED.fullmatch(field) or not re.search(r"[^\W\d]", field)
        for number, row in _records(path, text, "\t", "none")
        for field in row
        if number > header
    )
