"""Contrasts of a study: the declared ones and the comparisons with its baseline. No other two methods or
models are compared."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping

from dsl.plan.stopping import sides_of
from dsl.plan.study import Cell, ContrastPlan, Study
from dsl.spec.experiment import Contrast, Experiment, ModelSide
from dsl.values import Language, Name

FEWEST_MODELS = 4
"""Models for a trend with size: with three, one degree of freedom is left for their scatter around the
line."""


def planned_contrasts(experiment: Experiment, cells: Iterable[Cell]) -> tuple[ContrastPlan, ...]:
    """Return the declared contrasts, then one of each other method against the baseline where both have cells
    in one place.

    A declared contrast of the same two methods stands for the comparison with the baseline, whichever way
    round it is, unless it is declared `by` something: then it tests a change of the difference, and not the
    difference.
    """
    primary = experiment.primary_judges()
    cells = tuple(cell for cell in cells if cell.method in experiment.methods)
    methods: dict[Name, dict[Name, None]] = defaultdict(dict)
    for cell in cells:
        methods[cell.model][cell.method] = None
    declared = tuple(
        ContrastPlan(
            name=part,
            of=of,
            against=against,
            on=tuple(sorted(set(c.on or primary))),
            by=tuple(sorted(set(c.by))),
            method=method,
        )
        for name, c in experiment.contrasts.items()
        for part, of, against, method in _parts(name, c, methods)
    )
    if experiment.baseline is None:
        return _stopped(experiment, declared)
    pairs = {frozenset((one.of, one.against)) for one in declared if not one.by and one.method is None}
    derived = (
        ContrastPlan(
            name=versus(method, experiment.baseline),
            of=method,
            against=experiment.baseline,
            is_declared=False,
        )
        for method in _comparable(cells, experiment.baseline)
        if frozenset((method, experiment.baseline)) not in pairs
    )
    return _stopped(experiment, (*declared, *derived))


def _stopped(experiment: Experiment, contrasts: Iterable[ContrastPlan]) -> tuple[ContrastPlan, ...]:
    """Name the study's stopping rule in the contrasts of a method whose cells it stops."""
    stopped, rule = sides_of(experiment) or (), experiment.stop_when
    return tuple(
        one.model_copy(update={"stop_when": rule}) if not set(stopped).isdisjoint(one.methods) else one
        for one in contrasts
    )


def noise_contrasts(experiment: Experiment) -> tuple[ContrastPlan, ...]:
    """Return the difference of each method from itself that is asked again."""
    return tuple(
        ContrastPlan(name=versus(again(name), name), of=again(name), against=name, is_declared=False)
        for name, method in experiment.methods.items()
        if method.noise
    )


def again(method: Name) -> Name:
    """Return the name of a method's replicate among the study's methods."""
    return f"{method}_again"


def asked_first(method: Name, experiment: Experiment) -> Name:
    """Return the method of the spec that a cell's method is: of a replicate, the one that is asked again."""
    noisy = (name for name, one in experiment.methods.items() if one.noise)
    return next((name for name in noisy if again(name) == method), method)


def _parts(
    name: Name, contrast: Contrast, methods: Mapping[Name, Collection[Name]]
) -> Iterator[tuple[Name, Name, Name, Name | None]]:
    """Yield name, sides and method: of a contrast between models, one for each method that both have."""
    of, against = contrast.of, contrast.against
    if not isinstance(of, ModelSide) or not isinstance(against, ModelSide):
        assert isinstance(of, str)
        assert isinstance(against, str)
        yield name, of, against, None
        return
    both = shared_methods(contrast, methods)
    for method in both:
        yield (name if len(both) == 1 else f"{name}_{method}"), of.model, against.model, method


def shared_methods(contrast: Contrast, methods: Mapping[Name, Collection[Name]]) -> list[Name]:
    """Return the methods that both models of a contrast have, or the one of them that it names.

    `methods`: model -> its methods.
    """
    of, against = contrast.of, contrast.against
    assert isinstance(of, ModelSide)
    assert isinstance(against, ModelSide)
    return [
        method
        for method in methods.get(of.model, ())
        if method in methods.get(against.model, ()) and contrast.method in (None, method)
    ]


def versus(method: Name, baseline: Name) -> str:
    """Return the name of the comparison of a method with the baseline."""
    return f"{method}_vs_{baseline}"


def nothing_compared(study: Study) -> str | None:
    """Return, for a study that compares nothing, a sentence with what to add to its spec; None for all
    others."""
    if study.contrasts:
        return None
    replicates = {one.of for one in study.noise}
    cells = tuple(cell for cell in study.cells if cell.method not in replicates)
    for baseline in dict.fromkeys(cell.method for cell in cells):
        for method in _comparable(cells, baseline):
            contrast = f"contrasts: {{gain: {{of: {method}, against: {baseline}}}}}"
            return (
                f"Nothing will be compared. Add `baseline: {baseline}` (exploratory) or `{contrast}`"
                " (confirmatory)."
            )
    for method in dict.fromkeys(cell.method for cell in cells):
        if len(models := list(dict.fromkeys(c.model for c in cells if c.method == method))) > 1:
            contrast = f"contrasts: {{gain: {{of: {{model: {models[1]}}}, against: {{model: {models[0]}}}}}}}"
            return f"Nothing will be compared. Add `{contrast}` (confirmatory)."
    return "Nothing will be compared: no two methods answer one data set in one language on one model."


def _comparable(cells: Iterable[Cell], baseline: Name) -> tuple[Name, ...]:
    """Other methods that have a cell where the baseline has one, in the study's order."""
    places: dict[Name, set[tuple[Name, Language, Name]]] = defaultdict(set)
    for cell in cells:
        places[cell.method].add((cell.dataset, cell.language, cell.model))
    return tuple(
        method for method in places if method != baseline and places[method] & places.get(baseline, set())
    )
