"""Events of a run, in the order in which they happen: executors send them, `xp apply` records them."""

import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from dsl.data.records import Outcome
from dsl.values import StepId


@dataclass(frozen=True, slots=True)
class Started:
    """An attempt began."""

    step_id: StepId
    started_at: str
    """ISO 8601, UTC."""
    pid: int
    """The process at work."""
    host: str = field(default_factory=socket.gethostname)
    """The machine it is on."""


@dataclass(frozen=True, slots=True)
class Progress:
    """Rows done, of rows in all."""

    step_id: StepId
    done: int
    total: int


@dataclass(frozen=True, slots=True)
class Ended:
    """An attempt is over, however it went."""

    step_id: StepId
    started_at: str
    pid: int
    seconds: float
    status: Literal["done", "failed", "stopped", "interrupted"]
    """`stopped`: the budget has no room for the rest, or requests wait at a provider."""
    outcome: Outcome | None = None
    """Result of a step that is done."""
    error: str | None = None
    """Error of one that is not, in one line."""
    host: str = field(default_factory=socket.gethostname)


@dataclass(frozen=True, slots=True)
class Skipped:
    """A step that cannot run."""

    step_id: StepId
    reason: str


@dataclass(frozen=True, slots=True)
class Awaited:
    """A step that another apply is making, which this one waits for."""

    step_id: StepId
    by: str
    """Description of the other apply."""


@dataclass(frozen=True, slots=True)
class Shared:
    """A step that another apply has made."""

    step_id: StepId


Event = Started | Progress | Ended | Skipped | Awaited | Shared
OnEvent = Callable[[Event], None]
