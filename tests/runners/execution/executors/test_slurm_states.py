"""Ends of jobs that a cluster of one machine cannot be made to give: programs say what Slurm would say."""

import contextlib
import os
from collections.abc import Generator, Mapping, Sequence
from pathlib import Path

import pytest

from dsl.errors import XpError
from dsl.spec.budget import Budget, Charge
from dsl.spec.resources import Resources
from dsl.steps.steps import Step
from runners.execution.events import Ended, Event, Progress, Started
from runners.execution.executors import _slurm_cluster
from runners.execution.executors import slurm as executor
from runners.execution.executors._slurm_job import Job, Message
from runners.store.applies import alive, at_work
from runners.store.store import Store
from tests.xp.small_study import plan_of, write_study

pytestmark = [pytest.mark.slow]

SBATCH = """#!/bin/sh
for given; do case $given in
    --test-only) exit 0;;
    --job-name=*) name=${given#--job-name=};;
    --chdir=*) folder=${given#--chdir=};;
esac; done
n=$(($(wc -l < HERE/jobs) + 1))
if [ -e HERE/refused.$n ]; then echo none >> HERE/jobs; cat HERE/refused.$n >&2; exit 1; fi
cp "$folder/0.json" HERE/submitted.json
echo "$name" >> HERE/jobs
cp HERE/events.$n "$folder/0.jsonl" 2> /dev/null
echo $n
"""
SQUEUE = """#!/bin/sh
if [ -e HERE/down ]; then rm HERE/down; echo "Unable to contact slurm controller" >&2; exit 1; fi
n=0
while read name; do
    n=$((n + 1))
    [ -e HERE/states.$n ] && sed "s/^/$name|/" HERE/states.$n
done < HERE/jobs
exit 0
"""
SCANCEL = """#!/bin/sh
echo "$@" >> HERE/cancelled
"""


class Fake:
    """The programs, and what they say of the nth array."""

    def __init__(self, here: Path) -> None:
        self.here = here
        (here / "jobs").touch()
        for name, text in (("sbatch", SBATCH), ("squeue", SQUEUE), ("scancel", SCANCEL)):
            (here / name).write_text(text.replace("HERE", str(here)), "utf-8")
            (here / name).chmod(0o755)

    @property
    def n_submitted(self) -> int:
        return len((self.here / "jobs").read_text("utf-8").split())

    def say(self, n: int, states: str, events: Sequence[Event] = ()) -> None:
        if states:
            (self.here / f"states.{n}").write_text(states, "utf-8")
        lines = [Message(event=event).model_dump_json() + "\n" for event in events]  # type: ignore[arg-type]
        (self.here / f"events.{n}").write_text("".join(lines), "utf-8")


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fake:
    monkeypatch.setattr(executor, "_ASK_SECONDS", 0.0)
    monkeypatch.setattr(executor, "_LOOK_SECONDS", 0.0)
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    return Fake(tmp_path / "bin")


@pytest.fixture
def data(tmp_path: Path) -> dict[str, Step]:
    steps = plan_of(write_study(tmp_path / "study")).steps
    return {step_id: step for step_id, step in steps.items() if step.kind == "data"}


def run(
    todo: Mapping[str, Step], tmp_path: Path, resources: Mapping[str, Resources] | None = None
) -> list[Event]:
    events: list[Event] = []
    store = Store(tmp_path / "store")
    store.charge = Charge(experiment="small", budget=Budget(usd=3))
    with applying_to(store):
        executor.run(todo, (), store, events.append, 1, resources or {})
    return events


@contextlib.contextmanager
def applying_to(store: Store) -> Generator[None]:
    with at_work(store.root, "small", "0" * 64) as applying:
        store.apply = applying.name
        yield


def first_of(steps: Mapping[str, Step]) -> dict[str, Step]:
    step_id = next(iter(steps))
    return {step_id: steps[step_id]}


@pytest.mark.parametrize("state", [*sorted(_slurm_cluster.LOST), ""])
def test_what_slurm_ends_is_continued_and_fails_by_name_where_it_gets_no_further(
    state: str, fake: Fake, data: dict[str, Step], tmp_path: Path
) -> None:
    for n in range(1, 4):
        fake.say(n, state and f"0|{state}\n")
    events = run(first_of(data), tmp_path, {"data": Resources(time=7)})
    assert fake.n_submitted == executor.TRIES
    ended = events[-1]
    assert isinstance(ended, Ended)
    assert ended.status == "failed"
    more = "; raise `resources.data.time`" if state == "TIMEOUT" else ""
    said = state or "unknown to Slurm"
    assert ended.error == f"its job 3_0 is {said}, the last of 3 that got no further{more}"


def test_a_step_that_gets_further_each_time_is_continued_as_often_as_it_takes(
    fake: Fake, data: dict[str, Step], tmp_path: Path
) -> None:
    (step_id,) = todo = first_of(data)
    reached = [1, 4, 9, 9, 8]
    for n, done in enumerate(reached, 1):
        begun = Started(step_id, f"2026-01-01T00:00:0{n}.000000+00:00", n)
        fake.say(n, "0|TIMEOUT\n", [begun, Progress(step_id, done, 10)])
    events = run(todo, tmp_path)
    assert fake.n_submitted == 5, "three that reached 1, 4 and 9, and two that got no further than 9"
    ends = [(event.pid, event.status) for event in events if isinstance(event, Ended)]
    assert ends == [(n, "interrupted") for n in range(1, 5)] + [(5, "failed")]


def test_jobs_that_are_cancelled_together_before_they_begin_are_named_so(
    fake: Fake, data: dict[str, Step], tmp_path: Path
) -> None:
    for n in range(1, 4):
        fake.say(n, "N/A|CANCELLED\n")
    errors = [event.error or "" for event in run(data, tmp_path) if isinstance(event, Ended)]
    assert [error.partition(",")[0] for error in errors] == [f"its job 3_{i} is CANCELLED" for i in (0, 1)]


