"""Pace of an apply: what is done of each group of steps, what is at work, and the time that is left."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from statistics import fmean

from dsl.plan.diff import Diff
from dsl.steps.steps import Step
from dsl.values import StepId
from runners.execution import events

WEIGHTS: Mapping[str, float] = {
    "data": 0.1, "judge": 2, "generate": 7, "reference_logps": 12, "dpo": 20, "sft": 40,
}  # fmt: skip
"""Kind -> how long one step takes beside the others, as a guess until some of them are done."""

VERBS: Mapping[str, str] = {
    "data": "reading",
    "judge": "judging",
    "generate": "answering",
    "reference_logps": "reference",
    "dpo": "training",
    "sft": "training",
}


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
    """Step -> `done`, `failed` or `skipped`."""
    _seconds: dict[tuple[str, str], list[float]] = field(default_factory=dict[tuple[str, str], list[float]])
    """Kind and model -> what finished steps took."""
    _loaded: dict[int, str] = field(default_factory=dict[int, str])
    """Process -> the model that it has loaded."""

    def take(self, event: events.Event) -> None:
        match event:
            case events.Started():
                model = self._step(event.step_id).affinity
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
                    self._seconds.setdefault(_key(self._step(event.step_id)), []).append(event.seconds)
            case events.Skipped():
                self.over[event.step_id] = "skipped"

    def share(self, step_ids: tuple[StepId, ...]) -> float:
        """Part of the work of some steps that is done, from 0 to 1, each counted by its kind's weight."""
        weights = {step_id: WEIGHTS[self._step(step_id).kind] for step_id in step_ids}
        done = sum(weight * self._share(step_id) for step_id, weight in weights.items())
        return done / sum(weights.values())

    def seconds_left(self) -> float | None:
        """Return the time that is left, at as many steps at once as are at work; None where nothing is known
        yet."""
        samples = [
            seconds / WEIGHTS[kind]
            for (kind, _), found in self._seconds.items()
            if kind != "data"
            for seconds in found
        ]
        for step_id, one in self.running.items():
            if (whole := self._whole(one)) is not None:
                samples.append(whole / WEIGHTS[self._step(step_id).kind])
        if not samples:
            return None
        left = sum(
            self._left(step_id, fmean(samples)) for step_id in self.diff.todo if step_id not in self.over
        )
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

    def _left(self, step_id: StepId, second_per_weight: float) -> float:
        one = self.running.get(step_id)
        if one is not None and (whole := self._whole(one)) is not None:
            return whole * (1 - one.share)
        step = self._step(step_id)
        alike = self._seconds.get(_key(step))
        expected = fmean(alike) if alike else WEIGHTS[step.kind] * second_per_weight
        return expected if one is None else max(0.0, expected - (self.clock() - one.since))

    def _step(self, step_id: StepId) -> Step:
        return self.diff.plan.steps[step_id]


def _key(step: Step) -> tuple[str, str]:
    return step.kind, step.affinity
