"""Sections of the report, in reading order: the views that are drawn and the columns of their tables."""

from collections.abc import Callable
from dataclasses import dataclass

from warehouse.report.figures import Section
from warehouse.report.sections.comparisons import comparisons
from warehouse.report.sections.contrasts import contrasts, gaps
from warehouse.report.sections.effort import cost, training
from warehouse.report.sections.errors import errors
from warehouse.report.sections.instructions import instructions
from warehouse.report.sections.judges import trust, unscored
from warehouse.report.sections.lengths import lengths
from warehouse.report.sections.noise import noise
from warehouse.report.sections.people import people_beside_judges
from warehouse.report.sections.power import power
from warehouse.report.sections.scores import languages, sizes
from warehouse.report.sections.turns import turns
from warehouse.report.study import StudyRows

Make = Callable[[StudyRows], Section | None]

_QUESTIONS: tuple[tuple[str, str, tuple[Make, ...], tuple[Make, ...]], ...] = (
    (
        "Which method in which language?",
        "Methods",
        (people_beside_judges, languages, turns, contrasts),
        (comparisons, instructions, gaps, noise, power),
    ),
    ("Does the size of the model matter?", "Size", (sizes,), ()),
    ("What goes wrong?", "Errors", (errors,), ()),
    ("How far do judges agree?", "Judges", (trust,), (unscored,)),
    ("How long are the answers?", "Lengths", (lengths,), ()),
    ("What did it cost?", "Cost", (cost,), (training,)),
)
"""(question, a word for it, sections that are seen, sections that unfold), in reading order."""


@dataclass(frozen=True, slots=True)
class Question:
    """A question of the reader and the sections that answer it."""

    asked: str
    short: str
    """A word for it, to find it by."""
    seen: tuple[Section, ...]
    folded: tuple[Section, ...]


def questions(study: StudyRows) -> list[Question]:
    """Return all sections of a study by the question that they answer."""

    def made(makes: tuple[Make, ...]) -> tuple[Section, ...]:
        return tuple(section for make in makes if (section := make(study)) is not None)

    return [Question(asked, short, made(seen), made(folded)) for asked, short, seen, folded in _QUESTIONS]


def sections(study: StudyRows) -> list[Section]:
    """Return all sections of a study, from its scores to their cost."""
    return [section for question in questions(study) for section in (*question.seen, *question.folded)]
