"""Rows that are not there when a spec is checked: they are checked once their steps have read them."""

from dsl.checks.data.across_languages import pair_faults
from dsl.data.files import is_here
from dsl.data.records import Example
from dsl.data.source import HubSource
from dsl.errors import DataError
from dsl.plan.study import Plan
from dsl.steps.steps import DataStep, GenerateStep, Step
from dsl.values import Language, Name, StepId
from runners.store.step_io import read_rows
from runners.store.store import Store


def is_unchecked(step: Step) -> bool:
    """Test whether a step reads rows that no check of the spec could see."""
    return isinstance(step, DataStep) and (isinstance(step.source, HubSource) or not is_here(step.source))


def check_pairs(plan: Plan, store: Store) -> None:
    """Raise DataError where a data set with such rows is read in all its languages and its items do not pair
    across them."""
    done = store.done()
    faults = [
        f"{name}: {fault.message}"
        for name, steps in _asked(plan).items()
        if plan.study.parallel[name]
        and any(_is_read_late(plan.steps[step_id]) for step_id in steps.values())
        and done.issuperset(steps.values())
        for fault in pair_faults(name, {language: _items(store, i) for language, i in steps.items()})
    ]
    if faults:
        raise DataError("\n".join(faults))


def _is_read_late(step: Step) -> bool:
    """Test whether the check of a spec may have missed a step's rows; a public file was fetched since."""
    return isinstance(step, DataStep) and (isinstance(step.source, HubSource) or step.source.url is not None)


def _asked(plan: Plan) -> dict[Name, dict[Language, StepId]]:
    """Data set -> language -> the step with its rows."""
    found: dict[Name, dict[Language, StepId]] = {}
    for cell in plan.study.cells:
        step = plan.steps[cell.generate]
        if isinstance(step, GenerateStep):
            found.setdefault(cell.dataset, {})[cell.language] = step.examples
    return found


def _items(store: Store, step_id: StepId) -> list[str]:
    return [row.item for row in read_rows(store.step_folder(step_id) / "examples.jsonl", Example)]
