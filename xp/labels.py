"""Labels of steps, in the study's own words: plans and progress name steps alike."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from dsl.data.source import FileSource
from dsl.plan.diff import Diff
from dsl.plan.study import Cell
from dsl.steps.steps import DataStep, Judged
from dsl.values import Name, StepId


def labels_of(diff: Diff) -> dict[StepId, str]:
    """Each step's first cell and how many more cells it serves; of a data step, its file or data set."""
    uses: dict[StepId, list[str]] = {}
    for cell in diff.plan.study.cells:
        for step_id, words in _uses(cell):
            uses.setdefault(step_id, []).append(words)
    labels = {
        step_id: _source(step) for step_id, step in diff.plan.steps.items() if isinstance(step, DataStep)
    }
    return labels | {
        step_id: words[0] + (f" and {len(words) - 1} more" if len(words) > 1 else "")
        for step_id, words in ((step_id, list(dict.fromkeys(words))) for step_id, words in uses.items())
    }


def _uses(cell: Cell) -> Iterator[tuple[StepId, str]]:
    seed = "" if cell.seed is None else f" seed {cell.seed}"
    tuned = f" tuned on {'+'.join(cell.train_languages)}" if cell.train_languages else ""
    asked = f"{cell.method} {cell.model}{tuned}{seed}: {cell.dataset} {cell.language}"
    for step_id in cell.train:
        yield step_id, f"{cell.method} {cell.model}{tuned}{seed}"
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
    where = Path(step.source.path).name if isinstance(step.source, FileSource) else step.source.hub
    return f"{where} {step.language}"
