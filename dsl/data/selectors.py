"""Columns of a row as text: the one place that follows a selector and turns a value into text.

text                      as it is
integer, whole float      digits: 3.0 is `3`, 1e22 is `10000000000000000000000`
other float, decimal      decimal digits without an exponent: 1e-7 is `0.0000001`
date, time                ISO 8601
true, false               refused, unless booleans are asked for
null, NaN                 missing, which is None and never a text
everything else           refused: infinity, bytes, lists, mappings
"""

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, time
from decimal import Decimal
from functools import lru_cache
from typing import Any, TypeGuard, cast

from dsl.data.formats import format_of
from dsl.data.inner_rows import Row
from dsl.data.regular_files import are_column_names
from dsl.data.source import LanguageColumn, Mapped, Part, RowNumber, Selector, Template, Written
from dsl.errors import DataError
from dsl.messages import listed, ticked
from dsl.values import Language


class Absent(DataError):
    """A row without a named column."""


def text_at(row: Row, selector: Selector, number: int, at: str, *, booleans: bool = False) -> str | None:
    """One column of a row as text; None where it is missing.

    Args:
        booleans: true and false are the texts `true` and `false`.

    Raises:
        DataError: as `pick` and `text_of`.
    """
    return text_of(pick(row, selector, number, at), selector, at, booleans=booleans)


def texts_at(row: Row, selector: Selector, number: int, at: str) -> tuple[str, ...]:
    """One column of a row as texts: a list's entries, or the one value. Missing and empty ones are left out.

    Raises:
        DataError: as `pick` and `text_of`; a list in the list, too.
    """
    value = pick(row, selector, number, at)
    entries = value if is_list(value) and not _is_map(value) else (value,)
    texts = (text_of(one, selector, at, in_list=entries is value) for one in entries)
    return tuple(text for text in texts if text is not None and text.strip())


def json_at(row: Row, selector: Selector, number: int, at: str) -> str:
    """One column of a row as text whatever it holds: lists and mappings as JSON, what is missing as nothing.

    Raises:
        DataError: as `pick`; the value is, or holds, bytes or infinity.
    """
    value = pick(row, selector, number, at)
    if isinstance(value, Mapping | list | tuple):
        return _characters(json.dumps(_plain(value, selector, at), ensure_ascii=False), selector, at)
    return text_of(value, selector, at, booleans=True) or ""


def language_at(row: Row, column: Written | LanguageColumn, number: int, at: str) -> str:
    """A row's language, as its file calls it; empty where it is missing.

    Raises:
        DataError: as `text_at`.
    """
    return text_at(row, language_selector(column), number, at) or ""


def language_selector(column: Written | LanguageColumn) -> Written:
    """Return the selector of a language column."""
    return column.column if isinstance(column, LanguageColumn) else column


def language_in_file(column: Written | LanguageColumn, language: Language) -> str:
    """Return what a file calls a language of the study."""
    return column.values.get(language, language) if isinstance(column, LanguageColumn) else language


def name_of(selector: Selector) -> str:
    """Return what errors call a selector."""
    if isinstance(selector, Part | Mapped):
        return str(selector.column)
    return selector.template if isinstance(selector, Template) else str(selector)


def text_of(
    value: Any, selector: Selector, at: str, *, booleans: bool = False, in_list: bool = False
) -> str | None:
    """A value as text; None where it is missing.

    Args:
        selector: The column that it stands in, for errors.
        at: The row, for errors.
        in_list: It is an entry of the list that the column holds.

    Raises:
        DataError: the value is none that has one text; the message says what to write instead.
    """
    if isinstance(value, str):
        return _characters(value, selector, at)
    if _is_missing(value):
        return None
    if isinstance(value, bool):
        if booleans:
            return str(value).lower()
        words = f'`{{column: {name_of(selector)}, values: {{"true": "yes", "false": "no"}}}}`'
        why = f"`{name_of(selector)}` holds true or false, not text"
        raise DataError(f"{at}: {why}. Write the words that are meant, as {words}")
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float | Decimal) and math.isfinite(value):
        # the shortest digits that give this number; adding zero takes the sign from a zero
        digits = Decimal(repr(value + 0.0)) if isinstance(value, float) else value
        return format(digits, "f").removesuffix(".0" if isinstance(value, float) else "")
    if isinstance(value, date | time):
        return value.isoformat()
    raise DataError(f"{at}: `{name_of(selector)}` {_no_text(value, name_of(selector), in_list)}")


