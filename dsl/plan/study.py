"""The plan as pure values: a study's cells, and the steps behind them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Literal, Self

from pydantic import model_validator

from dsl.data.records import Record
from dsl.judges.contract import JudgeSettings, Role, Scale
from dsl.spec.resources import Execution
from dsl.steps.steps import Judged, Step
from dsl.values import Language, Name, StepId, Value


class Cell(Value):
    """dataset × language × model × method × seed: one mean in the report."""

    cell_id: str
    """`cell-` and 16 hex digits over the experiment's name and the fields below."""
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
    judges: dict[Name, Judged]
    """The judge's name in the spec -> its verdicts."""
    probes: dict[Name, dict[Name, Judged]] = {}
    """The probe's name in the spec -> judge -> its verdicts on answers with the probe's text planted in
    them."""


class JudgePlan(Value):
    """A judge of the study, as its settings describe it to readers of its verdicts."""

    name: Name
    kind: str
    """Its `judge` in the spec: `contains`, `rubric`, …"""
    role: Role
    label: str
    checked_against: Literal["answers", "instructions"] | None
    orders_only: bool
    opinion: str | None
    """The source of its opinion, in words; None where it decides by rule."""
    scales: dict[str, Scale | None]
    """Aspect of its verdicts -> the lowest and the highest score, where there are such."""

    def measures_in(self, names: Iterable[str]) -> list[str]:
        """Those of these names that are of one of its aspects, as `judge.aspect`."""
        return [name for name in names if name in {f"{self.name}.{aspect}" for aspect in self.scales}]

    @classmethod
    def of(cls, name: Name, judge: JudgeSettings, judges: Mapping[Name, JudgeSettings]) -> "JudgePlan":
        """Describe a judge; `judges` are all of the study, pinned."""
        return cls(
            name=name,
            kind=judge.judge,
            role=judge.ROLE,
            label=judge.LABEL,
            checked_against=judge.CHECKED_AGAINST,
            orders_only=judge.ORDERS_ONLY,
            opinion=judge.opinion(),
            scales={aspect: judge.scale(aspect, judges) for aspect in judge.verdict_aspects()},
        )


class ContrastPlan(Value):
    """Difference between two methods: `of` minus `against`, on the items both have and on every judge's
    measures."""

    name: str
    """Name in the spec; `<method>_vs_<baseline>` for a comparison with the baseline."""
    of: Name
    against: Name
    on: tuple[Name, ...] = ()
    """Judges, and aspects of judges as `judge.aspect`, whose measures it was declared on, sorted: its tests
    on them are confirmatory, all others exploratory."""
    is_declared: bool = True
    """False for a comparison with the study's baseline."""
    by: tuple[str, ...] = ()
    """What the difference is declared to change with, sorted: `language`, `size` or both. Then that change is
    tested, not the difference."""

    def is_on(self, judge: Name, measure: str) -> bool:
        """Test whether it was declared on a judge's measure; each opponent of a judge that compares makes
        one of an aspect."""
        return judge in self.on or measure.partition(" vs ")[0] in self.on


class Study(Record):
    """The warehouse's view of an experiment: `.xp/experiments/<experiment>.json`, written by `xp apply`
    before the first step."""

    IF_LOST = "`xp apply` on its spec writes it again"

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
    judges: tuple[JudgePlan, ...]
    """In the spec's order."""
    notes: tuple[str, ...] = ()
    """Warnings and what was left out, in sentences."""

    @model_validator(mode="after")
    def _judges_are_described(self) -> Self:
        described = {judge.name for judge in self.judges}
        if unknown := sorted({judge for cell in self.cells for judge in cell.judges} - described):
            raise ValueError(f"cells name judges that `judges` does not describe: {', '.join(unknown)}")
        return self


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
    left_open: frozenset[StepId] = frozenset()
    """Those of them that are finished but for rows on which a server failed for a reason that may pass."""
    wanted: frozenset[StepId] | None = None
    """The steps that targets name, and what they need; None is the whole plan."""
    warnings: tuple[str, ...] = ()
    reach: tuple[str, ...] = ()
    """The world outside the study's folder that the steps to run touch, and what they lack of it, in
    lines."""
    faults: Mapping[StepId, str] = field(default_factory=dict[StepId, str])
    """Steps to run that were finished once -> what is wrong with what they left."""

    @property
    def reachable(self) -> tuple[StepId, ...]:
        """Steps to run, and those that are run again if what they read turns out otherwise."""
        found = set(self.todo)
        for step_id, step in self.plan.steps.items():
            if not found.isdisjoint(step.inputs) and (self.wanted is None or step_id in self.wanted):
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
    """Compare a plan with a store: to run is every step without a result, and every step whose input has
    none.

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
