"""Columns of a row as text: the one place that follows a selector and turns a value into text."""

import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, cast

from dsl.data.inner_rows import Row
from dsl.data.regular_files import are_column_names
from dsl.data.source import Part, RowNumber, Selector
from dsl.errors import DataError


def text_at(row: Row, selector: Selector, number: int, at: str) -> str | None:
    """One column of a row as text; None where the row holds null or NaN.

    Raises:
        DataError: as `examples`.
    """
    value = pick(row, selector, number, at)
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    if isinstance(value, bytes):
        raise DataError(f"{at}: `{selector}` holds bytes, not text")
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


def pick(row: Row, selector: Selector, number: int, at: str) -> Any:
    """One column of a row, whatever it holds.

    Raises:
        DataError: the row has no such column.
    """
    if isinstance(selector, RowNumber):
        return number
    if isinstance(selector, Part):
        whole = text_or_empty(row, selector.column, number, at)
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


def text_or_empty(row: Row, selector: Selector, number: int, at: str) -> str:
    """As `text_at`, with null as the empty text."""
    return text_at(row, selector, number, at) or ""


def whole_text(value: Any) -> str:
    """A column as text whatever it holds: lists and mappings as JSON, nothing as nothing."""
    if isinstance(value, bool | Mapping | list | tuple):
        return json.dumps(value, ensure_ascii=False, default=str)
    return "" if value is None else str(value)


def texts(value: Any) -> tuple[str, ...]:
    """A list as texts, or one value as one text; null holds none."""
    if value is None:
        return ()
    if isinstance(value, Sequence) and not isinstance(value, str):
        return tuple(str(one) for one in cast("Sequence[object]", value))
    return (str(value),)
