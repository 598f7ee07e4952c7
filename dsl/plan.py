"""What would be done: cells and the steps behind them, and the difference to what a store holds already. Pure values."""

from collections.abc import Callable
from typing import Literal, Self

from dsl.steps import AnyStep, Step
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


class ContrastPlan(Value):
    """A difference the study asks for: `of` minus `against`, on the items both have."""

    name: Name
    of: Name
    against: Name
    judge: Name | None = None
    """Only this judge's scores; None is every judge's."""


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


class Plan(Value):
    """A study and its steps, each after its inputs."""

    study: Study
    steps: dict[StepId, AnyStep]
