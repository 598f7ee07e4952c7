"""A plan in lines: one for each method of a model, with its languages side by side and its seeds folded.

A step that several cells share stands in one line, that of its first cell, so that lines add up to the plan.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

from dsl.plan.diff import Diff
from dsl.plan.study import Cell, Study
from dsl.steps.steps import DataStep, GenerateStep, JudgeStep
from dsl.steps.training_steps import TuningStep
from dsl.values import Language, Name, StepId
from xp.plan.cells import earlier_cells, key_of, steps_of
from xp.plan.rows import Rows, total

State = Literal["new", "changed", "unfinished", "reused", "orphaned"]
"""State of a cell beside the study as it was applied last: not in it; in it, of other steps; of the same
steps, some without a result; all of its results are there; no longer in the study."""

STATES: tuple[State, ...] = ("new", "changed", "unfinished", "reused", "orphaned")

DATA: Name = "data"
"""Method of the line of data steps."""


@dataclass(frozen=True, slots=True)
class Line:
    """A method on a model, or the study's data."""

    model: Name | None
    """None for the data, which all models share."""
    method: Name
    languages: Mapping[Language, Mapping[State, int]]
    """Language -> the number of its cells in each state, over data sets, seeds and turns."""
    steps: tuple[StepId, ...] = ()
    """Steps of the plan, each in one line only."""
    todo: tuple[StepId, ...] = ()
    """Those of them that are to run."""
    trainings: Rows = field(default_factory=Rows)
    """Training runs: steps that train weights."""
    answers: Rows = field(default_factory=Rows)
    verdicts: Rows = field(default_factory=Rows)


def lines_of(diff: Diff, applied: Study | None, rows: Mapping[StepId, Rows]) -> tuple[Line, ...]:
    """Return the lines of a plan: its data first, then its models and their methods in the order of the
    spec, then what is orphaned.

    Args:
        applied: The study as it was applied last, under its name in this store.
        rows: Step -> its rows.
    """
    cells = diff.plan.study.cells
    before = earlier_cells(cells, () if applied is None else applied.cells)
    if diff.wanted is not None:
        cells = tuple(cell for cell in cells if not diff.wanted.isdisjoint(steps_of(cell, diff.plan.steps)))
    places: dict[tuple[Name | None, Name], dict[Language, Counter[State]]] = {}
    places[None, DATA] = {}
    for step_id, step in diff.asked.items():
        if isinstance(step, DataStep):
            state = _state_of_data(diff, applied, step_id)
            places[None, DATA].setdefault(step.language, Counter())[state] += 1
    for cell in cells:
        state = _state(diff, cell, before)
        line = places.setdefault((cell.model, cell.method), {})
        line.setdefault(cell.language, Counter())[state] += 1
    for cell in orphans(diff, applied):
        line = places.setdefault((cell.model, cell.method), {})
        line.setdefault(cell.language, Counter())["orphaned"] += 1
    return tuple(_lines(diff, places, _owners(diff, cells), rows))


def orphans(diff: Diff, applied: Study | None) -> Iterator[Cell]:
    """Yield the cells of the study as it was applied last that are no longer in it; where targets are named,
    none. A cell all of whose steps the plan still has is there under another name."""
    if applied is None or diff.wanted is not None:
        return
    cells = diff.plan.study.cells
    planned = {key_of(cell) for cell in [*cells, *earlier_cells(cells, applied.cells).values()]}
    for cell in applied.cells:
        if key_of(cell) not in planned and not diff.plan.steps.keys() >= {*steps_of(cell, diff.plan.steps)}:
            yield cell


def _state(diff: Diff, cell: Cell, applied: Mapping[str, Cell]) -> State:
    steps = {*steps_of(cell, diff.plan.steps)}
    if diff.wanted is not None:
        steps &= diff.wanted
    if steps <= diff.done:
        return "reused"
    if (before := applied.get(cell.cell_id)) is None:
        return "new"
    return "unfinished" if steps <= {*steps_of(before, diff.plan.steps)} else "changed"


def _state_of_data(diff: Diff, applied: Study | None, step_id: StepId) -> State:
    if step_id in diff.done:
        return "reused"
    if applied is None:
        return "new"
    return "unfinished" if step_id in applied.step_ids else "changed"


def _owners(diff: Diff, cells: Iterable[Cell]) -> dict[StepId, tuple[Name | None, Name]]:
    """Step -> its line: that of the first cell whose own step it is."""
    owner: dict[StepId, tuple[Name | None, Name]] = {}
    for cell in cells:
        line = cell.model, cell.method
        for step_id in steps_of(cell, diff.plan.steps):
            owner.setdefault(step_id, line)
    return {step_id: owner.get(step_id, (None, DATA)) for step_id in diff.asked}


def _lines(
    diff: Diff,
    places: Mapping[tuple[Name | None, Name], Mapping[Language, Mapping[State, int]]],
    owners: Mapping[StepId, tuple[Name | None, Name]],
    rows: Mapping[StepId, Rows],
) -> Iterator[Line]:
    steps: dict[tuple[Name | None, Name], list[StepId]] = {}
    for step_id, owner in owners.items():
        steps.setdefault(owner, []).append(step_id)
    todo = frozenset(diff.todo)
    models = list(dict.fromkeys(model for model, _ in places))
    for (model, method), languages in sorted(places.items(), key=lambda place: models.index(place[0][0])):
        own = steps.get((model, method), [])
        kinds = {step_id: diff.plan.steps[step_id] for step_id in own}
        trained = [step_id for step_id, step in kinds.items() if isinstance(step, TuningStep)]
        yield Line(
            model,
            method,
            languages,
            tuple(own),
            tuple(step_id for step_id in own if step_id in todo),
            Rows(len(trained), len(todo.intersection(trained))),
            total(
                rows[step_id]
                for step_id, step in kinds.items()
                if isinstance(step, GenerateStep) and not step.slices  # whose answers are counted
            ),
            total(rows[step_id] for step_id, step in kinds.items() if isinstance(step, JudgeStep)),
        )
