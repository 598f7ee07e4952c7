"""Garbage of a store as text: what is removed, kind by kind, and what stays."""

from typing import TYPE_CHECKING

from xp.render.words import counted, listed

if TYPE_CHECKING:  # the help loads nothing
    from xp.gc import Garbage, Part


def garbage_as_text(found: "Garbage", *, is_removed: bool, with_cache: bool) -> str:
    """Garbage kind by kind, and what removes it or was removed."""
    parts = [*found.parts, *[found.cache] * bool(found.cache.paths)]
    width = max((len(part.kind) for part in parts), default=0)
    return "\n".join(
        [
            f"{found.store}: {in_mb(found.n_bytes)}, {counted(found.n_needed, 'step')} needed by"
            f" {listed([str(spec) for spec in found.specs])}",
            *[f"of no spec: {', '.join(found.studies)}"] * bool(found.studies),
            *(_line(part, width, is_cache=part is found.cache) for part in parts),
            *(f"people's labels stay: {found.store / 'labels' / name}" for name in found.labels),
            *(f"{note}." for note in found.notes),
            *_end(found, is_removed, with_cache),
        ]
    )


def in_mb(n_bytes: int) -> str:
    """Bytes as megabytes of a million bytes."""
    return f"{n_bytes / 1e6:,.1f} MB"


def _line(part: "Part", width: int, *, is_cache: bool) -> str:
    one = "step" if part.n_rows else "file" if part.kind == "runs" else "folder"
    rows = f", {_many(part.n_rows, 'row')}" if part.n_rows else ""
    what = "made again where it is needed" if is_cache else f"{_many(len(part.paths), one)}{rows}"
    return f"  {part.kind:<{width}} {in_mb(part.n_bytes):>12}  {what}"


def _many(count: int, one: str) -> str:
    return f"{count:,} {one if count == 1 else one + 's'}"


def _end(found: "Garbage", is_removed: bool, with_cache: bool) -> list[str]:
    n_bytes = found.n_removable + found.cache.n_bytes * with_cache
    has_more = bool(found.cache.paths) and not with_cache
    if is_removed:
        return [f"Removed: {in_mb(n_bytes)}."]
    lines = [f"Nothing is removed yet. `--yes` removes {in_mb(n_bytes)}" + ("." if not has_more else "")]
    if has_more:
        lines[0] += f", `--cache --yes` {in_mb(n_bytes + found.cache.n_bytes)}."
    return lines
