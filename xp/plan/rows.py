"""Rows of a plan's steps: how many there will be, and how many of them are made."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from dsl.plan.diff import Diff
from dsl.steps.steps import DataStep, GenerateStep, JudgeStep, Step
from dsl.values import StepId
from xp.plan.asked import Asked
from xp.plan.cached_rows import CachedRows


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of one step, or of several."""

    n: int | None = 0
    """None where they are not counted yet, as those of a data set on the hub that was never read."""
    n_made: int | None = 0
    """Rows to make; the others are reused."""
    is_most: bool = False
    """`n_made` is the most that it can be: rows of other steps may turn out to be valid, too, as verdicts on
    answers that are not made yet and may come out as others did."""

    @property
    def n_reused(self) -> int | None:
        """Rows that are there already; where `is_most`, at least so many."""
        return None if self.n is None or self.n_made is None else self.n - self.n_made

    @property
    def share_made(self) -> float:
        """Part of them that is made, from 0 to 1; 1 where they are not counted."""
        return 1.0 if not self.n or self.n_made is None else self.n_made / self.n


def total(rows: Iterable[Rows]) -> Rows:
    """Add rows up. A number that some of them lack is unknown."""
    found = list(rows)
    counted = [one.n for one in found if one.n is not None]
    made = [one.n_made for one in found if one.n_made is not None]
    return Rows(
        sum(counted) if len(counted) == len(found) else None,
        sum(made) if len(made) == len(found) else None,
        any(one.is_most for one in found),
    )


def rows_of(diff: Diff, asked: Asked, cached: CachedRows) -> Mapping[StepId, Rows]:
    """Data, generate and judge step -> its examples, answers or verdicts."""
    todo, shares_rows = frozenset(diff.todo), diff.plan.execution.reuse == "any"
    found: dict[StepId, Rows] = {}
    for step_id, step in diff.asked.items():
        if isinstance(step, DataStep | GenerateStep | JudgeStep):
            n = _count(step_id, step, asked)
            if n is None or step_id not in todo:
                found[step_id] = Rows(n, None if n is None and step_id in todo else 0)
            else:
                n_made = max(0, n - max(cached.n_rows(step_id), _n_in_slices(step, n, asked)))
                may_be_less = n_made > 0 and (
                    _may_be_left_out(step, asked)
                    or (shares_rows and any(found[i].n_made != 0 for i in _read(step)))
                    or (not isinstance(step, DataStep) and cached.may_be_elsewhere(step_id, step))
                )
                found[step_id] = Rows(n, n_made, may_be_less)
    return found


def _count(step_id: StepId, step: Step, asked: Asked) -> int | None:
    if isinstance(step, JudgeStep):
        return asked.n_verdicts(step)
    examples = asked.wanted(step) if isinstance(step, GenerateStep) else asked.examples(step_id)
    return None if examples is None else len(examples)


def _n_in_slices(step: Step, n: int, asked: Asked) -> int:
    """Rows that slices have made when they are put together: all `n` answers, and the verdicts on them of the
    judge that decides to stop."""
    if isinstance(step, GenerateStep):
        return n if step.slices else 0
    if isinstance(step, JudgeStep) and (slices := asked.answers(step).slices) and step.probe is None:
        return asked.n_verdicts(step, asked.judged_in_slices[slices[0]]) or 0
    return 0


def _read(step: Step) -> tuple[StepId, ...]:
    """Return the steps whose rows are part of the keys of a judge step's."""
    if not isinstance(step, JudgeStep):
        return ()
    return step.answers, *step.against.values(), *(judged.step for judged in step.verdicts.values())


def _may_be_left_out(step: Step, asked: Asked) -> bool:
    """Test whether asking may stop before a step's rows are made."""
    answers = asked.answers(step) if isinstance(step, JudgeStep) else step
    if not isinstance(answers, GenerateStep):
        return False
    return bool(answers.slices or (answers.items and answers.items.unless))
