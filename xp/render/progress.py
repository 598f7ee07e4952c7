"""Progress of an apply: bars with rates and time left on a terminal, plain lines where there is none."""

import contextlib
from collections.abc import Generator
from dataclasses import dataclass, field
from time import monotonic

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Column
from rich.text import Text

from dsl.messages import one_line
from dsl.plan.diff import Diff
from dsl.values import StepId
from runners.execution import events
from xp.apply import Watch
from xp.render.labels import labels_of

PLAIN_SECONDS = 10.0
"""At most one line of progress in so long a time where lines cannot be overwritten."""


@contextlib.contextmanager
def shown(diff: Diff, console: Console) -> Generator[Watch]:
    """Show an apply's progress on the console until the block ends; yields the callback for events."""
    labels = labels_of(diff)
    if not console.is_terminal:
        yield _Lines(console, labels, len(diff.todo)).show
        return
    columns = (
        TextColumn(
            "{task.description}",
            markup=False,
            table_column=Column(ratio=1, no_wrap=True, overflow="ellipsis"),
        ),
        BarColumn(bar_width=16),
        MofNCompleteColumn(table_column=Column(no_wrap=True)),
        _Rate(table_column=Column(no_wrap=True)),
        TimeElapsedColumn(table_column=Column(no_wrap=True)),
        TimeRemainingColumn(table_column=Column(no_wrap=True)),
    )
    with Progress(*columns, console=console, transient=True, expand=True) as bars:
        yield _Bars(bars, labels, bars.add_task("steps", total=len(diff.todo))).show


@dataclass
class _Rows:
    """Progress of a step, and its start: reused rows say nothing of its pace."""

    first: int
    since: float = field(default_factory=lambda: monotonic())

    def pace(self, done: int) -> float:
        """Rows a second; 0.0 before the first."""
        return (done - self.first) / max(monotonic() - self.since, 1e-9)


@dataclass
class _Lines:
    """One line for a step's start, one for its end, and now and then one between."""

    console: Console
    labels: dict[StepId, str]
    n_steps: int
    n_over: int = 0
    rows: dict[StepId, _Rows] = field(default_factory=dict[StepId, _Rows])
    quiet_until: float = 0.0

    def show(self, event: events.Event) -> None:
        label = f"{event.step_id} {self.labels.get(event.step_id, '')}".rstrip()
        match event:
            case events.Started():
                self.rows.pop(event.step_id, None)
                self.quiet_until = max(self.quiet_until, monotonic() + PLAIN_SECONDS)
                self._say(f"{label}: begun")
            case events.Progress():
                self._progress(event, label)
            case _:
                self.n_over += _is_over(event)
                self._say(f"{label}: {in_words(event)}")

    def _progress(self, event: events.Progress, label: str) -> None:
        rows = self.rows.setdefault(event.step_id, _Rows(event.done))
        now = monotonic()
        if now < self.quiet_until or event.done >= event.total:
            return
        self.quiet_until = now + PLAIN_SECONDS
        pace = rows.pace(event.done)
        left = f", {_clock((event.total - event.done) / pace)} left" if pace else ""
        self._say(f"{label}: {event.done} of {event.total}, {pace:.1f} a second{left}")

    def _say(self, text: str) -> None:
        self.console.print(Text(f"[{self.n_over}/{self.n_steps}] {one_line(text)}"), soft_wrap=True)


@dataclass
class _Bars:
    """One bar for all steps and one for each that is at work; what failed stays above them."""

    bars: Progress
    labels: dict[StepId, str]
    steps: TaskID
    rows: dict[StepId, TaskID] = field(default_factory=dict[StepId, TaskID])
    has_pace: set[StepId] = field(default_factory=set[StepId])

    def show(self, event: events.Event) -> None:
        label = self.labels.get(event.step_id, event.step_id)
        match event:
            case events.Started():
                self.rows[event.step_id] = self.bars.add_task(label, total=None)
                self.has_pace.discard(event.step_id)
            case events.Progress():
                if event.step_id in self.has_pace:
                    self.bars.update(self.rows[event.step_id], completed=event.done, total=event.total)
                else:  # reused rows say nothing of the pace
                    self.bars.reset(self.rows[event.step_id], completed=event.done, total=event.total)
                    self.has_pace.add(event.step_id)
            case _:
                self.bars.advance(self.steps, _is_over(event))
                if event.step_id in self.rows:
                    self.bars.remove_task(self.rows.pop(event.step_id))
                if not (isinstance(event, events.Ended) and event.status == "done"):
                    self.bars.console.print(Text(one_line(f"{event.step_id} {label}: {in_words(event)}")))


class _Rate(ProgressColumn):
    """Rows, or steps, a second."""

    def render(self, task: Task) -> Text:
        return Text(f"{task.speed:.1f}/s" if task.speed else "", style="progress.data.speed")


def _is_over(event: events.Ended | events.Skipped) -> bool:
    """Test whether no further attempt follows; one that was lost with its node is repeated on another."""
    return isinstance(event, events.Skipped) or event.status != "interrupted"


def in_words(event: events.Ended | events.Skipped) -> str:
    """Describe how a step ended."""
    if isinstance(event, events.Skipped):
        return f"skipped, {event.reason}"
    if event.outcome is None:
        return f"{event.status} after {_clock(event.seconds)}" + (
            f": {event.error}" if event.error != event.status else ""
        )
    taken = f", {event.outcome.n_reused} reused" if event.outcome.n_reused else ""
    return f"done, {event.outcome.n_rows} rows in {_clock(event.seconds)}{taken}"


def _clock(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
