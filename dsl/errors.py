"""Errors that are not bugs.

    XpError
    ├── SpecError       a spec cannot be read or is invalid; holds every problem found
    ├── ArgumentError   what was asked for on the command line is not there
    ├── OutputError     what a command prints cannot be written
    ├── DataError       a data set does not hold what the spec says of it
    ├── StepFailed      a step ran and did not finish
    ├── StepStopped     a step ended early without a failure; the next apply goes on with it
    │   ├── BudgetSpent     the study's budget has no room for more
    │   └── RequestsWait    requests wait at a provider
    ├── StoreError      the store cannot be read or written
    ├── StoreLocked     someone else is writing to the store
    ├── ServerError     a model server stays down or talks nonsense
    └── WarehouseError  the warehouse cannot be read or written

The command line catches `XpError` in one place and prints it; anything else keeps its traceback.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from dsl.messages import one_line, scrub


class XpError(Exception):
    """An error whose text is written for the person at the keyboard."""


Level = Literal["error", "warning", "note"]
"""A note is no fault: what is known and asked for, and stands in the report."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One fault of a spec with its place. Text that looks like a secret is taken out of `path` and
    `message`."""

    file: str
    line: int
    """Counted from 1; 0 when the file as a whole is meant."""
    column: int
    """Counted from 1 in characters."""
    path: str
    """The setting, as in `methods.dpo_base.beta`; empty for the whole document."""
    message: str
    level: Level = "error"

    def __post_init__(self) -> None:
        object.__setattr__(self, "path", one_line(scrub(self.path)))
        object.__setattr__(self, "message", one_line(scrub(self.message)))

    def __str__(self) -> str:
        where = one_line(self.file) + (f":{self.line}:{self.column}" if self.line else "")
        return ": ".join(
            part
            for part in (where, "" if self.level == "error" else self.level, self.path, self.message)
            if part
        )


class SpecError(XpError):
    """A spec's faults; the text is one line a problem."""

    problems: tuple[Problem, ...]

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__(self.problems)

    def __str__(self) -> str:
        return "\n".join(str(problem) for problem in self.problems)


class ArgumentError(XpError):
    """A command-line argument names something that does not exist."""


class OutputError(XpError):
    """A command's output cannot be written."""


class DataError(XpError):
    """A data set does not hold what the spec says of it."""


class StepFailed(XpError):
    """A step ran and did not finish."""


class StepStopped(XpError):
    """A step ended early without a failure; the next apply goes on with it."""


class BudgetSpent(StepStopped):
    """The study's budget has no room for more."""


class RequestsWait(StepStopped):
    """Requests wait at a provider."""


class StoreError(XpError):
    """The store cannot be read or written."""


class StoreLocked(XpError):
    """Someone else is writing to the store."""


class ServerError(XpError):
    """A model server stays down or talks nonsense."""


class WarehouseError(XpError):
    """The warehouse cannot be read or written."""
