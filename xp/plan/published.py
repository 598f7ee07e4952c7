"""A plan as JSON, in the form that programs can rely on; `xp schema --plan` prints its JSON Schema."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

from pydantic import JsonValue

from dsl.plan.contrasts import nothing_compared
from dsl.plan.study import Cell, ContrastPlan
from dsl.values import Language, Name, Sha256, StepId, Value
from xp.estimates.budget import Limit, LimitName
from xp.estimates.estimating import Estimate, Estimates
from xp.plan.differences import document_of
from xp.plan.lines import State
from xp.plan.overview import Overview
from xp.plan.rows import Rows
from xp.power import Detectable, few_training_seeds
from xp.render.labels import labels_of
from xp.schema import DIALECT, Described


class PublishedLine(Value):
    """A method on a model, or the study's data; lines add up to the plan."""

    model: Name | None
    """Null for the data, which all models share."""
    method: Name
    languages: dict[Language, dict[State, int]]
    """Language -> the number of its cells in each state, over data sets, seeds and turns."""
    steps: tuple[StepId, ...]
    """Each step of the plan is in one line only."""
    todo: tuple[StepId, ...]
    trainings: Rows
    answers: Rows
    verdicts: Rows
    estimate: Estimate | None = None
    """Cost of its steps to run together; null where there are none."""


class PublishedChange(Value):
    """A difference from the study as it was applied last."""

    what: str
    """A setting, as `methods.sft.training.learning_rate`, or what holds other content: a file, code."""
    old: str
    """The value then, in words; empty where only digests are known."""
    new: str
    """The value now."""
    place: str
    """`study.yaml:31:42`, where it is a setting."""
    methods: tuple[Name, ...]
    """Methods with cells that are made for it."""
    languages: tuple[Language, ...]
    """Languages of these cells."""


class PublishedStep(Value):
    """A step of the plan."""

    step_id: StepId
    kind: str
    name: str
    """Its first use, and who also uses it."""
    inputs: tuple[StepId, ...]
    done: bool
    why: str | None
    """The reason why it is to run; null where it is not."""
    rows: Rows | None
    """Examples, answers or verdicts; null for other kinds, and for steps that no target needs."""
    estimate: Estimate | None
    """Null where it is not to run."""


class PublishedPlan(Value):
    """A plan beside its store."""

    plan_version: Literal[1] = 1
    """Raised when a field is taken out or means something else; new fields may come without that."""
    experiment: Name
    question: str
    spec: str
    """The spec's file, absolute."""
    overrides: tuple[str, ...]
    targets: tuple[str, ...]
    store: str
    """The store's folder, absolute."""
    settings: dict[str, JsonValue]
    """The spec's content over what it extends, with overrides."""
    files: dict[str, Sha256]
    """File that the plan depends on -> its digest: data, prompts, models in folders."""
    engines: dict[str, str] = {}
    """Place in the spec that leaves the engine open (`engine: auto`) -> the one that was taken."""
    notes: tuple[str, ...]
    warnings: tuple[str, ...]
    chosen: tuple[str, ...]
    """Values that were chosen on validation rows, in lines."""
    reach: tuple[str, ...]
    """Things that the steps to run touch outside the study's folder, and what they lack of it."""
    contrasts: tuple[ContrastPlan, ...]
    nothing_compared: str | None
    few_training_seeds: str | None
    cells: tuple[Cell, ...]
    lines: tuple[PublishedLine, ...]
    changes: tuple[PublishedChange, ...]
    """Differences from the study of this name that was applied last in the store."""
    power: tuple[Detectable, ...]
    estimate: Mapping[str, object]
    """Cost of all steps to run together, the machine, and the steps that do not fit into it."""
    budget: Mapping[LimitName, Limit] = {}
    """Limits of the study's budget; empty without one."""
    steps: tuple[PublishedStep, ...]
    """Every step after its inputs."""
    todo: tuple[StepId, ...]
    """Those to run."""


def published(
    overview: Overview,
    power: Sequence[Detectable],
    estimates: Estimates,
    budget: Mapping[LimitName, Limit],
    targets: Sequence[str] = (),
) -> PublishedPlan:
    """Return a plan in its published form."""
    diff = overview.diff
    study = diff.plan.study
    return PublishedPlan(
        experiment=study.experiment,
        question=study.question,
        spec=str(Path(study.spec_file).absolute()),
        overrides=study.overrides,
        targets=tuple(targets),
        store=str(overview.asked.store.absolute()),
        settings=document_of(study).data,
        files=dict(diff.files),
        engines={one.place: one.engine for one in diff.plan.engines},
        notes=study.notes,
        warnings=diff.warnings,
        chosen=diff.chosen,
        reach=diff.reach,
        contrasts=study.contrasts,
        nothing_compared=nothing_compared(study),
        few_training_seeds=few_training_seeds(study),
        cells=study.cells,
        lines=tuple(_lines(overview, estimates)),
        changes=tuple(_changes(overview)),
        power=tuple(power),
        estimate=estimates.as_json(),
        budget=budget,
        steps=tuple(_steps(overview, estimates.steps)),
        todo=diff.todo,
    )


def plan_schema() -> dict[str, Any]:
    """Return the JSON Schema of a published plan, with the descriptions that stand in the code."""
    schema = PublishedPlan.model_json_schema(mode="serialization", schema_generator=Described)
    return {"$schema": DIALECT, **schema, "title": "xp plan"}


def _lines(overview: Overview, estimates: Estimates) -> Iterator[PublishedLine]:
    for line in overview.lines:
        yield PublishedLine(
            model=line.model,
            method=line.method,
            languages={language: dict(states) for language, states in line.languages.items()},
            steps=line.steps,
            todo=line.todo,
            trainings=line.trainings,
            answers=line.answers,
            verdicts=line.verdicts,
            estimate=estimates.total(line.todo) if line.todo else None,
        )


def _changes(overview: Overview) -> Iterator[PublishedChange]:
    for change, cells in overview.causes.items():
        yield PublishedChange(
            **asdict(change),
            methods=tuple(dict.fromkeys(cell.method for cell in cells)),
            languages=tuple(dict.fromkeys(cell.language for cell in cells)),
        )


def _steps(overview: Overview, estimates: Mapping[StepId, Estimate]) -> Iterator[PublishedStep]:
    diff, names = overview.diff, labels_of(overview.diff)
    todo = frozenset(diff.todo)
    for step_id, step in diff.plan.steps.items():
        yield PublishedStep(
            step_id=step_id,
            kind=step.kind,
            name=names.get(step_id, ""),
            inputs=step.inputs,
            done=step_id in diff.done,
            why=diff.why(step_id) if step_id in todo else None,
            rows=overview.rows.get(step_id),
            estimate=estimates.get(step_id),
        )
