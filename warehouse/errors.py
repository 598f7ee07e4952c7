"""Errors of the warehouse, and DuckDB's exceptions turned into them."""

import contextlib
import re
from collections.abc import Generator

import duckdb

from dsl.errors import WarehouseError
from dsl.messages import one_line

MADE_AGAIN = "`xp apply` on a spec or `xp rebuild` makes it again from the store's files."

_UNREADABLE = re.compile(
    "not a valid DuckDB database|Corrupt database|Could not read (enough|from)|checksum|invalidated|"
    "Failed to load metadata|deserializ|version number",
    re.IGNORECASE,
)
"""Messages of DuckDB about a damaged file, under several of its exceptions."""

_UNWRITTEN = re.compile(r'Could not (?:write|truncate|sync|create|seek)[^"\n]* "([^"\n]+)": ([^\n"]+)')
"""Messages of DuckDB about a file that takes no more, under several of its exceptions, too: its path, why."""


class WarehouseHeld(WarehouseError):
    """Another process has the file open."""


class WarehouseUnreadable(WarehouseError):
    """The file is damaged or no database: nothing in it can be relied on."""


class WarehouseUnwritten(WarehouseError):
    """A file cannot be written, as on a full disk: nothing is wrong with what was to be loaded."""


@contextlib.contextmanager
def duckdb_errors(about: object) -> Generator[None]:
    """Raise what DuckDB raises as a WarehouseError that begins with what it is about."""
    try:
        yield
    except duckdb.Error as error:
        raise warehouse_error(about, error) from error


def warehouse_error(about: object, error: duckdb.Error) -> WarehouseError:
    """Return the WarehouseError for an exception of DuckDB."""
    words = one_line(str(error))
    if unwritten := _UNWRITTEN.search(str(error)):
        return WarehouseUnwritten(f"{unwritten[1]}: cannot be written: {one_line(unwritten[2])}")
    if is_unreadable(error):
        return WarehouseUnreadable(f"{about}: this is no readable warehouse ({words}). {MADE_AGAIN}")
    return WarehouseError(f"{about}: {words}")


def is_unreadable(error: duckdb.Error) -> bool:
    """Return whether DuckDB says that the file itself is damaged."""
    always = (duckdb.InternalException, duckdb.FatalException, duckdb.SerializationException)
    return isinstance(error, always) or _UNREADABLE.search(str(error)) is not None
