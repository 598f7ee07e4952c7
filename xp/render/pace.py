"""Pace of an apply: what is done of each group of steps, what is at work, and the time that is left."""

from collections import Counter, defaultdict, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

from dsl.data.records import Outcome
from dsl.plan.diff import Diff
from dsl.steps.training_steps import TRAININGS
from dsl.values import StepId
from runners.execution import events

WEIGHTS: Mapping[str, float] = {
    "data": 0.1, "pairs": 0.1, "select": 0.1, "sequential_test": 0.1, "judge": 2, "generate": 7,
    "reference_logps": 12,
    "sft": 40, "dpo": 20, "kto": 40, "orpo": 20, "simpo": 20,
}  # fmt: skip
"""Kind -> how long one step takes beside the others, as a guess until some of them are done."""

RECENT = 10
"""Steps of a kind and model that a mean is over, the last ones: tuned models answer more briefly than those
before them, and later rows are reused more often."""

VERBS: Mapping[str, str] = {
    "data": "reading",
    "pairs": "pairing",
    "select": "choosing",
    "sequential_test": "looking",
    "judge": "judging",
    "generate": "answering",
    "reference_logps": "reference",
    **dict.fromkeys(TRAININGS, "training"),
}


class Key(NamedTuple):
    """Kind of a step and the model that it loads: those with equal ones take about as long."""

    kind: str
    model: str


@dataclass
class Running:
    """A step at work."""

    began: float
    loads: bool
    """Its process has not loaded the model before."""
    since: float
    """Time of the first word of it or, after a load, of the first new row: a load says nothing of its
    pace."""
    first: int | None = None
    """Rows that were there at the first word of it: reused ones, which say nothing of its pace."""
    done: int = 0
    total: int = 0
    has_new: bool = False
    """There is a new row."""

    @property
    def is_loading(self) -> bool:
        """Whatever comes before the first new row, where a model is loaded."""
        return self.loads and not self.has_new

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
    awaited: dict[StepId, str] = field(default_factory=dict[StepId, str])
    """Step that another apply is making -> the description of that one."""
    _took: dict[Key, deque[float]] = field(default_factory=lambda: defaultdict(lambda: deque(maxlen=RECENT)))
    """Seconds that the last finished steps took, the load of a model left out."""
    _loads: list[float] = field(default_factory=list[float])
    """Seconds that the start of a process and the load of its model took."""
    _loaded: dict[int, str] = field(default_factory=dict[int, str])
    """Process -> the model that it has loaded."""

    def take(self, event: events.Event) -> None:
        self.awaited.pop(event.step_id, None)
        match event:
            case events.Started():
                model = self._keys[event.step_id].model
                loads = model not in ("", self._loaded.get(event.pid))
                self.running[event.step_id] = Running(self.clock(), loads, self.clock())
                if model:
                    self._loaded[event.pid] = model
            case events.Progress():
                self._progress(self.running[event.step_id], event)
            case events.Ended():
                one = self.running.pop(event.step_id, None)
                if event.status == "interrupted":  # lost with its node; another attempt follows
                    return
                self.over[event.step_id] = event.status
                if event.outcome is not None:
                    self._end(event, event.outcome, one is not None and one.loads)
            case events.Skipped():
                self.over[event.step_id] = "skipped"
            case events.Shared():
                self.over[event.step_id] = "done"
            case events.Awaited():
                self.awaited[event.step_id] = event.by

    def share(self, step_ids: tuple[StepId, ...]) -> float:
        """Part of the work of some steps that is done, from 0 to 1, each counted by its kind's weight."""
        weights = {step_id: WEIGHTS[self._keys[step_id].kind] for step_id in step_ids}
        done = sum(weight * self._share(step_id) for step_id, weight in weights.items())
        return done / sum(weights.values())

    def seconds_left(self) -> float | None:
        """Return the time that is left, at as many steps at once as are at work; None where nothing is known
        yet."""
        seconds = weight = 0.0
        for key, taken in self._took.items():
            if key.kind != "data":
                seconds, weight = seconds + sum(taken), weight + len(taken) * WEIGHTS[key.kind]
        for step_id, one in self.running.items():
            if (whole := self._whole(one)) is not None:
                seconds, weight = seconds + whole, weight + WEIGHTS[self._keys[step_id].kind]
        if not weight:
            return None
        second_per_weight = seconds / weight
        waiting = Counter(
            self._keys[step_id]
            for step_id in self.diff.todo
            if step_id not in self.over and step_id not in self.running
        )
        left = sum(n * self._expected(key, second_per_weight) for key, n in waiting.items())
        left += sum(self._left(step_id, one, second_per_weight) for step_id, one in self.running.items())
        left += self._load() * len({key.model for key in waiting} - {"", *self._loaded.values()})
        return left / max(1, len(self.running))

    def _progress(self, one: Running, event: events.Progress) -> None:
        if one.first is None:
            one.first, one.since = event.done, self.clock()
        elif event.done > one.first and not one.has_new:
            if one.loads:
                one.first, one.since = event.done, self.clock()
            one.has_new = True
        one.done, one.total = event.done, event.total

    def _end(self, event: events.Ended, outcome: Outcome, has_loaded: bool) -> None:
        """Note what a step took; one whose rows were all reused says nothing of the others."""
        seconds = event.seconds
        if has_loaded:
            load = outcome.start_seconds + outcome.load_seconds
            self._loads.append(load)
            seconds -= load
        if outcome.n_reused < outcome.n_rows or not outcome.n_rows:
            self._took[self._keys[event.step_id]].append(seconds)

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
        expected = self._expected(self._keys[step_id], second_per_weight)
        if one.is_loading:
            return expected + max(0.0, self._load() - (self.clock() - one.began))
        return max(0.0, expected - (self.clock() - one.since))

    def _expected(self, key: Key, second_per_weight: float) -> float:
        """Seconds of a step, from those of its kind and model or, without any, from all by their weights."""
        taken = self._took.get(key)
        return sum(taken) / len(taken) if taken else WEIGHTS[key.kind] * second_per_weight

    def _load(self) -> float:
        """Seconds that the load of a model takes."""
        return sum(self._loads) / len(self._loads) if self._loads else 0.0

    @cached_property
    def _keys(self) -> dict[StepId, Key]:
        return {step_id: Key(step.kind, step.affinity) for step_id, step in self.diff.plan.steps.items()}
