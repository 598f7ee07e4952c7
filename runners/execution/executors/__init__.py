"""Executors: a file each for where a plan's steps are run, with one function.

    def run(todo, done, store, on_event, jobs, resources) -> None

It runs every step of `todo` that can be run, and calls `on_event` with each event. `todo` comes in an order
in which each step is after its inputs; `done` are the steps whose files are there. `jobs` is the greatest
number of worker processes at once on this machine, None is one for each GPU; `resources` says what a step of
each kind is given.

Raises:
    StoreError: nothing can be written, as on a full disk; every attempt has been reported as ended.
    KeyboardInterrupt: interrupted attempts have been reported, and no process is left behind.
"""

from types import ModuleType

from dsl.plugins import find


def find_executor(name: str) -> ModuleType:
    """Return the executor's module. Raises XpError where there is none."""
    return find("runners.execution.executors", name)
