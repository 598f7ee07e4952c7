"""Progress of an apply: a line for each method and language on a terminal, plain lines elsewhere."""

import contextlib
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from threading import Lock
from time import monotonic

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from dsl.messages import one_line
from dsl.plan.diff import Diff
from dsl.values import StepId
from runners.execution import events
from xp.attempts import Watch
from xp.render.labels import groups_of, labels_of
from xp.render.pace import VERBS, Pace
from xp.render.words import counted

PLAIN_SECONDS = 60.0
"""At most one line of a step's progress in so long a time where lines cannot be overwritten."""

_BAR = 16
"""Cells of a bar."""


@contextlib.contextmanager
def shown(diff: Diff, console: Console) -> Generator[Watch]:
    """Show an apply's progress on the console until the block ends; yields the callback for events.

    What failed is counted here; why, and where its log is, stands in the summary of the apply.
    """
    pace = Pace(diff, monotonic)
    if not console.is_terminal:
        yield _Lines(console, pace).show
        return
    lines = Groups(console, pace, groups_of(diff))
    with Live(get_renderable=lines.render, console=console, transient=True, refresh_per_second=2):
        yield lines.show


@dataclass
class _Lines:
    """One line for a step, at its end; of one that takes long, now and then one before."""

    console: Console
    pace: Pace
    quiet_until: float = 0.0

    @cached_property
    def labels(self) -> Mapping[StepId, str]:
        return labels_of(self.pace.diff)

    def show(self, event: events.Event) -> None:
        self.pace.take(event)
        match event:
            case events.Started():
                self.quiet_until = max(self.quiet_until, monotonic() + PLAIN_SECONDS)
            case events.Progress():
                self._progress(event)
            case _:
                self._say(event.step_id, in_words(event))

    def _progress(self, event: events.Progress) -> None:
        now = monotonic()
        if now < self.quiet_until or event.done >= event.total:
            return
        self.quiet_until = now + PLAIN_SECONDS
        left = self.pace.seconds_left()
        self._say(
            event.step_id,
            f"{event.done} of {event.total}"
            + ("" if left is None else f"; about {_clock(left)} left in all"),
        )

    def _say(self, step_id: StepId, words: str) -> None:
        count = f"[{len(self.pace.over)}/{len(self.pace.diff.todo)}]"
        label = f"{step_id} {self.labels.get(step_id, '')}".rstrip()
        print(f"{count} {one_line(f'{label}: {words}')}", file=self.console.file, flush=True)


@dataclass
class Groups:
    """One line for each group of steps, and one for all of them."""

    console: Console
    pace: Pace
    groups: Mapping[str, tuple[StepId, ...]]
    since: float = field(default_factory=monotonic)
    lock: Lock = field(default_factory=Lock)
    """Events come while another thread draws."""

    def show(self, event: events.Event) -> None:
        with self.lock:
            self.pace.take(event)

    def render(self) -> Group:
        with self.lock:
            table = Table.grid(padding=(0, 2), expand=True)
            table.add_column(ratio=1, no_wrap=True, overflow="ellipsis")
            table.add_column(width=_BAR)
            table.add_column(no_wrap=True, min_width=20)
            shown = self._shown()
            for name in shown:
                table.add_row(Text(one_line(name)), self._bar(self.groups[name]), self._state(name))
            if len(shown) < len(self.groups):
                table.add_row(Text(f"… and {len(self.groups) - len(shown)} more", style="dim"))
            n_steps, n_over = len(self.pace.diff.todo), len(self.pace.over)
            if n_steps:
                table.add_row(Text("all"), self._bar(self.pace.diff.todo), f"{n_over}/{n_steps} steps")
            return Group(table, *(Text(line, style="dim", no_wrap=True) for line in self._below()))

    def _shown(self) -> list[str]:
        """Groups that have room, in their order: what is at work before what waits, both before what is
        over."""

        def urgency(name: str) -> int:
            step_ids = self.groups[name]
            if not self.pace.running.keys().isdisjoint(step_ids):
                return 0
            return 2 if self.pace.over.keys() >= {*step_ids} else 1

        room = max(1, self.console.height - 4 - len({*self.pace.awaited.values()}))
        if len(self.groups) <= room:
            return list(self.groups)
        first = set(sorted(self.groups, key=urgency)[:room])
        return [name for name in self.groups if name in first]

    def _bar(self, step_ids: tuple[StepId, ...]) -> ProgressBar:
        return ProgressBar(total=1.0, completed=self.pace.share(step_ids), width=_BAR)

    def _state(self, name: str) -> Text:
        step_ids = self.groups[name]
        at_work = [step_id for step_id in step_ids if step_id in self.pace.running]
        ended = [self.pace.over[step_id] for step_id in step_ids if step_id in self.pace.over]
        if at_work:
            state = Text(self._at_work(at_work[0]))
        elif not self.pace.awaited.keys().isdisjoint(step_ids):
            state = Text("made by another apply", style="dim")
        elif len(ended) < len(step_ids):
            state = Text("waiting", style="dim")
        else:
            state = Text("done" if "done" in ended else "", style="green")
        for status, style in (("failed", "red"), ("stopped", "yellow"), ("skipped", "yellow")):
            if n := ended.count(status):
                state.append(f"{', ' if state.plain else ''}{n} {status}", style)
        return state

    def _at_work(self, step_id: StepId) -> str:
        one = self.pace.running[step_id]
        if one.is_loading:
            return "loading the model"
        rows = f" {one.done}/{one.total}" if one.total else ""
        return VERBS[self.pace.diff.plan.steps[step_id].kind] + rows

    def _below(self) -> list[str]:
        """Return the time, and whom the steps wait for that other applies make."""
        by = dict.fromkeys(self.pace.awaited.values())
        return [self._time(), *(one_line(f"waiting for another apply, {other}") for other in by)]

    def _time(self) -> str:
        so_far = f"{_clock(monotonic() - self.since)} so far"
        if len(self.pace.over) >= len(self.pace.diff.todo):
            return f"{so_far}, finishing"
        left = self.pace.seconds_left()
        return so_far if left is None else f"{so_far}, about {_clock(left)} left"


def in_words(event: events.Ended | events.Skipped | events.Awaited | events.Shared) -> str:
    """Describe how a step ended, or what it waits for; why it failed stands in the summary of the apply."""
    if isinstance(event, events.Awaited):
        return f"being made by another apply, {event.by}"
    if isinstance(event, events.Shared):
        return "done by another apply"
    if isinstance(event, events.Skipped):
        return f"skipped, {event.reason}"
    if event.outcome is None:
        lost = f": {event.error}" if event.status == "interrupted" and event.error != event.status else ""
        return f"{event.status} after {_clock(event.seconds)}{lost}"
    taken = f", {event.outcome.n_reused} reused" if event.outcome.n_reused else ""
    return f"done, {counted(event.outcome.n_rows or 0, 'row')} in {_clock(event.seconds)}{taken}"


def _clock(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02} min"
