"""Verify a store: files by digest, rule verdicts by the judge, the warehouse by the files it is made from."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from dsl.data.written_files import scratch_folder
from dsl.errors import StoreError
from dsl.steps import identity
from dsl.steps.steps import JudgeStep
from dsl.values import StepId
from runners.execution.attempt import in_one_line
from runners.steps import find_runner
from runners.store.digests import describe
from runners.store.disk_errors import is_disk_full
from runners.store.step_io import StepContext
from runners.store.store import Store, read_step
from warehouse.compare import differences
from xp.studies import checks_of


@dataclass(frozen=True)
class Verified:
    """Result of a verification: what was looked at and what does not agree."""

    n_steps: int
    n_without_digests: int
    """Steps of an older version, which wrote none."""
    n_judged: int
    """Steps whose verdicts were made again by rule."""
    faults: tuple[str, ...]
    """In sentences, each beginning with the step or file it is about."""


def verify(root: Path) -> Verified:
    """Read every byte of a store's finished steps, judge again by rule, and derive the warehouse again.

    What does not agree is made again by the next apply.

    Raises:
        StoreError: there is no store.
        StoreLocked: an apply is at work on it.
        WarehouseError: somebody has the warehouse open for writing.
    """
    store = Store(root)
    if not root.is_dir():
        raise StoreError(f"{root} is no store: there is nothing to verify")
    with store.lock():
        step_ids, checks = sorted(store.done() | store.left_open()), checks_of(root)
        for step_id in step_ids:
            checks.forget(f"{store.steps}/{step_id}")
        held = checks.states(store.steps, step_ids)
        checks.save()
        faults = [
            f"{step_id}: {why}. `xp apply` makes the step again."
            for step_id, why in sorted(held.faults.items())
        ]
        n_judged = 0
        for step_id, step in _rule_judges(store, step_ids, held.done):
            n_judged += 1
            faults += _judged_again(store, step_id, step)
        faults += differences(root)
        n_without = sum(checks.has_no_digests(f"{store.steps}/{step_id}") for step_id in held.done)
        return Verified(len(step_ids), n_without, n_judged, tuple(faults))


def _rule_judges(
    store: Store, step_ids: list[StepId], sound: frozenset[StepId]
) -> Iterator[tuple[StepId, JudgeStep]]:
    """Judge steps that can be made again as they were: by rule, by this version, from inputs that are as they
    were written."""
    for step_id in step_ids:
        if step_id not in sound or not step_id.startswith("judge-"):
            continue
        step = read_step(store.step_folder(step_id))
        if not isinstance(step, JudgeStep) or not all(judge.is_by_rule() for judge in step.judges.values()):
            continue
        if sound.issuperset(step.inputs) and identity.step_id(step) == step_id:
            yield step_id, step


def _judged_again(store: Store, step_id: StepId, step: JudgeStep) -> list[str]:
    inputs = StepContext({i: store.step_folder(i) for i in step.inputs}, store.cache)
    with scratch_folder() as folder:
        try:
            find_runner(step.kind).run(step, inputs, folder)
        except Exception as error:  # whatever a judge raises is reported, and the other steps are verified
            if is_disk_full(error):
                raise
            return [f"{step_id}: cannot be judged again: {in_one_line(error)}."]
        again = describe(folder)
    was = {name: file for name, file in describe(store.step_folder(step_id)).items() if name in again}
    if {name: file.rows_sha256 for name, file in again.items()} == {
        name: file.rows_sha256 for name, file in was.items()
    }:
        return []
    names = ", ".join(judge.judge for judge in step.judges.values())
    return [
        f"{step_id}: other verdicts now ({names}). Delete {store.step_folder(step_id)}, and `xp apply` makes"
        " them again."
    ]
