"""Runners: a file for each kind of step, with `run(step, context, out) -> StepResult` (see
`runners.store.step_io`)."""

from types import ModuleType

from dsl.plugins import find


def find_runner(kind: str) -> ModuleType:
    """The module of a kind of step. Raises XpError where there is none."""
    return find("runners.steps", kind)
