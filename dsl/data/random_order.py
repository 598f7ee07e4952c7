"""Random order of items, the same wherever it is made."""

import hashlib
from collections.abc import Callable, Iterable
from typing import TypeVar

T = TypeVar("T")


def in_random_order(rows: Iterable[T], item: Callable[[T], str], seed: int) -> list[T]:
    """Sort rows by the hash of seed and item: an order that depends on no other item."""
    return sorted(rows, key=lambda row: hashlib.sha256(f"{seed} {item(row)}".encode()).digest())


def slice_of(n: int, number: int, of: int) -> slice:
    """Return the places of one of `of` even slices of n rows; `number` counts from 1."""
    return slice(n * (number - 1) // of, n * number // of)
