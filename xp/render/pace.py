"""Pace of an apply: what is done of each group of steps, what is at work, and the time that is left."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

from dsl.plan.diff import Diff
from dsl.values import StepId
from runners.execution import events

WEIGHTS: Mapping[str, float] = {
    "data": 0.1, "select": 0.1, "sequential_test": 0.1, "judge": 2, "generate": 7, "reference_logps": 12,
    "dpo": 20, "sft": 40,
}  # fmt: skip
"""Kind -> how long one step takes beside the others, as a guess until some of them are done."""

VERBS: Mapping[str, str] = {
    "data": "reading",
    "select": "choosing",
    "sequential_test": "looking",
    "judge": "judging",
    "generate": "answering",
    "reference_logps": "reference",
    "dpo": "training",
    "sft": "training",
}


class Key(NamedTuple):
    """Kind of a step and the model that it loads: those with equal ones take about as long."""

    kind: str
    model: str


@dataclass
class Running:
    """A step at work."""

    since: float
    is_loading: bool
    """True until the first new row where its process has not loaded the model before."""
    first: int | None = None
    """Rows that were there at the first word of it: reused ones, which say nothing of its pace."""
    done: int = 0
    total: int = 0

    @property
    def share(self) -> float:
        """Part of it that is done, from 0 to 1."""
        return self.done / self.total if self.total else 0.0


@dataclass
class Pace:
    """The steps to run, as events tell of them."""

    diff: Diff
    clock: Callable[[], float]
    running: dict[StepId, Running] = field(default_factory=dict[StepId, Running])
    over: dict[StepId, str] = field(default_factory=dict[StepId, str])
    """Step -> `done`, `failed`, `stopped` or `skipped`."""
    _took: dict[Key, tuple[int, float]] = field(default_factory=dict[Key, tuple[int, float]])
    """Number of the finished steps, and the seconds that they took."""
    _loaded: dict[int, str] = field(default_factory=dict[int, str])
    """Process -> the model that it has loaded."""

    def take(self, event: events.Event) -> None:
        match event:
            case events.Started():
                model = self._keys[event.step_id].model
                is_loading = model not in ("", self._loaded.get(event.pid))
                self.running[event.step_id] = Running(self.clock(), is_loading)
                if model:
                    self._loaded[event.pid] = model
            case events.Progress():
                self._progress(self.running[event.step_id], event)
            case events.Ended():
                self.running.pop(event.step_id, None)
                if event.status == "interrupted":  # lost with its node; another attempt follows
                    return
                self.over[event.step_id] = event.status
                rows = event.outcome
                if rows is not None and (rows.n_reused < rows.n_rows or not rows.n_rows):
                    n, seconds = self._took.get(self._keys[event.step_id], (0, 0.0))
                    self._took[self._keys[event.step_id]] = n + 1, seconds + event.seconds
            case events.Skipped():
                self.over[event.step_id] = "skipped"

    def share(self, step_ids: tuple[StepId, ...]) -> float:
        """Part of the work of some steps that is done, from 0 to 1, each counted by its kind's weight."""
        weights = {step_id: WEIGHTS[self._keys[step_id].kind] for step_id in step_ids}
        done = sum(weight * self._share(step_id) for step_id, weight in weights.items())
        return done / sum(weights.values())

    def seconds_left(self) -> float | None:
        """Return the time that is left, at as many steps at once as are at work; None where nothing is known
        yet."""
        n, seconds, weight = 0, 0.0, 0.0
        for key, (n_key, taken) in self._took.items():
            if key.kind != "data":
                n, seconds, weight = n + n_key, seconds + taken, weight + n_key * WEIGHTS[key.kind]
        for step_id, one in self.running.items():
            if (whole := self._whole(one)) is not None:
                n, seconds, weight = n + 1, seconds + whole, weight + WEIGHTS[self._keys[step_id].kind]
        if not n:
            return None
        second_per_weight = seconds / weight
        waiting = Counter(
            self._keys[step_id]
            for step_id in self.diff.todo
            if step_id not in self.over and step_id not in self.running
        )
        left = sum(n * self._expected(key, second_per_weight) for key, n in waiting.items())
        left += sum(self._left(step_id, one, second_per_weight) for step_id, one in self.running.items())
        return left / max(1, len(self.running))

    def _progress(self, one: Running, event: events.Progress) -> None:
        if one.first is None:
            one.first, one.since = event.done, self.clock()
        elif event.done > one.first:
            if one.is_loading:  # the load says nothing of the pace either
                one.first, one.since = event.done, self.clock()
            one.is_loading = False
        one.done, one.total = event.done, event.total

    def _share(self, step_id: StepId) -> float:
        if step_id in self.over:
            return 1.0
        return self.running[step_id].share if step_id in self.running else 0.0

    def _whole(self, one: Running) -> float | None:
        """Seconds that a step at work would take for all its rows, once some are new."""
        new = one.done - (one.first or 0)
        return None if one.first is None or new <= 0 else (self.clock() - one.since) * one.total / new

    def _left(self, step_id: StepId, one: Running, second_per_weight: float) -> float:
        if (whole := self._whole(one)) is not None:
            return whole * (1 - one.share)
        return max(0.0, self._expected(self._keys[step_id], second_per_weight) - (self.clock() - one.since))

    def _expected(self, key: Key, second_per_weight: float) -> float:
        """Seconds of a step, from those of its kind and model or, without any, from all by their weights."""
        n, seconds = self._took.get(key, (0, 0.0))
        return seconds / n if n else WEIGHTS[key.kind] * second_per_weight

    @cached_property
    def _keys(self) -> dict[StepId, Key]:
        return {step_id: Key(step.kind, step.affinity) for step_id, step in self.diff.plan.steps.items()}
