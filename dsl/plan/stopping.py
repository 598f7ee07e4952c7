"""Steps of a study that stops asking: items in slices, with a look at a contrast after each.

    slice 1 of both sides → verdicts → look 1 → slice 2 of both sides → verdicts → look 2 → …
                                                   └ has no rows where look 1 is settled

The answers of a cell are a last generate step, which puts its slices together.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Protocol, cast

from dsl.judges.contract import JudgeSettings
from dsl.methods.base import CellRequest, CellSteps
from dsl.plan.study import Cell
from dsl.spec.experiment import Contrast, Experiment
from dsl.steps.steps import GenerateStep, ItemSlice, Judged, JudgeStep, SequentialTestStep, Step
from dsl.steps.stopping import StopWhen
from dsl.values import Language, Name, StepId

ALPHA = 0.05
"""Level of all tests of a family together."""

Place = tuple[Name, Language, Name]
"""Data set, language and model."""

_Side = tuple[Name, Name]
"""Model and method."""


class Builder(Protocol):
    """Services of the plan's builder."""

    judges: dict[Name, JudgeSettings]

    def add(self, step: Step) -> StepId: ...
    def made(self, request: CellRequest, method: Name) -> CellSteps: ...
    def judge_of(self, judge: JudgeSettings, request: CellRequest, method: Name) -> JudgeSettings | None: ...
    def judged(
        self, judges: dict[Name, JudgeSettings], answers: StepId, examples: StepId
    ) -> dict[Name, Judged]: ...


def sides_of(experiment: Experiment) -> tuple[Name, Name] | None:
    """Return the methods of the contrast that stops the study; None where nothing does."""
    rule = experiment.stop_when
    contrast = experiment.contrasts.get(rule.contrast) if rule else None
    if contrast is None or not isinstance(contrast.of, str) or not isinstance(contrast.against, str):
        return None
    return contrast.of, contrast.against


def measure_of(experiment: Experiment) -> tuple[Name, str] | None:
    """Return judge and aspect of the one measure that the stopping contrast is declared on, or None."""
    rule = experiment.stop_when
    contrast = experiment.contrasts.get(rule.contrast) if rule else None
    measures = _measures(experiment, contrast) if contrast else []
    return measures[0] if len(measures) == 1 else None


def _measures(experiment: Experiment, contrast: Contrast) -> list[tuple[Name, str]]:
    """Judge and aspect of each measure that a contrast is declared on."""
    named = contrast.on or experiment.primary_judges()
    return [
        (name, aspect)
        for name, judge in experiment.judges.items()
        for aspect in judge.verdict_aspects()
        if name in named or f"{name}.{aspect}" in named
    ]


def _pairs(contrast: Contrast, here: Mapping[_Side, object]) -> Iterator[tuple[_Side, _Side]]:
    """Yield both sides of a contrast, where they have cells."""
    of, against = contrast.of, contrast.against
    for model, method in here:
        if not isinstance(of, str) and not isinstance(against, str):
            is_of, other = model == of.model and contrast.method in (None, method), (against.model, method)
        else:
            is_of, other = method == of, (model, cast("Name", against))
        if is_of and other in here:
            yield (model, method), other


def _n_measures(experiment: Experiment, contrast: Contrast) -> int:
    opponents = (experiment.judges[name].opponents() for name, _ in _measures(experiment, contrast))
    return sum(len(experiment.methods if theirs == "all" else theirs) or 1 for theirs in opponents)


def _n_changes(places: Iterable[tuple[Name, Language]], contrast: Contrast) -> int:
    """Return the number of tests for each language of a data set: half of those it has a gap to."""
    return (len({language for _, language in places}) + 1) // 2 if "language" in contrast.by else 1


def n_confirmatory(experiment: Experiment, asked: Iterable[tuple[CellRequest, Name]]) -> int:
    """Return the number of confirmatory tests, or a few more: contrasts × places × languages that both sides
    are tuned on × measures × methods that answers are compared with × gaps to other languages."""
    cells: dict[tuple[Name, Language], dict[_Side, set[tuple[Language, ...]]]] = {}
    for request, method in asked:
        here = cells.setdefault((request.dataset, request.language), {})
        here.setdefault((request.model, method), set()).add(request.train_languages)
    return sum(
        len(here[one]) * len(here[other]) * _n_measures(experiment, contrast) * _n_changes(cells, contrast)
        for contrast in experiment.contrasts.values()
        for here in cells.values()
        for one, other in _pairs(contrast, here)
    )


