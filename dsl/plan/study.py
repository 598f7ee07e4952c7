"""The plan as pure values: a study's cells, and the steps behind them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Self

from pydantic import model_validator

from dsl.data.records import Record
from dsl.judges.contract import JudgeSettings, Role, Scale
from dsl.spec.engines import Resolved
from dsl.spec.experiment import Experiment
from dsl.spec.resources import Execution
from dsl.steps.steps import Judged, Step
from dsl.steps.stopping import StopWhen
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
    """The recipe that the method is made by, as `icl` or `dpo`."""
    train_languages: tuple[Language, ...] = ()
    """Languages that the model was tuned on; empty where it was not tuned."""
    seed: int | None
    """None where no chance enters."""
    turn: int | None = None
    """Number, from 1, of the question where a row asks several in turn."""
    train: tuple[StepId, ...] = ()
    """Training steps behind the cell, first to last."""
    generate: StepId
    looks: tuple[StepId, ...] = ()
    """Looks at the contrast that stops its asking, first to last."""
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
    is_people: bool = False
    """True where its verdicts are people's."""
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
            is_people=judge.is_people(),
            scales={aspect: judge.scale(aspect, judges) for aspect in judge.verdict_aspects()},
        )


class ContrastPlan(Value):
    """Difference between two methods, or two models: `of` minus `against`, on the items both have and on
    every judge's measures."""

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
    """Properties that the difference is declared to change with, sorted: `language`, `size` or both. Then
    that change is tested, not the difference."""
    method: Name | None = None
    """The method on both sides of a contrast between models, whose names `of` and `against` are."""
    differs: tuple[str, ...] = ()
    """Settings besides the methods in which the two sides differ, each with its values."""
    stop_when: StopWhen | None = None
    """The rule that stopped the asking of a side's cells: only what holds at any number of items holds."""

    @property
    def methods(self) -> tuple[Name, Name]:
        """Methods of both sides."""
        return (self.of, self.against) if self.method is None else (self.method, self.method)

    def has_as(self, side: Literal["of", "against"], cell: Cell) -> bool:
        """Test whether a cell is on one of its sides."""
        name: Name = getattr(self, side)
        if self.method is None:
            return cell.method == name
        return (cell.model, cell.method) == (name, self.method)

    def is_on(self, judge: Name, measure: str) -> bool:
        """Test whether it was declared on a judge's measure.

        Each opponent of a judge that compares makes a measure of an aspect.
        """
        return judge in self.on or measure.partition(" vs ")[0] in self.on


class Study(Record):
    """The warehouse's view of an experiment.

    `.xp/experiments/<experiment>.json`, written by `xp apply` before the first step.
    """

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
    noise: tuple[ContrastPlan, ...] = ()
    """Differences of methods from themselves, asked again (A/A): they give the noise floor and are no
    contrasts of the study."""
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
    experiment: Experiment
    folder: Path
    """Relative paths of the spec start here."""
    execution: Execution = field(default_factory=Execution)
    """Settings of their execution."""
    engines: tuple[Resolved, ...] = ()
    """The engines that the spec leaves open, as they were resolved."""
