"""Cells of two plans of one study beside each other."""

from collections.abc import Iterable, Iterator, Mapping

from dsl.plan.stopping import slices_of
from dsl.plan.study import Cell
from dsl.steps.steps import Step
from dsl.values import StepId


def key_of(cell: Cell) -> tuple[object, ...]:
    """The coordinates of a cell, by which it is the same in two plans of a study."""
    return (*place_of(cell), cell.seed)


def place_of(cell: Cell) -> tuple[object, ...]:
    """The coordinates that the seeds of a cell share."""
    return cell.dataset, cell.language, cell.model, cell.method, cell.train_languages, cell.turn


def earlier_cells(cells: Iterable[Cell], applied: Iterable[Cell]) -> Mapping[str, Cell]:
    """Id of a planned cell -> the cell that it was in the study as it was applied last.

    That is the one of the same coordinates. A cell of another method name, whose answers are those of a cell
    that is gone, is this one renamed.
    """
    planned = {key_of(cell): cell for cell in cells}
    before = {key_of(cell): cell for cell in applied}
    gone = {_renamed_key(cell): cell for key, cell in before.items() if key not in planned}
    found = {cell.cell_id: before.get(key) or gone.get(_renamed_key(cell)) for key, cell in planned.items()}
    return {cell_id: cell for cell_id, cell in found.items() if cell is not None}


def _renamed_key(cell: Cell) -> tuple[object, ...]:
    """All that stays of a cell whose method has another name."""
    return cell.generate, cell.dataset, cell.language, cell.model, cell.seed, cell.turn


def steps_of(cell: Cell, steps: Mapping[StepId, Step]) -> Iterator[StepId]:
    """Yield the steps of a cell, some of them more than once; not its data, nor its opponents' answers.

    Args:
        cell: A cell.
        steps: Steps of the plan, by which the slices of a cell are found whose asking stops.
    """
    yield from cell.train
    for answers, judged in slices_of(cell, steps):
        yield from (answers, judged.step)
    yield from cell.looks
    yield cell.generate
    for judges in (cell.judges, *cell.probes.values()):
        for judged in judges.values():
            yield judged.step
