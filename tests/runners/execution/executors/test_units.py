"""Units of work: events of units in, events of steps out."""

from pathlib import Path

import pytest

from dsl.data.records import Outcome
from dsl.steps.steps import Step
from dsl.values import StepId
from runners.execution.events import Awaited, Ended, Event, Progress, Skipped, Started
from runners.execution.executors import _queue
from runners.execution.executors._queue import Queue
from runners.execution.executors._units import Unit, Units
from runners.store.applies import Claims
from runners.store.store import Finished, Store
from tests.xp.small_study import plan_of, step_ids, write_study


class Handed:
    """Units of a small study's generate step in shards of four, its data being there."""

    def __init__(self, folder: Path) -> None:
        plan = plan_of(write_study(folder / "study", languages=("en",), n_items=10))
        (data,), (self.generate,) = step_ids(plan, "data"), step_ids(plan, "generate")
        store = Store(folder / "store")
        store.step_folder(data).mkdir(parents=True)
        (store.step_folder(data) / "examples.jsonl").write_text("{}\n" * 10, "utf-8")
        todo: dict[StepId, Step] = {i: step for i, step in plan.steps.items() if i != data}
        self.events: list[Event] = []
        self.queue = Queue(todo, (data,), store, self.events.append, {})
        self.units = Units(self.queue, {"generate": 4})

    def next(self) -> Unit:
        unit = self.units.next()
        assert unit is not None
        return unit

    def begin(self, unit: Unit, pid: int = 1) -> Started:
        started = Started(unit[0], f"2026-01-01T00:00:00.00000{pid}+00:00", pid, "node")
        self.units.hear(unit, started)
        return started

    def failed(self, unit: Unit, is_stopped: bool = False) -> Ended:
        status = "stopped" if is_stopped else "failed"
        return Ended(unit[0], "2026-01-01T00:00:00.000001+00:00", 1, 1.0, status, error="no")


@pytest.fixture
def handed(tmp_path: Path) -> Handed:
    return Handed(tmp_path)


def test_a_step_in_shards_begins_once_and_its_progress_is_that_of_all(handed: Handed) -> None:
    parts = [handed.next() for _ in range(3)]
    assert parts == [(handed.generate, part) for part in (range(4), range(4, 8), range(8, 10))]
    assert handed.units.next() is None, "what is judged waits"
    assert handed.units.n_waiting == 3
    for unit, done in ((parts[1], 4), (parts[0], 1), (parts[1], 4), (parts[2], 2)):
        handed.begin(unit)
        handed.units.hear(unit, Progress(unit[0], done, 4))
    assert handed.units.n_waiting == 0
    begun = [event for event in handed.events if isinstance(event, Started)]
    assert len(begun) == 1
    told = [(event.done, event.total) for event in handed.events if isinstance(event, Progress)]
    assert told == [(4, 10), (5, 10), (5, 10), (7, 10)]


@pytest.mark.parametrize("is_stopped", [False, True])
def test_a_shard_that_fails_ends_its_step_and_calls_back_the_others(handed: Handed, is_stopped: bool) -> None:
    parts = [handed.next() for _ in range(3)]
    handed.begin(parts[1])
    called_back = handed.units.end(parts[1], handed.failed(parts[1], is_stopped))
    assert set(called_back) == {parts[0], parts[2]}
    (ended,) = [event for event in handed.events if isinstance(event, Ended)]
    assert (ended.status, ended.error) == (("stopped", "no") if is_stopped else ("failed", "rows 4 to 8: no"))
    assert len([event for event in handed.events if isinstance(event, Skipped)]) == 1
    assert handed.queue.schedule.is_over()
    before = list(handed.events)
    handed.begin(parts[0])
    assert handed.events == before, "word of what was called back is passed over"


def test_a_unit_that_never_said_a_word_fails_with_the_error_that_is_known(handed: Handed) -> None:
    for _ in range(3):
        unit = handed.next()
    handed.units.end(unit, "the node is lost")
    (ended,) = [event for event in handed.events if isinstance(event, Ended)]
    assert ended.error == "rows 8 to 10: the node is lost"
    assert isinstance(handed.events[0], Started), "what ends has begun"


def test_a_lost_attempt_is_interrupted_and_its_unit_waits_again(tmp_path: Path) -> None:
    plan = plan_of(write_study(tmp_path / "study", languages=("en",)))
    (data,) = step_ids(plan, "data")
    events: list[Event] = []
    queue = Queue({data: plan.steps[data]}, (), Store(tmp_path / "store"), events.append, {})
    units = Units(queue, {})
    unit = units.next()
    assert unit == (data, None)
    for pid in (1, 2):
        units.hear(unit, Started(data, f"2026-01-01T00:00:00.00000{pid}+00:00", pid, "node"))
        units.lose(unit, f"lost {pid}")
        assert units.n_waiting == 1
    units.hear(unit, Started(data, "2026-01-01T00:00:00.000003+00:00", 3, "node"))
    units.stop()
    ends = [(event.pid, event.status, event.error) for event in events if isinstance(event, Ended)]
    assert ends == [
        (1, "interrupted", "lost 1"),
        (2, "interrupted", "lost 2"),
        (3, "interrupted", "interrupted"),
    ]


def test_a_step_of_another_apply_is_no_unit_until_that_one_lets_go_of_it(
    handed: Handed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_queue, "LOOK_SECONDS", 0.0)
    other = Claims(handed.queue.store.root)
    assert other.take(handed.generate)
    assert [handed.units.next(), handed.units.next()] == [None, None]
    assert [event.step_id for event in handed.events if isinstance(event, Awaited)] == [handed.generate]
    other.drop(handed.generate)
    assert handed.next() == (handed.generate, range(4))
    assert not other.take(handed.generate)
    handed.begin((handed.generate, range(4)))
    handed.units.end((handed.generate, range(4)), handed.failed((handed.generate, range(4))))
    assert other.take(handed.generate), "a step is let go of when its attempt is over"
    other.drop_all()


def test_a_step_that_somebody_else_has_finished_when_its_shards_are_is_done(
    handed: Handed, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs = Outcome(step_id=handed.generate, seconds=1.0, n_rows=10)

    def combine(*_: object) -> Outcome:
        raise Finished(theirs)

    monkeypatch.setattr("runners.execution.shards.combine", combine)
    for unit in [handed.next() for _ in range(3)]:
        ended = Ended(unit[0], "2026-01-01T00:00:00.000001+00:00", 1, 1.0, "done", outcome=theirs)
        handed.begin(unit)
        handed.units.end(unit, ended)
    assert [(e.status, e.outcome) for e in handed.events if isinstance(e, Ended)] == [("done", theirs)]
