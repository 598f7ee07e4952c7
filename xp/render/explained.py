"""Reasons of a step: the way from it to the settings, files or code that changed, as text."""

from collections.abc import Iterator

from dsl.errors import ArgumentError
from dsl.messages import one_line
from dsl.plan.diff import Diff
from dsl.values import StepId
from xp.plan.overview import Overview
from xp.render.labels import labels_of
from xp.render.words import listed


def explained_as_text(overview: Overview, named: str) -> str:
    """Return a step and the steps before it that are others than they were, each with what changed.

    Args:
        named: The step's id, or a beginning of it that no other has.

    Raises:
        ArgumentError: it names no step of the plan, or several.
    """
    return "\n".join(_explained(overview, _step(overview.diff, named), {}, labels_of(overview.diff)))


def _explained(
    overview: Overview, step_id: StepId, seen: dict[StepId, None], names: dict[StepId, str]
) -> Iterator[str]:
    if step_id in seen:
        return
    seen[step_id] = None
    diff, changes = overview.diff, overview.changes
    yield f"{step_id}  {one_line(names.get(step_id, ''))}".rstrip()
    if step_id in diff.done:
        yield "  its result is there"
    elif step_id in diff.todo:
        yield f"  to run: {one_line(diff.why(step_id))}"
    else:
        yield "  not to run: no --target names or needs it"
    if changes is None:
        yield f"  new: this store has no earlier apply of {diff.plan.study.experiment} to compare with"
        return
    old = changes.counterpart(step_id)
    if old is None:
        yield "  new: nothing was in its place when the study was applied last"
        return
    if old == step_id:
        yield "  the same step as when the study was applied last"
        return
    own, inputs = changes.of(step_id)
    yield from (f"  {change}" for change in own)
    yield from (f"  reads {one} in the place of {changes.counterpart(one)}" for one in inputs)
    for one in inputs:
        yield from _explained(overview, one, seen, names)


def _step(diff: Diff, named: str) -> StepId:
    found = [step_id for step_id in diff.plan.steps if step_id.startswith(named)]
    if named in diff.plan.steps or len(found) == 1:
        return named if named in diff.plan.steps else found[0]
    spec = one_line(diff.plan.study.spec_file)
    if not found:
        raise ArgumentError(f"no step is called {one_line(named)}. `xp plan {spec} --steps` lists them")
    raise ArgumentError(f"{one_line(named)} is the beginning of {len(found)} steps: {listed(found)}")