@pytest.mark.parametrize("state", sorted(_slurm_cluster.OVER))
def test_what_ends_by_itself_without_a_word_is_a_failed_step_and_not_continued(
    state: str, fake: Fake, data: dict[str, Step], tmp_path: Path
) -> None:
    fake.say(1, f"0|{state}\n")
    (ended,) = [event for event in run(first_of(data), tmp_path) if isinstance(event, Ended)]
    assert fake.n_submitted == 1
    assert (ended.error or "").startswith(f"its job 1_0 ended as {state} and left no ")


def test_a_controller_that_gives_no_answer_for_a_while_is_asked_again(
    fake: Fake, data: dict[str, Step], tmp_path: Path
) -> None:
    (fake.here / "down").touch()
    fake.say(1, "0|FAILED\n")
    (ended,) = [event for event in run(first_of(data), tmp_path) if isinstance(event, Ended)]
    assert "ended as FAILED" in (ended.error or "")
    assert not (fake.here / "down").exists()


def test_a_job_that_is_refused_waits_while_others_are_at_work_and_is_an_error_else(
    fake: Fake, data: dict[str, Step], tmp_path: Path
) -> None:
    fake.say(1, "0|PREEMPTED\n1|RUNNING\n")
    (fake.here / "refused.2").write_text("Batch job submission failed: QOSMaxSubmitJobPerUserLimit", "utf-8")
    fake.say(3, "0|FAILED\n")
    (fake.here / "refused.4").write_text("Batch job submission failed: Invalid account", "utf-8")
    events: list[Event] = []

    def on_event(event: Event) -> None:
        events.append(event)
        fake.say(1, "1|PREEMPTED\n")  # now that the other one has failed

    store = Store(tmp_path / "store")
    with applying_to(store), pytest.raises(XpError, match="Invalid account"):
        executor.run(data, (), store, on_event, 1, {})
    (ended,) = [event for event in events if isinstance(event, Ended)]
    assert "its job 3_0 ended as FAILED" in (ended.error or "")
    assert not list((tmp_path / "store").glob("slurm/*"))


def test_a_job_holds_the_budget_that_pays_and_no_gpu_that_was_not_asked_for(
    fake: Fake, data: dict[str, Step], tmp_path: Path
) -> None:
    fake.say(1, "0|FAILED\n")
    run(first_of(data), tmp_path, {"data": Resources(num_cpus=3)})
    job = Job.model_validate_json((fake.here / "submitted.json").read_bytes())
    assert job.task.charge == Charge(experiment="small", budget=Budget(usd=3))
    assert job.settings == {"OMP_NUM_THREADS": "3", "CUDA_VISIBLE_DEVICES": ""}


def test_a_machine_without_slurm_s_commands_says_so(
    data: dict[str, Step], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(XpError, match=r"there is no `sbatch` here\. Run `xp apply` on a machine from which"):
        run(data, tmp_path)


def test_options_are_those_of_sbatch() -> None:
    given = Resources(num_cpus=4, num_gpus=2, memory=(8 << 30) + 1, partition="gpu", time=90, account="lab")
    assert _slurm_cluster.options_of(given) == (
        "--cpus-per-task=4",
        "--gres=gpu:2",
        "--mem=8388609K",
        "--partition=gpu",
        "--time=90",
        "--account=lab",
    )
    assert _slurm_cluster.options_of(None) == ("--cpus-per-task=1",)


def test_gpus_must_be_said_where_the_nodes_have_some_and_a_model_is_loaded(fake: Fake) -> None:
    (fake.here / "sinfo").write_text("#!/bin/sh\necho 'gpu:a100:4'\n", "utf-8")
    (fake.here / "sinfo").chmod(0o755)
    told = (
        r"the Slurm cluster has GPUs, .* how many a sft step gets\. Write `resources: {sft: {num_gpus: 1}}`"
    )
    with pytest.raises(XpError, match=told):
        _slurm_cluster.check({"judge": Resources(num_gpus=1)}, ("sft", "judge"), {"sft", "judge"})
    _slurm_cluster.check({"sft": Resources(num_gpus=0)}, ("sft", "judge"), {"sft"})


def test_jobs_of_a_killed_apply_are_cancelled_and_those_of_one_at_work_are_not(
    fake: Fake, data: dict[str, Step], tmp_path: Path
) -> None:
    store = tmp_path / "store"
    with at_work(store, "other", "1" * 64) as other:
        for apply in (other.name, "killed"):
            (store / "slurm" / apply / f"xp-data-of-{apply}").mkdir(parents=True)
        fake.say(1, "0|FAILED\n")
        run(first_of(data), tmp_path)
        assert "--name=xp-data-of-killed" in (fake.here / "cancelled").read_text("utf-8")
        assert other.name not in (fake.here / "cancelled").read_text("utf-8")
        assert [place.name for place in (store / "slurm").iterdir()] == [other.name]
        assert [place.name for place in (store / "slurm" / other.name).iterdir()] == [
            f"xp-data-of-{other.name}"
        ]


def test_jobs_of_an_apply_that_begins_while_those_of_killed_ones_are_cancelled_are_let_be(
    fake: Fake, data: dict[str, Step], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = tmp_path / "store" / "slurm" / "begun" / "xp-data-of-begun"

    def alive_as_one_begins(root: Path) -> frozenset[str]:
        found = alive(root)
        begun.mkdir(parents=True)
        return found

    monkeypatch.setattr(executor, "alive", alive_as_one_begins)
    fake.say(1, "0|FAILED\n")
    run(first_of(data), tmp_path)
    assert begun.is_dir()
