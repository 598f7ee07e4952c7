import random
from collections.abc import Mapping

from hypothesis import given
from hypothesis import strategies as st

from dsl.steps.steps import Step
from runners.execution.schedule import Schedule


class StepResult(Step):
    """A step that is nothing but its place in a plan."""

    kind: str = "made"
    after: tuple[str, ...] = ()
    model: str = ""

    @property
    def inputs(self) -> tuple[str, ...]:
        return self.after

    @property
    def affinity(self) -> str:
        return self.model


def drained(schedule: Schedule, loaded: str = "") -> list[str]:
    """The order in which one worker at a time would run it."""
    order: list[str] = []
    while step_id := schedule.take(loaded=[loaded], busy=[]):
        order.append(step_id)
        schedule.done(step_id)
    return order


STUDY: Mapping[str, StepResult] = {
    "data": StepResult(),
    "answers-a1": StepResult(after=("data",), model="a"),
    "judged-a1": StepResult(after=("answers-a1", "data")),
    "answers-b1": StepResult(after=("data",), model="b"),
    "judged-b1": StepResult(after=("answers-b1", "data")),
    "answers-a2": StepResult(after=("data",), model="a"),
    "judged-a2": StepResult(after=("answers-a2", "data")),
}


def test_steps_that_load_nothing_go_before_those_that_load_a_model() -> None:
    schedule = Schedule(STUDY, done=())
    assert schedule.take(loaded=[], busy=[]) == "data"
    schedule.done("data")
    assert schedule.take(loaded=[], busy=[]) == "answers-a1"
    schedule.done("answers-a1")
    assert schedule.take(loaded=["a"], busy=[]) == "judged-a1"


def test_a_loaded_model_is_used_up_before_another_is_loaded() -> None:
    schedule = Schedule(
        {name: step for name, step in STUDY.items() if name.startswith("answers")}, done=("data",)
    )
    assert schedule.take(loaded=["a"], busy=[]) == "answers-a1"
    assert schedule.take(loaded=["a"], busy=[]) == "answers-a2"
    assert schedule.take(loaded=["a"], busy=[]) == "answers-b1"


def test_a_second_worker_takes_another_model_and_only_then_the_same() -> None:
    todo = {name: step for name, step in STUDY.items() if name.startswith("answers")}
    schedule = Schedule(todo, done=("data",))
    assert schedule.take(loaded=[], busy=[]) == "answers-a1"
    assert schedule.take(loaded=[], busy=["a"]) == "answers-b1"
    assert schedule.take(loaded=[], busy=["a", "b"]) == "answers-a2"
    assert schedule.take(loaded=[], busy=["a", "b", "a"]) is None


TRAINED: Mapping[str, StepResult] = {
    "plain": StepResult(model="server"),
    "sft": StepResult(model="weights"),
    "tuned": StepResult(after=("sft",), model="server"),
    "dpo": StepResult(after=("sft",), model="weights"),
    "of-dpo": StepResult(after=("dpo",), model="server"),
    "judged": StepResult(after=("plain", "of-dpo"), model="judge"),
}


def one_worker(todo: Mapping[str, StepResult]) -> list[str]:
    """The models that one worker loads, one after another."""
    schedule, loads = Schedule(todo, done=()), [""]
    while step_id := schedule.take(loaded=[loads[-1]], busy=[]):
        if todo[step_id].model not in ("", loads[-1]):
            loads.append(todo[step_id].model)
        schedule.done(step_id)
    assert schedule.is_over()
    return loads[1:]


def test_a_model_that_waits_for_another_is_loaded_after_it_and_once() -> None:
    assert one_worker(TRAINED) == ["weights", "server", "judge"]
    two = {f"{name} {n}": StepResult(after=tuple(f"{one} {n}" for one in step.after), model=model)
           for n in (1, 2) for name, step in TRAINED.items()
           for model in (step.model if step.model == "judge" else f"{step.model} {n}",)}  # fmt: skip
    assert one_worker(two) == ["weights 1", "server 1", "weights 2", "server 2", "judge"]


def test_models_that_wait_for_each_other_are_taken_in_the_plans_order() -> None:
    todo = {
        "a": StepResult(model="server"),
        "level-a": StepResult(after=("a",), model="judge"),
        "b": StepResult(after=("level-a",), model="server"),
        "level-b": StepResult(after=("b",), model="judge"),
    }
    assert one_worker(todo) == ["server", "judge", "server", "judge"]


