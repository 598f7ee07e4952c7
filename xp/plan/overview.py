"""A plan beside its store as people think of it: methods and languages, and why each is to be made."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from dsl.plan.diff import Diff
from dsl.plan.study import Cell
from dsl.values import StepId
from xp.plan.asked import Asked
from xp.plan.cached_rows import CachedRows
from xp.plan.cells import place_of, steps_of
from xp.plan.changes import Changes
from xp.plan.differences import Change
from xp.plan.lines import Line, lines_of
from xp.plan.rows import Rows, rows_of


@dataclass(frozen=True)
class Overview:
    """A plan beside its store, in lines, with the rows that it would make."""

    diff: Diff
    lines: tuple[Line, ...]
    """They add up to the plan: each step is in one of them."""
    rows: Mapping[StepId, Rows]
    """Data, generate and judge step -> its examples, answers or verdicts."""
    asked: Asked
    """The examples of its data steps."""
    changes: Changes | None = None
    """Differences from the study as it was applied last, under its name in this store; None where it never
    was."""

    @cached_property
    def causes(self) -> Mapping[Change, Sequence[Cell]]:
        """Differences from the study as it was applied last -> the cells that are made for each. Seeds
        share their settings: the first of each place is compared."""
        if self.changes is None:
            return {}
        steps = self.diff.plan.steps
        todo, found, seen = frozenset(self.diff.todo), dict[Change, list[Cell]](), set[object]()
        for cell in self.diff.plan.study.cells:
            place = place_of(cell)
            if place not in seen and not todo.isdisjoint(steps_of(cell, steps)):
                seen.add(place)
                causes = (
                    change
                    for step_id in dict.fromkeys(steps_of(cell, steps))
                    if step_id in todo
                    for change in self.changes.causes(step_id)
                )
                for change in dict.fromkeys(causes):
                    found.setdefault(change, []).append(cell)
        return found


def overview_of(diff: Diff, store: Path, asked: Asked | None = None) -> Overview:
    """Look at a plan beside its store: reads data that is asked. `asked`: the plan's items, where some were
    read already."""
    asked, applied = asked or Asked(diff, store), diff.applied
    changes = None if applied is None else Changes(diff, applied, store)
    rows = rows_of(diff, asked, CachedRows(diff, asked, changes))
    return Overview(diff, lines_of(diff, applied, rows), rows, asked, changes)
