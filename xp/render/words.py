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


def each_error_once(failures: Sequence[tuple[str, str, str]]) -> list[str]:
    """Lines on steps that failed, given as step, error and sentence: of those with one error the first one's
    sentence, and the others' ids."""
    by_error: dict[str, list[str]] = {}
    for step_id, error, _ in failures:
        by_error.setdefault(error, []).append(step_id)
    lines: list[str] = []
    for step_id, error, sentence in failures:
        first, *others = by_error[error]
        if step_id == first:
            lines.append(f"  {sentence}")
            lines += [f"    so did {listed(others)}"] * bool(others)
    return lines


def counted(count: int, one: str, many: str | None = None) -> str:
    """A number and its noun, in the plural where it needs that."""
    return f"{count} {one if count == 1 else many or one + 's'}"