def _is_missing(value: Any) -> bool:
    return value is None or (isinstance(value, float | Decimal) and math.isnan(value))


def _characters(text: str, selector: Selector, at: str) -> str:
    """Return the text. Raises DataError where JSON's `\\ud800` left half of a character in it."""
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError as error:
            half = text[error.start].encode("unicode_escape").decode()
            raise DataError(
                f"{at}: a character that is not text: {half}, half of a surrogate pair, in"
                f" `{name_of(selector)}`"
            ) from error
    return text


def _no_text(value: Any, name: str, in_list: bool) -> str:
    """Say what a value is that is no text, and what to write instead."""
    if isinstance(value, float | Decimal):
        return "holds infinity, not text. Write null where a number is missing"
    if isinstance(value, bytes | bytearray | memoryview):
        return "holds bytes, not text. Write the column as UTF-8 text"
    if _is_map(value):
        value = dict(cast("Sequence[tuple[str, Any]]", value))
    if isinstance(value, Mapping):
        kind, entry = ("a list of mappings", f"{name}.*") if in_list else ("a mapping", name)
        return f"holds {kind}, not text. {_instead(entry, cast('Mapping[Any, Any]', value))}"
    if is_list(value):
        if in_list:
            every = f"{name.removesuffix('.*')}.*.*"
            return f"holds lists in a list, not texts. Write `{every}` for the entries of all of them"
        name = name.replace("*", "0") if "*" in name else f"{name}.0"
        first = next(iter(value), None)
        if isinstance(first, Mapping) and (said := _said_in(cast("Mapping[Any, Any]", first))) is not None:
            last = f"{name.removesuffix('.0')}.-1.{said}"
            return f"holds a list of messages, not text. Write `{last}` for what the last turn says"
        if isinstance(first, Mapping):
            return f"holds a list of mappings, not text. {_instead(name, cast('Mapping[Any, Any]', first))}"
        return f"holds a list, not text. Write `{name}` for its first entry"
    return f"holds a value of type {type(value).__name__}, not text. Write the column as text"


def _said_in(message: Mapping[Any, Any]) -> str | None:
    """Return the key of a message's text, None of another mapping."""
    keys = (("role", "content"), ("from", "value"))
    return next((content for role, content in keys if role in message and content in message), None)


def _instead(name: str, value: Mapping[Any, Any]) -> str:
    """Name the paths to what is text in a mapping, or may be."""
    if not value or not are_column_names(["text", *map(str, value)]):
        return "Write the path to the text in it"
    texts = [key for key, one in value.items() if isinstance(one[0] if is_list(one) and one else one, str)]
    texts = ["text"] if "text" in texts else texts  # beside a `type`, as in the parts of a message
    return "Write the path to the text: " + " or ".join(f"`{name}.{key}`" for key in (texts or [*value])[:4])


def _plain(value: Any, selector: Selector, at: str) -> Any:
    """A value as JSON can hold it, with null for what is missing."""
    if _is_map(value):
        value = dict(cast("Sequence[tuple[str, Any]]", value))
    if isinstance(value, Mapping):
        entries = cast("Mapping[Any, Any]", value).items()
        return {str(key): _plain(one, selector, at) for key, one in entries}
    if is_list(value):
        return [_plain(one, selector, at) for one in value]
    if isinstance(value, str | bool | int) or (isinstance(value, float) and math.isfinite(value)):
        return value
    return text_of(value, selector, at)


def pick(row: Row, selector: Selector, number: int, at: str) -> Any:
    """One column of a row, whatever it holds; None where it, or what it stands in, is missing.

    Raises:
        Absent: the row has no such column.
        DataError: the path leads elsewhere.
    """
    if isinstance(selector, str):
        if isinstance(row, Mapping) and selector in row:  # a key may itself hold a dot
            return row[selector]
        return _walk(row, _path(selector), selector, at)
    if isinstance(selector, RowNumber):
        return number
    if isinstance(selector, Part):
        whole = text_at(row, selector.column, number, at)
        found = None if whole is None else re.search(selector.pattern, whole)
        if whole is not None and found is None:
            raise DataError(f"{at}: `{selector.pattern}` does not match the text of `{selector.column}`")
        return found and found.group(1 if found.re.groups else 0)
    if isinstance(selector, Mapped):
        text = text_at(row, selector.column, number, at, booleans=True)
        if text is not None and text not in selector.values:
            known = f"which `values` does not name: it has {listed(selector.values, most=10)}"
            raise DataError(f"{at}: `{selector.column}` holds {ticked(text)}, {known}")
        return text and selector.values[text]
    if isinstance(selector, Template):
        filled = list(_filled(row, selector, number, at))
        return None if None in filled else "".join(cast("list[str]", filled))
    return _walk(row, (str(selector),), str(selector), at)


