"""Rows that lie inside of a document or of other rows, with what stands around them."""

from collections import ChainMap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

from dsl.errors import DataError

Row = Mapping[str, Any] | Sequence[Any]
"""A row: values by the names of their columns, or by their numbers."""


def inner_rows(at: str, value: Any, field: str) -> Iterator[Row]:
    """The rows that a path of keys leads to. `*` is every element of a list; the path ends at a list of rows,
    or at each row.

    A row's columns are its own keys, and beside them all keys from the top, with the path's lists replaced by
    the element that the row came from: under `data.*.paragraphs.*.qas`, `question` is the row's own and
    `data.paragraphs.context` its paragraph's. Where both have a key, the row's own counts.

    Raises:
        DataError: the path leads to nothing, or to something that is no row.
    """
    for row, around in _inner(at, value, tuple(field.split(".")), field):
        if isinstance(row, dict) and isinstance(around, dict):
            yield ChainMap(cast("dict[str, Any]", row), cast("dict[str, Any]", around))
        elif isinstance(row, dict | list):
            yield cast("Row", row)
        else:
            raise DataError(
                f"{at}: `field: {field}` leads to {kind_of(row)}, and a row is a mapping or a list"
            )


def _inner(at: str, value: Any, parts: tuple[str, ...], field: str) -> Iterator[tuple[Any, Any]]:
    """(row, the value with each list on the way replaced by the element taken)."""
    if not parts:
        for one in cast("list[Any]", value) if isinstance(value, list) else (value,):
            yield one, one
        return
    part, *rest = parts
    if part == "*":
        if not isinstance(value, list):
            raise DataError(
                f"{at}: in `field: {field}`, `*` stands where the file has {kind_of(value)}, no list"
            )
        for one in cast("list[Any]", value):
            yield from _inner(at, one, tuple(rest), field)
        return
    if not isinstance(value, dict) or part not in value:
        hint = f". For each of its elements write `*.{part}`" if isinstance(value, list) else ""
        raise DataError(f"{at}: `field: {field}` leads nowhere: {kind_of(value)} has no key `{part}`{hint}")
    mapping = cast("dict[str, Any]", value)
    for row, around in _inner(at, mapping[part], tuple(rest), field):
        yield row, {**mapping, part: around}


def kind_of(value: Any) -> str:
    """A value's kind in words, without what it holds."""
    match value:
        case None:
            return "nothing"
        case bool():
            return "true or false"
        case str():
            return "a text"
        case int() | float():
            return "a number"
        case list() | tuple():
            return "a list"
        case dict():
            return "a mapping"
        case _:
            return type(value).__name__
