"""Place of a store's warehouse: a file of DuckDB or, where the store names its address, a DuckLake."""

import re
from pathlib import Path

from dsl.data.regular_files import read_regular
from dsl.errors import ArgumentError, DataError, WarehouseError

WAREHOUSE = "warehouse.duckdb"
"""The file's name in a store."""

LAKE = "warehouse.ducklake"
"""Name of the file with a DuckLake's address."""

IN_A_FILE = "duckdb"
"""Word for no address."""

_PREFIX = "ducklake:postgres:"
_WORDS = ("dbname", "host", "port", "user", "service", "sslmode", "sslrootcert")
_WORD = re.compile(r"(\w+)=([^\s'\"\\=]+)")


def warehouse_in(store: Path) -> Path:
    """Return the file that a store's warehouse is known by, which need not be there."""
    lake = store / LAKE
    return lake if lake.exists() else store / WAREHOUSE


def is_lake(warehouse: Path) -> bool:
    """Return whether a warehouse is a DuckLake, from its path."""
    return warehouse.suffix == ".ducklake"


def checked_address(text: str) -> str:
    """Return a DuckLake's address if it is one: where PostgreSQL keeps the catalogue, and no secret.

    Raises ArgumentError.
    """
    words = text.removeprefix(_PREFIX).split()
    found = [_WORD.fullmatch(word) for word in words]
    odd = [word for word, match in zip(words, found, strict=True) if not match or match[1] not in _WORDS]
    if text.startswith(_PREFIX) and words and not odd:
        return f"{_PREFIX}{' '.join(words)}"
    # what is not understood is not repeated: it may be a password
    raise ArgumentError(
        f"the address of a DuckLake is {_PREFIX} and words of a connection to PostgreSQL, of"
        f" {', '.join(f'{word}=' for word in _WORDS)}, as {_PREFIX}dbname=xp host=db. A password is named"
        " where libpq looks for it: in PGPASSWORD, ~/.pgpass or the service"
    )


def read_address(lake: Path) -> str:
    """Return the address that a store's file holds. Raises WarehouseError."""
    try:
        return checked_address(read_regular(lake).decode().strip())
    except (DataError, ArgumentError, UnicodeDecodeError) as error:
        raise WarehouseError(
            f"{lake}: {error}. `xp rebuild --warehouse ADDRESS` writes the file again"
        ) from error
