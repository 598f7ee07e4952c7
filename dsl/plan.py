"""What would be done: cells and the steps behind them, and the difference to what a store holds already. Pure values."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any, cast

from pydantic import model_validator

from dsl.execution import Execution
from dsl.steps import Step
from dsl.values import Language, Name, StepId, Value


class Cell(Value):
    """dataset × language × model × method × seed: one mean in the report."""

    cell_id: str
    """`cell-` and 12 hex digits over the experiment's name and the fields below."""
    dataset: Name
    language: Language
    model: Name
    num_parameters: int | None
    """As the spec states it; the weights' own count is known once they were loaded."""
    method: Name
    method_kind: str
    """`icl`, `sft`, `dpo`, `instruct` or `recorded`: the recipe the method is made by."""
    train_languages: tuple[Language, ...] = ()
    """What the model was tuned on; empty where it was not tuned."""
    seed: int | None
    """None where no chance enters."""
    train: tuple[StepId, ...] = ()
    """Training steps behind the cell, first to last."""
    generate: StepId
    judges: dict[Name, StepId]
    """The judge's name in the spec -> its step."""
    probes: dict[Name, dict[Name, StepId]] = {}
    """The probe's name in the spec -> judge -> its step on answers with the probe's text planted in them."""


class ContrastPlan(Value):
    """Difference between two methods: `of` minus `against`, on the items both have and on every judge's measures."""

    name: str
    """As in the spec; `<method>_vs_<baseline>` for a comparison with the baseline."""
    of: Name
    against: Name
    on: tuple[Name, ...] = ()
    """Judges whose measures it was declared on, sorted: its tests on them are confirmatory, all others exploratory."""
    is_declared: bool = True
    """False for a comparison with the study's baseline."""

    @model_validator(mode="before")
    @classmethod
    def _read_older(cls, data: Any) -> Any:
        """Read the records of studies from before contrasts had `on`: they said at most one `judge`."""
        if isinstance(data, dict) and "judge" in data:
            older = cast("dict[str, Any]", data)
            judge = older["judge"]
            return {name: value for name, value in older.items() if name != "judge"} | {"on": () if judge is None else (judge,)}
        return cast("Any", data)


class Study(Value):
    """What the warehouse must know of an experiment: `.xp/experiments/<experiment>.json`, written by `xp apply` before the first step."""

    experiment: Name
    question: str
    languages: tuple[Language, ...]
    spec_file: str
    spec_text: str
    """As the person wrote it."""
    overrides: tuple[str, ...] = ()
    parallel: dict[Name, bool]
    """Evaluated data set -> whether its items are the same in every language."""
    cells: tuple[Cell, ...]
    step_ids: tuple[StepId, ...]
    contrasts: tuple[ContrastPlan, ...]
    notes: tuple[str, ...] = ()
    """Warnings and what was left out, in sentences."""


@dataclass(frozen=True)
class Plan:
    """A study and its steps, each after its inputs."""

    study: Study
    steps: Mapping[StepId, Step]
    execution: Execution = field(default_factory=Execution)
    """How they are to be run."""


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
    wanted: frozenset[StepId] | None = None
    """The steps that targets name, and what they need; None is the whole plan."""
    warnings: tuple[str, ...] = ()

    def why(self, step_id: StepId) -> str:
        """Why a step is to run."""
        if step_id in self.missing:
            return "no result"
        again = [i for i in self.plan.steps[step_id].inputs if i not in self.done]
        return f"its input {again[0]} is made again" if again else "its inputs are made again"


def diff(plan: Plan, done: Iterable[StepId], targets: Iterable[str] = (), warnings: tuple[str, ...] = ()) -> Diff:
    """What is left to do: every step without a result, and every step whose input has none.

    Args:
        done: ids of steps whose result a store holds.
        targets: patterns of step ids or kinds (`judge-*`); without any, the whole plan. What a target needs is done too.
    """
    finished: set[StepId] = set()
    held = set(done)
    for step_id, step in plan.steps.items():  # a result whose input is gone is made again, since nothing shows what it was made from
        if step_id in held and all(i in finished for i in step.inputs):
            finished.add(step_id)
    wanted = _with_inputs(plan, targets)
    todo = tuple(s for s in plan.steps if s not in finished and (wanted is None or s in wanted))
    return Diff(
        plan,
        done=frozenset(finished),
        todo=todo,
        missing=frozenset(s for s in todo if s not in held),
        wanted=None if wanted is None else frozenset(wanted),
        warnings=warnings,
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
