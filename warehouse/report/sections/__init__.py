"""Sections of the report, in reading order: the views that are drawn and the columns of their tables."""

from collections.abc import Callable

from warehouse.report.figures import Section
from warehouse.report.sections.comparisons import comparisons
from warehouse.report.sections.contrasts import contrasts, gaps
from warehouse.report.sections.effort import cost, training
from warehouse.report.sections.errors import errors
from warehouse.report.sections.instructions import instructions
from warehouse.report.sections.judges import trust, unscored
from warehouse.report.sections.lengths import lengths
from warehouse.report.sections.people import people_beside_judges
from warehouse.report.sections.power import power
from warehouse.report.sections.scores import languages, sizes
from warehouse.report.study import StudyRows

_ORDER: tuple[Callable[[StudyRows], Section | None], ...] = (
    people_beside_judges,
    languages,
    contrasts,
    gaps,
    comparisons,
    instructions,
    sizes,
    errors,
    lengths,
    power,
    trust,
    unscored,
    training,
    cost,
)


def sections(study: StudyRows) -> list[Section]:
    """Return all sections of a study, from its scores to their cost."""
    return [section for make in _ORDER if (section := make(study)) is not None]
