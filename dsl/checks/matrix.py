"""Checks of the study's matrix: its lists, and the filters `only` and `exclude`."""

from collections.abc import Iterator
from typing import cast

from dsl.checks.context import Context, unknown_coordinates
from dsl.checks.fault import Fault, unknown_name
from dsl.data.language_codes import bcp_47
from dsl.messages import Path


def boolean_faults(written: object, read: object, path: Path = ()) -> Iterator[Fault]:
    """Refuse true and false where a number is expected: pydantic takes them for 1 and 0.

    Args:
        written: The document as YAML has it.
        read: The same as the types have it.
    """
    if isinstance(written, dict) and isinstance(read, dict):
        known = cast("dict[str, object]", read)
        for key, value in cast("dict[str, object]", written).items():
            if key in known:
                yield from boolean_faults(value, known[key], (*path, key))
    elif isinstance(written, list) and isinstance(read, tuple | list):
        both = zip(cast("list[object]", written), cast("tuple[object, ...]", read), strict=False)
        for i, (one, other) in enumerate(both):
            yield from boolean_faults(one, other, (*path, i))
    elif isinstance(written, bool) and isinstance(read, int | float) and not isinstance(read, bool):
        yield Fault(path, f"found `{str(written).lower()}`; must be a number")


def name_faults(context: Context) -> Iterator[Fault]:
    """Check that lists name each value once, in one system of codes, and that the evaluated data sets
    exist."""
    e = context.experiment
    for field, values in (("languages", e.languages), ("seeds", e.seeds), ("evaluate", e.evaluate)):
        for i, value in enumerate(values):
            if value in values[:i]:
                yield Fault((field, i), f"`{value}` is listed twice")
    for i, language in enumerate(e.languages):
        if (code := bcp_47(language)) != language:
            why = f"`{language}` is `{code}` in BCP 47, which has one code for a language. Write `{code}`"
            called = f"`language: {{column: …, values: {{{code}: {language}}}}}`"
            files = f"`rows: {{{code}: {{path: …}}}}`"
            yield Fault(("languages", i), f"{why}; of files that call it otherwise, {called} or {files}")
    for i, dataset in enumerate(e.evaluate):
        yield from unknown_name(("evaluate", i), dataset, e.data, "data set")


def filter_faults(context: Context) -> Iterator[Fault]:
    """Check that `only` and `exclude` name coordinates of the study."""
    e = context.experiment
    for which in ("only", "exclude"):
        for i, cells in enumerate(getattr(e, which)):
            for coordinate, name, allowed in unknown_coordinates(e, cells):
                yield from unknown_name((which, i, coordinate), name, allowed, coordinate)
