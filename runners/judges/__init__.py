"""Judges: a file here for each in `dsl/judges/`, with `judge(answers, settings, tools)` (see `contract`)."""

from types import ModuleType

from dsl.plugins import find


def find_judge(name: str) -> ModuleType:
    """Return the judge's module. Raises XpError where there is none."""
    return find("runners.judges", name)
