"""The difference between a plan and a store: the steps to run, and why."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import cached_property

from dsl.errors import Problem
from dsl.plan.study import Plan, Study
from dsl.steps.steps import Step
from dsl.values import Sha256, StepId


@dataclass(frozen=True)
class Diff:
    """A plan beside what a store holds: what you read is what runs."""

    plan: Plan
    done: frozenset[StepId]
    """Steps of the plan that have their result."""
    todo: tuple[StepId, ...]
    """Steps to run, each after its inputs."""
    missing: frozenset[StepId] = frozenset()
    """Those of them that have no result; the others have one whose input has none."""
    left_open: frozenset[StepId] = frozenset()
    """Those of them that are finished but for rows on which a server failed for a reason that may pass."""
    wanted: frozenset[StepId] | None = None
    """The steps that targets name, and what they need; None is the whole plan."""
    warnings: tuple[str, ...] = ()
    chosen: tuple[str, ...] = ()
    """Decisions that were made on the way, in lines: values chosen on validation rows, settled contrasts."""
    reach: tuple[str, ...] = ()
    """The world outside the study's folder that the steps to run touch, and what they lack of it, in
    lines."""
    faults: Mapping[StepId, str] = field(default_factory=dict[StepId, str])
    """Steps to run that were finished once -> what is wrong with what they left."""
    moved: tuple[Problem, ...] = ()
    """Files and packages that are otherwise now than the study's lock says."""
    files: Mapping[str, Sha256] = field(default_factory=dict[str, Sha256])
    """Files that the plan depends on, absolute -> their digests: data, prompts, models in folders."""
    applied: Study | None = None
    """The study as it was applied last, under its name in this store; None where it never was."""

    @cached_property
    def asked(self) -> Mapping[StepId, Step]:
        """Steps that targets name, and what they need; without targets all of the plan."""
        if self.wanted is None:
            return self.plan.steps
        return {step_id: step for step_id, step in self.plan.steps.items() if step_id in self.wanted}

    @property
    def reachable(self) -> tuple[StepId, ...]:
        """Steps to run, and those that are run again if what they read turns out otherwise."""
        found = set(self.todo)
        for step_id, step in self.asked.items():
            if not found.isdisjoint(step.inputs):
                found.add(step_id)
        return tuple(step_id for step_id in self.plan.steps if step_id in found)

    def why(self, step_id: StepId) -> str:
        """Return why a step is to run."""
        if step_id in self.faults:
            return self.faults[step_id]
        if step_id in self.left_open:
            return "a server failed on some rows: asked again"
        if step_id in self.missing:
            return "no result"
        again = [i for i in self.plan.steps[step_id].inputs if i not in self.done]
        return f"its input {again[0]} is made again" if again else "its inputs are made again"


def diff(
    plan: Plan,
    done: Iterable[StepId],
    targets: Iterable[str] = (),
    warnings: tuple[str, ...] = (),
    left_open: Iterable[StepId] = (),
    faults: Mapping[StepId, str] | None = None,
) -> Diff:
    """Find the steps to run: those without a result, and those whose input has none.

    Args:
        done: ids of steps whose result a store holds.
        left_open: ids of steps that are finished but for rows that are to be asked for again.
        faults: steps whose result cannot be relied on -> why. Those are made again; what was made from them
            stays unless it turns out to
            have been made from other rows.
        targets: patterns of step ids or kinds (`judge-*`); without any, the whole plan. What a target needs
        is done too.
    """
    finished: set[StepId] = set()
    held, faults = set(done), faults or {}
    # a result whose input is gone is made again, since nothing shows what it was made from
    for step_id, step in plan.steps.items():
        if step_id in held and all(i in finished or i in faults for i in step.inputs):
            finished.add(step_id)
    wanted = _with_inputs(plan, targets)
    todo = tuple(s for s in plan.steps if s not in finished and (wanted is None or s in wanted))
    return Diff(
        plan,
        done=frozenset(finished),
        todo=todo,
        missing=frozenset(s for s in todo if s not in held),
        left_open=frozenset(left_open).intersection(todo),
        wanted=None if wanted is None else frozenset(wanted),
        warnings=warnings,
        faults={s: faults[s] for s in todo if s in faults},
    )


def _with_inputs(plan: Plan, targets: Iterable[str]) -> set[StepId] | None:
    patterns = tuple(targets)
    if not patterns:
        return None
    wanted = {s for s in plan.steps if any(fnmatchcase(s, p) or plan.steps[s].kind == p for p in patterns)}
    for step_id in reversed(tuple(plan.steps)):
        if step_id in wanted:
            wanted.update(plan.steps[step_id].inputs)
    return wanted