def _filled(row: Row, selector: Template, number: int, at: str) -> Iterator[str | None]:
    for text, column in selector.pieces():
        yield text
        if column is not None:
            yield text_at(row, column, number, at)


@lru_cache(maxsize=1024)
def _path(selector: str) -> tuple[str, ...]:
    return tuple(selector.split("."))


def _walk(row: Any, path: Sequence[str], selector: str, at: str) -> Any:
    """Follow a path; the entries of a list where a part of it is `*`."""
    value = row
    for depth, part in enumerate(path):
        if type(cast("object", value)) is dict and part in value:  # nearly always, and soon found
            value = value[part]
            continue
        if depth and _is_missing(value):
            return None
        if _is_map(value):
            value = dict(cast("Sequence[tuple[str, Any]]", value))
        if part == "*" and is_list(value):
            rest = path[depth + 1 :]
            branches: list[Any] = [_walk([one], ("0", *rest), selector, at) for one in value]
            return [leaf for branch in branches for leaf in branch or ()] if "*" in rest else branches
        value = _step(value, part, selector, at)
    return value


def _step(value: Any, part: str, selector: str, at: str) -> Any:
    if isinstance(value, Mapping):
        mapping = cast("Mapping[str, Any]", value)
        if part in mapping:
            return mapping[part]
        keys = [str(key) for key in mapping]
        others = (
            f"there are: {', '.join(map(_as_it_is, keys[:20]))}"
            if are_column_names(keys)
            else "its columns have other names"
        )
        dotted = re.sub(r"\[(\d*)\]", lambda found: f".{found[1] or '*'}", selector)
        hint = "" if dotted == selector else f". Write `{dotted}` for a path into a list"
        if spaced := next((key for key in keys if key != part and key.strip() == part.strip()), None):
            hint = f". A name keeps its spaces: write it as {json.dumps(spaced, ensure_ascii=False)}"
        if re.search(r"\{.+\}", selector):
            hint = (
                f". A text of several columns is `{{template: {json.dumps(selector, ensure_ascii=False)}}}`"
            )
        raise Absent(f"{at}: no column `{selector}`; {others}{hint}{_if_file(selector)}")
    if is_list(value):
        if not re.fullmatch(r"-?\d+", part):
            above = selector.removesuffix(f".{part}")
            instead = (
                f"Write `{above}.*.{part}` for every entry's, or `{above}.0.{part}` for the first's"
                if above != selector
                else "An entry of it has a number, from 0; `*` is every entry"
            )
            raise DataError(f"{at}: `{selector}` does not lead to a value: a list has no `{part}`. {instead}")
        if -len(value) <= int(part) < len(value):
            return value[int(part)]
        raise DataError(
            f"{at}: `{selector}` asks for entry {part} of a list of {len(value)}, the first being 0"
        )
    raise DataError(
        f"{at}: `{selector}` does not lead to a value: nothing there has a `{part}`{_if_file(selector)}"
    )


def _as_it_is(name: str) -> str:
    """Return a name, in ticks where it begins or ends with a space."""
    return name if name == name.strip() else f"`{name}`"


def _if_file(selector: str) -> str:
    """Add to an error about a column that has a file's name what names files."""
    if format_of(selector) is None:
        return ""
    return (
        f". A file is named by `rows: {{path: {selector}}}`; reference answers in a file of their own by"
        " `references: {rows: …, item: …, reference: …}` beside `columns`"
    )


def is_list(value: Any) -> TypeGuard[Sequence[Any]]:
    """Test whether a value is a list, as rows of any format have it: no text and no bytes."""
    if isinstance(value, str | list):  # which most values are, and which is known at once
        return isinstance(value, list)
    return isinstance(value, Sequence) and not isinstance(value, bytes | bytearray | memoryview)


def _is_map(value: Any) -> bool:
    """Test whether this is a list of pairs, as a map comes out of a Parquet file."""
    return isinstance(value, list) and isinstance(next(iter(cast("list[object]", value)), None), tuple)
