"""The time left is estimated from what the steps before took, of the same kind and model where there are."""

from pathlib import Path
from typing import get_args

import pytest

from dsl.data.records import Outcome
from dsl.plan.diff import Diff
from dsl.steps.steps import AnyStep
from dsl.values import StepId
from runners.execution.events import Ended, Progress, Skipped, Started
from tests.xp.small_study import diff_of, write_study
from xp.render.pace import VERBS, WEIGHTS, Pace

AT = "2026-01-02T03:04:05+00:00"


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def planned(tmp_path: Path) -> Diff:
    return diff_of(write_study(tmp_path / "study", languages=("en", "fr")), tmp_path / "store")


def ids(planned: Diff, kind: str) -> tuple[StepId, ...]:
    return tuple(step_id for step_id in planned.todo if step_id.startswith(kind))


def ended(step_id: StepId, seconds: float, n_rows: int = 20, n_reused: int = 0) -> Ended:
    outcome = Outcome(step_id=step_id, seconds=seconds, n_rows=n_rows, n_reused=n_reused)
    return Ended(step_id, AT, 7, seconds, "done", outcome=outcome)


def test_nothing_is_said_of_the_time_left_before_a_row_is_new(planned: Diff) -> None:
    pace = Pace(planned, Clock())
    assert pace.seconds_left() is None
    first, *_ = ids(planned, "generate")
    pace.take(Started(first, AT, 7))
    pace.take(Progress(first, 10, 20))
    assert pace.seconds_left() is None, "reused rows say nothing"


def test_steps_to_come_take_what_those_of_their_kind_took_and_others_in_proportion(planned: Diff) -> None:
    pace = Pace(planned, Clock())
    first, second = ids(planned, "generate")
    pace.take(ended(first, 14.0))
    second_per_weight = 14.0 / WEIGHTS["generate"]
    others = (2 * WEIGHTS["data"] + 2 * WEIGHTS["judge"]) * second_per_weight
    assert pace.seconds_left() == pytest.approx(14.0 + others)
    for step_id in (*ids(planned, "data"), *ids(planned, "judge")):
        pace.take(ended(step_id, 1.0))
    assert pace.seconds_left() == pytest.approx(14.0)
    pace.take(Skipped(second, "its input failed"))
    assert pace.seconds_left() == 0.0


def test_a_step_at_work_takes_what_its_new_rows_took_and_reused_ones_do_not_count(planned: Diff) -> None:
    clock = Clock()
    pace = Pace(planned, clock)
    for step_id in planned.todo:
        if step_id not in ids(planned, "generate"):
            pace.take(ended(step_id, 0.0))
    first, second = ids(planned, "generate")
    pace.take(Skipped(second, "its input failed"))
    pace.take(Started(first, AT, 7))
    pace.take(Progress(first, 10, 20))
    clock.now = 30.0
    pace.take(Progress(first, 13, 20))
    assert pace.seconds_left() == pytest.approx(7 * 10.0)


def test_steps_at_once_share_the_time(planned: Diff) -> None:
    pace = Pace(planned, Clock())
    for step_id in planned.todo:
        if step_id not in ids(planned, "generate"):
            pace.take(ended(step_id, 2.0))
    alone = pace.seconds_left()
    for pid, step_id in enumerate(ids(planned, "generate")):
        pace.take(Started(step_id, AT, pid))
    assert alone is not None
    assert pace.seconds_left() == pytest.approx(alone / 2)


def test_a_step_whose_rows_were_all_reused_says_nothing_of_the_others(planned: Diff) -> None:
    pace = Pace(planned, Clock())
    first, _ = ids(planned, "generate")
    pace.take(ended(first, 0.01, n_reused=20))
    assert pace.seconds_left() is None


def test_a_bar_counts_steps_by_their_weight_and_rows_within_them(planned: Diff) -> None:
    pace = Pace(planned, Clock())
    generate, judge = ids(planned, "generate")[0], ids(planned, "judge")[0]
    assert pace.share((generate, judge)) == 0.0
    pace.take(Started(generate, AT, 7))
    pace.take(Progress(generate, 5, 20))
    weight = WEIGHTS["generate"] + WEIGHTS["judge"]
    assert pace.share((generate, judge)) == pytest.approx(WEIGHTS["generate"] / 4 / weight)
    pace.take(ended(generate, 1.0))
    assert pace.share((generate, judge)) == pytest.approx(WEIGHTS["generate"] / weight)
    pace.take(ended(judge, 1.0))
    assert pace.share(planned.todo) < pace.share((generate, judge)) == 1.0


def test_every_kind_of_step_has_a_weight_and_a_word() -> None:
    kinds = {step.model_fields["kind"].default for step in get_args(get_args(AnyStep)[0])}
    assert {*WEIGHTS} == {*VERBS} == kinds