def test_a_second_worker_shares_a_model_before_it_loads_one_that_waits_for_it() -> None:
    todo = {**TRAINED, "other-sft": StepResult(model="weights")}
    schedule = Schedule(todo, done=())
    assert schedule.take(loaded=[], busy=[]) == "sft"
    assert schedule.take(loaded=[], busy=["weights"]) == "other-sft"
    assert schedule.take(loaded=[], busy=["weights", "weights"]) == "plain"


def test_a_model_of_which_no_more_copies_have_room_is_not_handed_out() -> None:
    todo = {"one": StepResult(model="a"), "two": StepResult(model="a"), "other": StepResult(model="b")}
    schedule = Schedule(todo, done=())
    assert schedule.take(loaded=[], busy=[]) == "one"
    assert schedule.take(loaded=[], busy=["a"], full=["a"]) == "other"
    assert schedule.take(loaded=[], busy=["a", "b"], full=["a"]) is None
    assert schedule.take(loaded=["a"], busy=["b"]) == "two"


def test_one_worker_is_kept_for_steps_that_load_nothing_and_the_others_for_models() -> None:
    todo = {"j1": StepResult(), "j2": StepResult(), "m1": StepResult(model="a")}
    schedule = Schedule(todo, done=())
    assert schedule.take(loaded=[], busy=[]) == "j1"
    assert schedule.take(loaded=[], busy=[""]) == "m1"
    assert schedule.take(loaded=[], busy=["", "a"]) == "j2"


def test_what_depends_on_a_failed_step_is_skipped_with_the_reason_and_the_rest_runs() -> None:
    schedule = Schedule(STUDY, done=())
    assert schedule.take(loaded=[], busy=[]) == "data"
    schedule.done("data")
    assert schedule.take(loaded=[], busy=[]) == "answers-a1"
    assert schedule.failed("answers-a1") == {"judged-a1": "answers-a1 failed"}
    assert drained(schedule) == ["answers-b1", "judged-b1", "answers-a2", "judged-a2"]
    assert schedule.is_over()


def test_a_failure_reaches_what_hangs_on_it_by_way_of_others_once() -> None:
    schedule = Schedule(STUDY, done=())
    schedule.take(loaded=[], busy=[])
    assert list(schedule.failed("data").values()) == ["data failed"] * 6
    assert schedule.is_over()
    assert schedule.take(loaded=[], busy=[]) is None


def test_a_step_that_needs_what_is_neither_done_nor_to_be_made_is_skipped() -> None:
    schedule = Schedule(
        {"a": StepResult(after=("gone",)), "b": StepResult(after=("a",)), "c": StepResult(after=("here",))},
        done=("here",),
    )
    assert schedule.without_input() == {"a": "gone is not done", "b": "gone is not done"}
    assert drained(schedule) == ["c"]
    assert schedule.is_over()


def test_it_knows_whether_a_model_is_needed_any_more() -> None:
    schedule = Schedule(STUDY, done=("data",))
    schedule.take(loaded=[], busy=[])
    schedule.done("data")
    assert schedule.has_left("b")
    schedule.failed("answers-b1")
    assert not schedule.has_left("b")
    assert schedule.has_left("a")
    assert not schedule.has_left("nobody's")


@given(seed=st.integers(0, 10_000), n_steps=st.integers(0, 30), jobs=st.integers(1, 4))
def test_every_step_ends_once_after_its_inputs_whatever_fails(seed: int, n_steps: int, jobs: int) -> None:
    chance = random.Random(seed)
    todo: dict[str, StepResult] = {}
    for number in range(n_steps):
        inputs = tuple(sorted(chance.sample(list(todo), k=min(len(todo), chance.randint(0, 3)))))
        todo[f"s{number}"] = StepResult(after=inputs, model=chance.choice(["", "a", "b"]))
    schedule = Schedule(todo, done=())
    ended: dict[str, str] = {}
    running: list[str] = []
    while not schedule.is_over():
        while len(running) < jobs and (
            step_id := schedule.take(loaded=["a"], busy=[todo[s].model for s in running])
        ):
            assert all(ended[needed] == "done" for needed in todo[step_id].inputs)
            running.append(step_id)
        assert running
        step_id = running.pop(chance.randrange(len(running)))
        assert step_id not in ended
        if chance.random() < 0.8:
            ended[step_id] = "done"
            schedule.done(step_id)
        else:
            ended[step_id] = "failed"
            for hanging in schedule.failed(step_id):
                assert hanging not in ended
                ended[hanging] = "skipped"
    assert set(ended) == set(todo)
    for step_id, how in ended.items():
        below = {ended[needed] for needed in todo[step_id].inputs}
        assert (how == "skipped") == bool(below - {"done"})
