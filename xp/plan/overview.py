"""A plan beside its store as people think of it: methods and languages, and why each is to be made."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from dsl.plan.diff import Diff
from dsl.plan.study import Study
from dsl.values import StepId
from xp.plan.asked import Asked
from xp.plan.lines import Line, lines_of
from xp.plan.rows import Rows, rows_of
from xp.studies import applied_study


@dataclass(frozen=True)
class Overview:
    """What a plan would make."""

    diff: Diff
    lines: tuple[Line, ...]
    """They add up to the plan: each step is in one of them."""
    rows: Mapping[StepId, Rows]
    """Data, generate and judge step -> its examples, answers or verdicts."""
    asked: Asked
    """The examples of its data steps."""
    applied: Study | None = None
    """The study as it was applied last, under its name in this store."""


def overview_of(diff: Diff, store: Path) -> Overview:
    """Look at a plan beside its store: reads the store's record of the study, and data that is asked."""
    asked, applied = Asked(diff, store), applied_study(diff.plan.study.experiment, store)
    rows = rows_of(diff, asked)
    return Overview(diff, lines_of(diff, applied, rows), rows, asked, applied)
