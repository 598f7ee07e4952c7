"""Labels of steps, in the study's own words: plans and progress name steps alike."""

from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType

from dsl.plan.diff import Diff
from dsl.plan.study import Cell
from dsl.steps.steps import (
    DataStep,
    GenerateStep,
    Judged,
    JudgeStep,
    PairsStep,
    SelectStep,
    SequentialTestStep,
    Step,
)
from dsl.values import Name, StepId
from xp.plan.cells import steps_of
from xp.render.words import counted, listed


def labels_of(diff: Diff) -> dict[StepId, str]:
    """Each step's first use, and who also uses it; of a data step, its file or data set."""
    selections = {i: step for i, step in diff.plan.steps.items() if isinstance(step, SelectStep)}
    details = {i: f" (the best of {len(step.trials)})" for i, step in selections.items()}
    details |= {trial: f" ({of})" for step in selections.values() for of, trial in step.trials.items()}
    labels = {
        step_id: _source(step) for step_id, step in diff.plan.steps.items() if isinstance(step, DataStep)
    }
    labels |= labels_in(diff.plan.study.cells, details)
    labels |= _labels_of_pairs(diff.plan.steps, labels)
    return labels | _labels_of_slices(diff.plan.steps, labels)


def labels_in(
    cells: Iterable[Cell], details: Mapping[StepId, str] = MappingProxyType({})
) -> dict[StepId, str]:
    """Each step of these cells: its first use with its detail, and who also uses it."""
    uses: dict[StepId, dict[str, Name]] = {}
    for cell in cells:
        for step_id, words in _uses(cell):
            uses.setdefault(step_id, {})[words + details.get(step_id, "")] = cell.method
    return {step_id: _shared(found) for step_id, found in uses.items()}


def _labels_of_pairs(steps: Mapping[StepId, Step], labels: Mapping[StepId, str]) -> dict[StepId, str]:
    """Label pairs that are made of a policy's answers, each of its samples, and its verdicts."""
    found: dict[StepId, str] = {}
    for step_id, step in steps.items():
        if isinstance(step, PairsStep):
            found[step_id] = f"pairs for {labels[step_id]}"
            for number, (sample, judged) in enumerate(zip(step.samples, step.verdicts, strict=True), 1):
                found[sample] = f"sample {number} of {len(step.samples)} for {labels[sample]}"
                found[judged.step] = f"verdicts on {found[sample]}"
    return found


def _labels_of_slices(steps: Mapping[StepId, Step], labels: Mapping[StepId, str]) -> dict[StepId, str]:
    """Label the steps of a study that stops asking: each slice of a cell, its verdicts, and each look."""
    found: dict[StepId, str] = {}
    for step_id, step in steps.items():
        if isinstance(step, GenerateStep):
            for number, one in enumerate(step.slices, 1):
                found[one] = f"slice {number} of {labels[step_id]}"
    for step_id, step in steps.items():
        if isinstance(step, JudgeStep) and step.answers in found:
            found[step_id] = f"verdicts on {found[step.answers]}"
        elif isinstance(step, SequentialTestStep):
            found[step_id] = f"look {len(step.of)} of {step.rule.looks} at {step.rule.contrast}"
    return found


def model_of(cell: Cell) -> str:
    """A cell's method and model, and how the model was tuned."""
    seed = "" if cell.seed is None else f" seed {cell.seed}"
    tuned = f" tuned on {'+'.join(cell.train_languages)}" if cell.train_languages else ""
    return f"{cell.method} {cell.model}{tuned}{seed}"


def _shared(uses: Mapping[str, Name]) -> str:
    """The first use, and the others in short. `uses`: words -> method."""
    first, *others = uses
    methods = [method for method in dict.fromkeys(uses.values()) if method != uses[first]]
    if not others:
        return first
    return f"{first} (also used by {listed(methods) if methods else counted(len(others), 'more cell')})"


def _uses(cell: Cell) -> Iterator[tuple[StepId, str]]:
    turn = "" if cell.turn is None else f" turn {cell.turn}"
    asked = f"{model_of(cell)}: {cell.dataset} {cell.language}{turn}"
    for step_id in cell.train:
        yield step_id, model_of(cell)
    yield cell.generate, asked
    for step_id, names in _by_step(cell.judges):
        yield step_id, f"{names} of {asked}"
    for probe, judges in cell.probes.items():
        for step_id, names in _by_step(judges):
            yield step_id, f"{names} of {asked}, {probe}"


def _by_step(judges: Mapping[Name, Judged]) -> Iterator[tuple[StepId, str]]:
    """Each step with the names of its judges, at most three of them."""
    steps: dict[StepId, list[Name]] = {}
    for name, judged in judges.items():
        steps.setdefault(judged.step, []).append(name)
    for step_id, names in steps.items():
        yield (
            step_id,
            ", ".join(names)
            if len(names) <= 3
            else f"{', '.join(names[:2])} and {len(names) - 2} more judges",
        )


def _source(step: DataStep) -> str:
    return f"{step.source.title} {step.language}"


def groups_of(diff: Diff) -> dict[str, tuple[StepId, ...]]:
    """The steps to run by what they are for: data, the training of a method, or a method in a language; per
    model, where there are several. A step of several cells is in the first one's group."""
    cells = diff.plan.study.cells
    has_models = len({cell.model for cell in cells}) > 1
    group: dict[StepId, str] = {}
    for cell in cells:
        method = f"{cell.method} {cell.model}" if has_models else cell.method
        for step_id in cell.train:
            group.setdefault(step_id, f"{method}: training")
        for step_id in steps_of(cell, diff.plan.steps):
            group.setdefault(step_id, f"{method} {cell.language}")
    found: dict[str, list[StepId]] = {}
    for step_id in diff.todo:
        found.setdefault(group.get(step_id, "data"), []).append(step_id)
    return {name: tuple(step_ids) for name, step_ids in found.items()}
