"""Contrasts of a study: the declared ones and the comparisons with its baseline. No other two methods are
compared."""

from collections import defaultdict
from collections.abc import Iterable

from dsl.plan.study import Cell, ContrastPlan, Study
from dsl.spec.experiment import Experiment
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
    declared = tuple(
        ContrastPlan(
            name=name,
            of=c.of,
            against=c.against,
            on=tuple(sorted(set(c.on or primary))),
            by=tuple(sorted(set(c.by))),
        )
        for name, c in experiment.contrasts.items()
    )
    if experiment.baseline is None:
        return declared
    pairs = {frozenset((contrast.of, contrast.against)) for contrast in declared if not contrast.by}
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
    return (*declared, *derived)


def versus(method: Name, baseline: Name) -> str:
    """Return the name of the comparison of a method with the baseline."""
    return f"{method}_vs_{baseline}"


def nothing_compared(study: Study) -> str | None:
    """Return, for a study that compares nothing, a sentence with what to add to its spec; None for all
    others."""
    if study.contrasts:
        return None
    for baseline in dict.fromkeys(cell.method for cell in study.cells):
        for method in _comparable(study.cells, baseline):
            contrast = f"contrasts: {{gain: {{of: {method}, against: {baseline}}}}}"
            return (
                f"Nothing will be compared. Add `baseline: {baseline}` (exploratory) or `{contrast}`"
                " (confirmatory)."
            )
    return "Nothing will be compared: no two methods answer one data set in one language on one model."


def _comparable(cells: Iterable[Cell], baseline: Name) -> tuple[Name, ...]:
    """Other methods that have a cell where the baseline has one, in the study's order."""
    places: dict[Name, set[tuple[Name, Language, Name]]] = defaultdict(set)
    for cell in cells:
        places[cell.method].add((cell.dataset, cell.language, cell.model))
    return tuple(
        method for method in places if method != baseline and places[method] & places.get(baseline, set())
    )
