"""The time left, from beginning to end of an apply whose steps take known times."""

import heapq
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from dsl.data.records import Outcome
from dsl.plan.diff import Diff, diff
from runners.execution.events import Ended, Event, Progress, Started
from runners.execution.schedule import Schedule
from tests.xp.render.test_pace import Clock
from tests.xp.small_study import plan_of
from xp.render.pace import Pace

SPECS = Path(__file__).parents[3] / "specs"

AT = "2026-01-02T03:04:05+00:00"

SECONDS = {"data": 0.1, "judge": 3.0, "generate": 10.0, "reference_logps": 12.0, "dpo": 30.0, "sft": 50.0}
"""Kind of step -> what it takes, more or less."""

LOAD = 15.0
"""Seconds that the first step of a process and a model takes besides."""

N_ROWS = 16


@pytest.fixture(scope="module")
def planned() -> Diff:
    return diff(plan_of(SPECS / "showcase.yaml"), ())


def apply(planned: Diff, jobs: int) -> Iterator[tuple[float, Event]]:
    """Yield the events of an apply, each with its time, as its schedule hands steps to processes."""
    steps, random = planned.plan.steps, Random(7)
    schedule = Schedule(steps, ())
    now, to_come = 0.0, list[tuple[float, int, Event]]()
    loaded, busy = dict.fromkeys(range(jobs), ""), dict[str, int]()

    def begin(pid: int, step_id: str) -> None:
        model = steps[step_id].affinity
        load = LOAD if model and loaded[pid] != model else 0.0
        loaded[pid] = model or loaded[pid]
        busy[step_id] = pid
        seconds = SECONDS[steps[step_id].kind] * random.uniform(0.7, 1.3)
        ends = now + load + seconds
        events: list[tuple[float, Event]] = [
            (now, Started(step_id, AT, pid)),
            (now, Progress(step_id, 0, N_ROWS)),
        ]
        events += [
            (ends - seconds * (N_ROWS - n) / N_ROWS, Progress(step_id, n, N_ROWS))
            for n in range(1, N_ROWS + 1)
        ]
        outcome = Outcome(step_id=step_id, seconds=load + seconds, n_rows=N_ROWS, load_seconds=load)
        events.append((ends, Ended(step_id, AT, pid, load + seconds, "done", outcome=outcome)))
        for at, event in events:
            heapq.heappush(to_come, (at, next(number), event))

    number = iter(range(10**6))
    while not schedule.is_over():
        for pid in {*loaded} - {*busy.values()}:
            of_others = [steps[step_id].affinity for step_id in busy]
            if step_id := schedule.take(loaded=[loaded[pid]], busy=of_others):
                begin(pid, step_id)
        now, _, event = heapq.heappop(to_come)
        if isinstance(event, Ended):
            del busy[event.step_id]
            schedule.done(event.step_id)
        yield now, event


@pytest.mark.parametrize("jobs", [1, 2])
def test_from_a_quarter_of_the_way_on_the_time_left_is_right_within_a_fifth(planned: Diff, jobs: int) -> None:
    events = list(apply(planned, jobs))
    whole = events[-1][0]
    clock = Clock()
    pace = Pace(planned, clock)
    told: list[tuple[float, float]] = []
    """Part of the time that is over, and the time left as a multiple of what it was."""
    for clock.now, event in events:
        pace.take(event)
        left = pace.seconds_left()
        if isinstance(event, Progress) and 0.25 <= clock.now / whole <= 0.9:
            assert left is not None
            told.append((clock.now / whole, left / (whole - clock.now)))
    assert [one for one in told if not 1 / 1.2 <= one[1] <= 1.2] == []
    assert told[-1][0] > 0.85
