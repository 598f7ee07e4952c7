"""Reasons of steps: differences from the step that was in the same place when the study was applied last.

Steps are in the same place where a cell of the same data set, language, model, method and seed has them, and
their inputs where those are read for the same. What differs is a setting, with its place in the spec, or the
content of a file, a model, a package or code whose digest a step's id covers.
"""

import contextlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TypeGuard

from dsl.data.code_fingerprint import DECIDING, version_of
from dsl.data.records import Outcome, read_record
from dsl.errors import DataError
from dsl.messages import Path as SpecPath
from dsl.messages import dotted
from dsl.plan.diff import Diff
from dsl.plan.study import Cell, Study
from dsl.steps.steps import DataStep, Judged, JudgeStep, PairsStep, Step
from dsl.values import Name, StepId
from dsl.yaml.document import Document
from runners.store.store import Store, read_step
from xp.plan.cells import earlier_cells
from xp.plan.differences import (
    Change,
    Difference,
    change_of,
    differences,
    document_of,
    place_of,
    sections_of,
)

_STEP_ID = re.compile(r"[a-z_]+-[0-9a-f]{16}")


@dataclass(frozen=True, slots=True)
class _Place:
    """A step that was in the place of another, and the cell that both were found by."""

    old: StepId
    cell: Cell
    judges: Mapping[Name, tuple[Judged, Judged | None]] = field(
        default_factory=dict[Name, tuple[Judged, "Judged | None"]]
    )
    """Judge of a judge step -> its verdicts now and then."""
    removed: tuple[Name, ...] = ()
    """Judges that the earlier step had besides."""


