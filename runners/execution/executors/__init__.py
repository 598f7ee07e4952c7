"""Executors: where a plan's steps are run, a file each with `run`."""

from types import ModuleType

from dsl.plugins import find


def find_executor(name: str) -> ModuleType:
    """The executor's module. Raises XpError where there is none."""
    return find("runners.execution.executors", name)