def slices_of(cell: Cell, steps: Mapping[StepId, Step]) -> Iterator[tuple[StepId, Judged]]:
    """Yield the slices of a cell's answers, each with the verdicts on it; none of a cell that is asked at
    once."""
    if not cell.looks:
        return
    answers, look = steps.get(cell.generate), steps.get(cell.looks[-1])
    if isinstance(answers, GenerateStep) and isinstance(look, SequentialTestStep):
        for judged in (*look.of, *look.against):
            verdicts = steps[judged.step]
            if isinstance(verdicts, JudgeStep) and verdicts.answers in answers.slices:
                yield verdicts.answers, judged


class Stopping:
    """Finds the answers of the cells whose asking stops."""

    def __init__(
        self, experiment: Experiment, asked: Iterable[tuple[CellRequest, Name]], build: Builder
    ) -> None:
        self._rule, self._sides, self._measure = (
            experiment.stop_when,
            sides_of(experiment),
            measure_of(experiment),
        )
        self._build = build
        asked = tuple(asked)
        self._alpha = ALPHA / max(1, n_confirmatory(experiment, asked))
        self._cells: dict[Place, dict[Name, CellRequest]] = {}
        for request, method in asked if self._sides else ():
            if method in cast("tuple[Name, Name]", self._sides):
                place = (request.dataset, request.language, request.model)
                self._cells.setdefault(place, {})[method] = request
        self._made: dict[Place, dict[Name, GenerateStep]] = {}
        self._looks: dict[Place, tuple[StepId, ...]] = {}

    def answers(self, request: CellRequest, method: Name) -> GenerateStep | None:
        """Return the step that puts a cell's slices together; None for a cell that is asked at once."""
        place = (request.dataset, request.language, request.model)
        cells = self._cells.get(place, {})
        if method not in cells or len(cells) < 2 or self._rule is None:
            return None
        if place not in self._made:
            self._made[place] = self._sliced(self._rule, place, cells)
        return self._made[place][method]

    def looks(self, request: CellRequest, method: Name) -> tuple[StepId, ...]:
        """Return the looks at the place of a cell whose answers are in slices; none for another cell."""
        if self.answers(request, method) is None:
            return ()
        return self._looks[request.dataset, request.language, request.model]

    def _sliced(
        self, rule: StopWhen, place: Place, cells: dict[Name, CellRequest]
    ) -> dict[Name, GenerateStep]:
        assert self._sides is not None
        assert self._measure is not None
        (judge, aspect), (of, against) = self._measure, self._sides
        settings = self._build.judges[judge]
        scale = settings.scale(aspect, self._build.judges)
        assert scale is not None, "checked: without a scale there is no confidence sequence"
        plain = {method: self._build.made(request, method).generate for method, request in cells.items()}
        slices: dict[Name, list[StepId]] = {method: [] for method in cells}
        verdicts: dict[Name, list[Judged]] = {method: [] for method in cells}
        looks: list[StepId] = []
        for number in range(1, rule.looks + 1):
            before = looks[-1] if looks else None
            items = ItemSlice(number=number, of=rule.looks, seed=rule.seed, unless=before)
            for method, request in cells.items():
                answers = self._build.add(plain[method].model_copy(update={"items": items}))
                here = self._build.judge_of(settings, request, method)
                assert here is not None, "checked: a judge of recorded verdicts is refused"
                slices[method].append(answers)
                verdicts[method].append(
                    self._build.judged({judge: here}, answers, plain[method].examples)[judge]
                )
            look = SequentialTestStep(
                rule=rule,
                alpha=self._alpha,
                aspect=aspect,
                scale=scale,
                of=tuple(verdicts[of]),
                against=tuple(verdicts[against]),
                before=before,
            )
            looks.append(self._build.add(look))
        self._looks[place] = tuple(looks)
        return {
            method: step.model_copy(update={"slices": tuple(slices[method])})
            for method, step in plain.items()
        }