@dataclass(frozen=True)
class Changes:
    """Differences between a plan and the study of its name that was applied last in a store."""

    diff: Diff
    applied: Study
    store: Path
    _own: dict[StepId, tuple[tuple[Change, ...], tuple[StepId, ...]]] = field(
        default_factory=dict[StepId, "tuple[tuple[Change, ...], tuple[StepId, ...]]"], repr=False
    )
    _causes: dict[StepId, tuple[Change, ...]] = field(
        default_factory=dict[StepId, "tuple[Change, ...]"], repr=False
    )

    def counterpart(self, step_id: StepId) -> StepId | None:
        """The step that was in this one's place; None where none was."""
        if step_id not in self._places and isinstance(self.diff.plan.steps[step_id], DataStep):
            if step_id in self.applied.step_ids:
                return step_id
            for other, step in self.diff.plan.steps.items():  # found by what reads it
                if step_id in step.inputs and other in self._places:
                    self.of(other)
                    break
        place = self._places.get(step_id)
        return None if place is None else place.old

    def of(self, step_id: StepId) -> tuple[tuple[Change, ...], tuple[StepId, ...]]:
        """A step's own differences, and its inputs that differ, too; neither where it had no counterpart."""
        if step_id not in self._own:
            place = self._places.get(step_id)
            found = ((), ()) if place is None or place.old == step_id else self._compared(step_id, place)
            self._own[step_id] = found
        return self._own[step_id]

    def causes(self, step_id: StepId) -> tuple[Change, ...]:
        """The differences that a step is made for, its own and those of all steps before it."""
        if step_id not in self._causes:
            own, inputs = self.of(step_id)
            above = (change for one in inputs for change in self.causes(one))
            self._causes[step_id] = tuple(dict.fromkeys([*own, *above]))
        return self._causes[step_id]

    @cached_property
    def _places(self) -> dict[StepId, _Place]:
        """Step of the plan -> what was in its place; data steps are added as their readers are compared."""
        cells = self.diff.plan.study.cells
        before = earlier_cells(cells, self.applied.cells)
        found: dict[StepId, _Place] = {}
        for cell in cells:
            if (old := before.get(cell.cell_id)) is None:
                continue
            kinds: dict[str, list[StepId]] = {}
            for step_id in old.train:
                kinds.setdefault(step_id.partition("-")[0], []).append(step_id)
            for step_id in cell.train:
                if earlier := kinds.get(step_id.partition("-")[0]):
                    found.setdefault(step_id, _Place(earlier.pop(0), cell))
            found.setdefault(cell.generate, _Place(old.generate, cell))
            for now, then in (
                (cell.judges, old.judges),
                *((judges, old.probes.get(probe, {})) for probe, judges in cell.probes.items()),
            ):
                for step_id, place in _judged_places(cell, now, then):
                    found.setdefault(step_id, place)
        return found

    @cached_property
    def _cells(self) -> Mapping[StepId, Cell]:
        """Answers -> the first cell that they are of: an opponent's are of another method."""
        return {cell.generate: cell for cell in reversed(self.diff.plan.study.cells)}

    def _compared(self, step_id: StepId, place: _Place) -> tuple[tuple[Change, ...], tuple[StepId, ...]]:
        new, old = self.diff.plan.steps[step_id], read_step(Store(self.store).step_folder(place.old))
        old = old or read_step(Store(self.store).unfinished_folder(place.old))
        if old is None:
            return (Change(f"settings, data or code of {place.old}, which the store no longer has"),), ()
        own: dict[Change, None] = {}
        inputs: dict[StepId, None] = {}
        sections = sections_of(new, place.cell, self.diff.plan.experiment)
        for difference in differences(old, new, (), new):
            if _is_step(difference.new) and _kind(difference.new) == _kind(difference.old):
                if difference.new in self.diff.plan.steps:
                    cell = self._cells.get(difference.new, place.cell)
                    self._places.setdefault(difference.new, _Place(str(difference.old), cell))
                    inputs[difference.new] = None
            elif isinstance(new, JudgeStep) and difference.path[0] in ("judges", "verdicts", "against"):
                pass  # of a judge: below
            elif _is_step(difference.new) or _is_step(difference.old):
                own[self._of_input(difference, sections[0])] = None
            else:
                own[change_of(difference, sections, self._document)] = None
        if isinstance(new, JudgeStep) and isinstance(old, JudgeStep):
            own |= dict.fromkeys(self._of_judges(old, new, place))
        if not own and not inputs:
            own[self._of_code(place.old, _modules(new))] = None
        return tuple(own), tuple(inputs)

    def _of_judges(self, old: JudgeStep, new: JudgeStep, place: _Place) -> Iterator[Change]:
        for name, (now, then) in place.judges.items():
            section: SpecPath = ("judges", name)
            if then is None or then.judge not in old.judges:
                yield Change(dotted(section), "none", "added", place_of(self._document.mark(section, "key")))
            elif now.judge != then.judge:
                settings = new.judges[now.judge]
                found = [*differences(old.judges[then.judge], settings, (), settings)]
                yield from (change_of(difference, (section,), self._document) for difference in found)
                if not found:
                    yield self._of_code(place.old, settings.counted_code)
            elif old.against.keys() != new.against.keys():
                yield self._of_opponents(old, new, (*section, "against"))
        yield from (Change(dotted(("judges", name)), "there", "taken out") for name in place.removed)

    def _of_opponents(self, old: JudgeStep, new: JudgeStep, path: SpecPath) -> Change:
        """Opponents that a judge of the same settings (`against: all`) has by other names, or in addition."""
        gone, come = ([*one.against.keys() - other.against.keys()] for one, other in ((old, new), (new, old)))
        then, now = (", ".join(sorted(names)) or "none" for names in (gone, come))
        return Change(dotted(path), then, now, place_of(self._document.mark(path)))

    def _of_input(self, difference: Difference, section: SpecPath) -> Change:
        """An input of another kind than before, or that is there in one of both alone."""
        then, now = (
            f"with {kind}" if (kind := _kind(value)) else "without"
            for value in (difference.old, difference.new)
        )
        return Change(dotted(section), then, now, place_of(self._document.mark(section, "key")))

    def _of_code(self, old: StepId, modules: Sequence[str]) -> Change:
        """The libraries whose versions decide results and are others now; else the code itself."""
        versions: Mapping[str, str] = {}
        with contextlib.suppress(DataError):
            versions = read_record(Store(self.store).step_folder(old) / "outcome.json", Outcome).versions
        for name in DECIDING.values():
            if name in versions and versions[name] != version_of(name):
                return Change(f"library {name}", versions[name], version_of(name))
        return Change(f"code of {', '.join(modules)}")

    @cached_property
    def _document(self) -> Document:
        return document_of(self.diff.plan.study)


def _judged_places(
    cell: Cell, now: Mapping[Name, Judged], then: Mapping[Name, Judged]
) -> Iterator[tuple[StepId, _Place]]:
    """Each judge step of a cell with the earlier one that most of its judges were in; a judge of the same
    settings as one that is gone is this one renamed."""
    by_settings = {judged.judge: name for name, judged in then.items() if name not in now}
    same = {
        name: name if name in then else by_settings.get(judged.judge, name) for name, judged in now.items()
    }
    steps: dict[StepId, list[Name]] = {}
    for name, judged in now.items():
        steps.setdefault(judged.step, []).append(name)
    for step_id, names in steps.items():
        if earlier := next((then[same[name]].step for name in names if same[name] in then), None):
            kept = {*now, *same.values()}
            gone = tuple(n for n, judged in then.items() if judged.step == earlier and n not in kept)
            yield step_id, _Place(earlier, cell, {n: (now[n], then.get(same[n])) for n in names}, gone)


def _modules(step: Step) -> Sequence[str]:
    return step.counted_code if isinstance(step, DataStep | PairsStep) else step.code


def _kind(value: object) -> str:
    """A step's kind; empty for what is no step's id."""
    return value.rpartition("-")[0] if _is_step(value) else ""


def _is_step(value: object) -> TypeGuard[StepId]:
    return isinstance(value, str) and _STEP_ID.fullmatch(value) is not None
