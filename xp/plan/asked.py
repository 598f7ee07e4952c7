"""Items that a plan asks and judges, before anything has run: read from the store or from data files."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TypeVar, cast

from dsl.data.examples import Reader, examples
from dsl.data.files import read_file
from dsl.data.random_order import in_random_order, slice_of
from dsl.data.records import Example
from dsl.data.source import FileSource
from dsl.errors import DataError
from dsl.judges.contract import JudgeSettings
from dsl.plan.diff import Diff
from dsl.steps.steps import DataStep, GenerateStep, ItemSlice, Judged, JudgeStep, Step
from dsl.values import StepId
from runners.judges import find_judge
from runners.store.step_io import read_rows
from runners.store.store import Store

_Step = TypeVar("_Step", bound=Step)

_Counted = tuple[int, StepId, int | None, ItemSlice | None]
"""Judge's settings, which cells share; examples; rows of a probe; slice of the examples."""


@dataclass(frozen=True)
class Asked:
    """Examples of a plan's data steps, each read once, and what its judges have of them to judge."""

    diff: Diff
    store: Path
    _read: dict[StepId, Sequence[Example] | None] = field(
        default_factory=dict[StepId, "Sequence[Example] | None"], repr=False
    )
    _counted: dict[_Counted, int | None] = field(default_factory=dict[_Counted, "int | None"], repr=False)
    """Verdicts on one answer to each example."""

    _items: dict[tuple[int, StepId, str | None], frozenset[str] | None] = field(
        default_factory=dict[tuple[int, StepId, str | None], "frozenset[str] | None"], repr=False
    )
    """Judge's settings, which cells share; examples; aspect -> the items that are judged."""

    def examples(self, data: StepId) -> Sequence[Example] | None:
        """The items of a data step: as it wrote them, or else from its file; None where neither is there."""
        if data not in self._read:
            self._read[data] = self._examples(data)
        return self._read[data]

    def answers(self, step: JudgeStep) -> GenerateStep:
        """The step whose answers a judge step judges."""
        return step_of(self.diff, step.answers, GenerateStep)

    def wanted(self, step: GenerateStep) -> Sequence[Example] | None:
        """The items that a step has answers to: of one that asks a slice, at most, since it may be left
        out."""
        found, items = self.examples(step.examples), step.items
        if found is None or items is None:
            return found
        ordered = in_random_order(found, lambda example: example.item, items.seed)
        return ordered[slice_of(len(ordered), items.number, items.of)]

    def judged(self, judged: Judged, aspect: str | None = None) -> frozenset[str] | None:
        """The items that a judge will judge: not those beyond its limit, without what it judges by, or that
        an aspect is not asked of. None where they are not known."""
        step = step_of(self.diff, judged.step, JudgeStep)
        judge = step.judges[judged.judge]
        found = self.examples(step.examples)
        if found is None:
            return None
        if not step.verdicts:
            place = (id(judge), step.examples, aspect)
            if place not in self._items:
                self._items[place] = _judged_items(judge, found, aspect)
            return self._items[place]
        # A judge of judges has a score where enough of them have: the majority, where it does not say.
        members = [self.judged(read) or frozenset() for read in step.verdicts.values()]
        enough = cast("int | None", getattr(judge, "min_judges", None)) or len(members) // 2 + 1
        return frozenset(
            example.item
            for example in found[: judge.limit]
            if sum(example.item in member for member in members) >= enough
        )

    def n_verdicts(self, step: JudgeStep, keys: Collection[str] | None = None) -> int | None:
        """Rows of a judge step: one for each answer, opponent and aspect. `keys`: of these judges alone."""
        judges = [judge for key, judge in step.judges.items() if keys is None or key in keys]
        counts = [self._n_verdicts(step, judge) for judge in judges]
        counted = [n for n in counts if n is not None]
        return sum(counted) * max(1, len(step.against)) if len(counted) == len(counts) else None

    def _n_verdicts(self, step: JudgeStep, judge: JudgeSettings) -> int | None:
        n_planted = step.probe.rows if step.probe else None
        answers = self.answers(step)
        key = (id(judge), step.examples, n_planted, answers.items)
        if key not in self._counted:
            found = self.wanted(answers)
            members = [self.judged(read) or frozenset() for read in step.verdicts.values()]
            read = frozenset[str]().union(*members)
            aspects = judge.verdict_aspects()
            try:
                self._counted[key] = (
                    None
                    if found is None
                    else sum(
                        n_aspects(judge, aspects, example)
                        for example in found[: judge.limit][:n_planted]
                        if not members or example.item in read
                    )
                )
            except DataError:
                self._counted[key] = None
        return self._counted[key]

    @cached_property
    def judged_in_slices(self) -> Mapping[StepId, Collection[str]]:
        """Slice -> keys of the judges that have judged it when the slices are put together."""
        steps = self.diff.plan.steps
        slices = {i for i, step in steps.items() if isinstance(step, GenerateStep) and step.items}
        return {
            step.answers: step.judges
            for step in steps.values()
            if isinstance(step, JudgeStep) and step.answers in slices
        }

    def _examples(self, data: StepId) -> Sequence[Example] | None:
        if data in self.diff.done:
            return tuple(read_rows(Store(self.store).step_folder(data) / "examples.jsonl", Example))
        step = self.diff.plan.steps[data]
        if not isinstance(step, DataStep) or not isinstance(step.source, FileSource):
            return None
        try:
            rows = read_file(step.source)
            reader = Reader(step.columns, step.language, step.limit, step.source.at, step.turn)
            return tuple(examples(rows, reader))
        except DataError:  # it changed under the plan: the step itself will report it
            return None


def _judged_items(
    judge: JudgeSettings, found: Sequence[Example], aspect: str | None
) -> frozenset[str] | None:
    aspects = judge.verdict_aspects()
    wanted = (aspect,) if aspect in aspects else aspects
    try:
        return frozenset(
            example.item for example in found[: judge.limit] if n_aspects(judge, wanted, example)
        )
    # the examples lack a column that aspects are asked by: the step itself will report it
    except DataError:
        return None


def n_aspects(judge: JudgeSettings, aspects: Sequence[str], example: Example) -> int:
    """Count those of a judge's aspects that apply to an example. Raises DataError where it lacks a column
    that they are asked by."""
    if not all(getattr(example, column) for column in judge.NEEDS):
        return 0
    module = find_judge(judge.judge)
    if not hasattr(module, "applies"):
        return len(aspects)
    return sum(module.applies(judge, aspect, example) for aspect in aspects)


def step_of(diff: Diff, step_id: StepId, kind: type[_Step]) -> _Step:
    """A step of a plan, of the kind that it is known to be."""
    step = diff.plan.steps[step_id]
    assert isinstance(step, kind)
    return step
