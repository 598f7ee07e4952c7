"""Counts and lists in words."""

from collections.abc import Sequence


def listed(names: Sequence[str], n_all: int = 0, what: str = "") -> str:
    """Up to three names and the number of the rest; `every <what>` where they are all `n_all` of them."""
    if n_all > 1 and len(names) == n_all:
        return f"every {what}"
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def size_range(sizes: Sequence[int]) -> str:
    """The first and the last of sorted sizes."""
    return f"{sizes[0]}" if len(sizes) == 1 else f"{sizes[0]} to {sizes[-1]}"


def counted(count: int, one: str, many: str | None = None) -> str:
    """A number and its noun, in the plural where it needs that."""
    return f"{count} {one if count == 1 else many or one + 's'}"
