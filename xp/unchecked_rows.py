"""Rows that are not there when a spec is checked: they are checked once their steps have read them."""

from collections.abc import Iterator

from dsl.checks.context import Context
from dsl.checks.data.sets import data_faults
from dsl.checks.fault import Fault
from dsl.checks.load import samples
from dsl.data.files import is_here
from dsl.data.fingerprints import Fingerprints
from dsl.data.records import Example
from dsl.data.source import HubSource
from dsl.plan.study import Plan
from dsl.steps.identity import Canonical
from dsl.steps.steps import DataStep, Step
from runners.store.step_io import read_rows
from runners.store.store import Store


def is_unchecked(step: Step) -> bool:
    """Test whether a step reads rows that no check of the spec could see."""
    return isinstance(step, DataStep) and (isinstance(step.source, HubSource) or not is_here(step.source))


def late_faults(plan: Plan, store: Store) -> Iterator[Fault]:
    """Check a study's data sets as those in files are checked, with the rows that its steps have read by now.

    Nothing is found in a study all of whose rows were there when its spec was checked.
    """
    if not any(_is_read_late(step) for step in plan.steps.values()):
        return
    done, canonical = store.done(), Canonical()

    def late(step: DataStep) -> tuple[Example, ...] | None:
        step_id = canonical.step_id(step)
        if step_id not in done:
            return None
        return tuple(read_rows(store.step_folder(step_id) / "examples.jsonl", Example))

    context = Context(plan.experiment, Fingerprints(), plan.folder, late)
    yield from data_faults(context)
    from xp.languages import other_languages  # the language judge, which few studies need here

    for dataset, why in other_languages(samples(context), plan.experiment.languages):
        yield Fault(("data", dataset, "rows"), why, "warning")


def _is_read_late(step: Step) -> bool:
    """Test whether the check of a spec may have missed a step's rows; a public file was fetched since."""
    return isinstance(step, DataStep) and (isinstance(step.source, HubSource) or step.source.url is not None)
