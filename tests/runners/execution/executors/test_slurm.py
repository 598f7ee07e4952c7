"""Steps as jobs of a real Slurm on this machine, cancelled, killed, or without what is asked for."""

import contextlib
import json
import os
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from dsl.errors import XpError
from dsl.spec.resources import Resources
from dsl.steps.steps import Step
from runners.execution.events import Ended, Event, Progress, Started
from runners.execution.executors import local
from runners.execution.executors import slurm as executor
from runners.store.applies import at_work
from runners.store.store import Store
from tests.runners.execution.executors import slurm_cluster
from tests.runners.execution.executors.cluster_runs import ends, environment_of, losses, run_here, tiny_study
from tests.runners.execution.executors.slurm_cluster import said
from tests.xp.small_study import (
    HANG_SECONDS,
    all_rows,
    begin_apply,
    plan_of,
    rows_of,
    step_ids,
    wait_for,
    workers_of,
    write_study,
)

KEY = "a-key-that-is-written-nowhere-4711"

pytestmark = [pytest.mark.slow, pytest.mark.other_tools]


@dataclass
class Cluster:
    folder: Path
    variables: Mapping[str, str]

    def jobs(self, what: str) -> list[list[str]]:
        """Jobs that wait or run, in the fields of squeue's format."""
        lines = said(self.variables, "squeue", "-h", "-r", "-o", what).splitlines()
        return [line.split("|") for line in lines]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    if reason := slurm_cluster.missing():
        pytest.skip(reason)
    folder = tmp_path_factory.mktemp("slurm")
    with slurm_cluster.running(folder) as variables, pytest.MonkeyPatch.context() as patch:
        for name, value in {**variables, "SOME_KEY": KEY}.items():
            patch.setenv(name, value)
        patch.setattr(executor, "_ASK_SECONDS", 0.5)
        yield Cluster(folder, variables)


def run(
    todo: Mapping[str, Step],
    store: Path,
    resources: Mapping[str, Resources] | None = None,
    watch: Callable[[Event], None] = lambda event: None,
    done: tuple[str, ...] = (),
) -> list[Event]:
    """Every event, each shown to `watch` when it comes."""
    events: list[Event] = []

    def on_event(event: Event) -> None:
        events.append(event)
        watch(event)

    held = Store(store)
    with at_work(store, "small", "0" * 64) as applying:
        held.apply = applying.name
        executor.run(todo, done, held, on_event, 1, resources or {})
    return events


@dataclass
class Ran:
    """A study that was run, and what was seen of its jobs."""

    rows: dict[str, list[dict[str, object]]]
    expected: dict[str, list[dict[str, object]]]
    events: list[Event]
    jobs: dict[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    """Kind of step -> name, partition, processors and memory of its last array."""
    environments: dict[str, dict[str, str]] = field(default_factory=dict[str, dict[str, str]])
    left: list[Path] = field(default_factory=list[Path])


@pytest.fixture(scope="module")
def ran(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Ran:
    folder = tmp_path_factory.mktemp("ran")
    plan = plan_of(write_study(folder / "study", n_items=6, seconds_per_row=0.05))
    found = Ran({}, {}, [])

    def look(event: Event) -> None:
        if isinstance(event, Started):
            for name, *fields in cluster.jobs("%j|%P|%C|%m"):
                found.jobs[name.split("-")[1]] = (name, *fields)
            with contextlib.suppress(OSError):  # over already
                for pid in workers_of(folder / "store"):
                    seen = environment_of(pid)
                    found.environments[seen["SLURM_JOB_NAME"].split("-")[1]] = seen

    resources = {
        "generate": Resources(num_cpus=2, num_gpus=1, memory=300 << 20, partition="long", shard_rows=4),
        "judge": Resources(time=5),
    }
    found.events = run(plan.steps, folder / "store", resources, look)
    run_here(plan.steps, folder / "here")
    found.rows, found.expected = all_rows(folder / "store"), all_rows(folder / "here")
    found.left = list((folder / "store").glob("slurm"))
    return found


def test_rows_of_jobs_and_of_shards_are_those_of_one_machine(ran: Ran) -> None:
    assert {event.status for event in ran.events if isinstance(event, Ended)} == {"done"}
    assert ran.rows == ran.expected
    assert len(ran.rows) == 6
    outcomes = [event.outcome for event in ran.events if isinstance(event, Ended)]
    assert sorted(o.facts["n_shards"] for o in outcomes if o and "n_shards" in o.facts) == [2, 2]
    assert ran.left == []


def test_each_kind_of_step_is_given_what_the_spec_says(ran: Ran) -> None:
    assert ran.jobs["generate"][1:] == ("long", "2", "300M")
    assert ran.jobs["data"][1:] == ("short", "1", "500M")
    assert ran.environments["generate"]["OMP_NUM_THREADS"] == "2"
    assert ran.environments["generate"]["CUDA_VISIBLE_DEVICES"] in ("0", "1")
    assert ran.environments["data"]["CUDA_VISIBLE_DEVICES"] == ""


def test_nothing_of_this_environment_reaches_a_job_or_slurm_s_files(cluster: Cluster, ran: Ran) -> None:
    assert all("SOME_KEY" not in seen for seen in ran.environments.values())
    files = [file for file in cluster.folder.rglob("*") if file.is_file()]
    assert [file for file in files if KEY.encode() in file.read_bytes()] == []


def test_a_cancelled_job_is_followed_by_another_that_loses_and_doubles_no_row(
    cluster: Cluster, tmp_path: Path
) -> None:
    plan = plan_of(write_study(tmp_path / "study", languages=("en",), n_items=40, seconds_per_row=0.1))
    (generate,) = step_ids(plan, "generate")
    cancelled: list[int] = []

    def cancel(event: Event) -> None:
        if isinstance(event, Progress) and event.step_id == generate and event.done >= 3 and not cancelled:
            cancelled.append(event.done)
            (folder,) = (tmp_path / "store" / "slurm").glob("*/xp-generate-*")
            said(cluster.variables, "scancel", f"--name={folder.name}")

    events = run(plan.steps, tmp_path / "store", watch=cancel)
    run_here(plan.steps, tmp_path / "here")
    first, last = ends(events, generate)
    assert (first.status, last.status) == ("interrupted", "done")
    assert "is CANCELLED; another goes on from there" in (first.error or "")
    begun = [event for event in events if isinstance(event, Started) and event.step_id == generate]
    assert [(e.pid, e.started_at) for e in begun] == [(e.pid, e.started_at) for e in (first, last)]
    assert last.outcome is not None
    assert cancelled[0] <= last.outcome.n_reused < 40
    assert all_rows(tmp_path / "store") == all_rows(tmp_path / "here")


def test_training_whose_job_is_cancelled_resumes_from_its_checkpoint(
    cluster: Cluster, tmp_path: Path
) -> None:
    training = {
        "max_steps": 40,  # word of a checkpoint arrives while it is trained, however busy the machine is
        "save_steps": 4,
        "per_device_train_batch_size": 4,
        "learning_rate": 1.0e-3,
        "max_length": 96,
    }
    plan = tiny_study(
        tmp_path / "study", methods={"sft": {"method": "sft", "train": "instructions", "training": training}}
    )
    (sft,) = step_ids(plan, "sft")
    todo = {step_id: step for step_id, step in plan.steps.items() if step.kind in ("data", "sft")}
    cancelled: list[str] = []

    def cancel(event: Event) -> None:
        checkpoints = sorted(tmp_path.glob(f"store/steps/{sft}.tmp/trainer/checkpoint-*/whole"))
        if isinstance(event, Progress) and event.step_id == sft and checkpoints and not cancelled:
            cancelled.append(checkpoints[-1].parent.name)
            (folder,) = (tmp_path / "store" / "slurm").glob("*/xp-sft-*")
            said(cluster.variables, "scancel", f"--name={folder.name}")

    resources = {"sft": Resources(num_cpus=1, num_gpus=0, memory=1 << 30)}
    events = run(todo, tmp_path / "store", resources, cancel)
    run_here(todo, tmp_path / "here")
    assert cancelled
    first, last = ends(events, sft)
    assert (first.status, last.status) == ("interrupted", "done")
    assert last.outcome is not None
    assert int(str(last.outcome.facts["resumed_from_step"])) >= 4
    assert losses(tmp_path / "store", sft) == losses(tmp_path / "here", sft)


def test_a_step_that_fails_is_a_failure_by_name_with_its_log(cluster: Cluster, tmp_path: Path) -> None:
    plan = plan_of(write_study(tmp_path / "study", languages=("en",), n_items=8))
    (data,), (generate,) = step_ids(plan, "data"), step_ids(plan, "generate")
    local.run({data: plan.steps[data]}, (), Store(tmp_path / "store"), lambda event: None, 1, {})
    examples = tmp_path / "store" / "steps" / data / "examples.jsonl"
    examples.write_text(examples.read_text("utf-8") + "no row\n", "utf-8")
    todo = {step_id: step for step_id, step in plan.steps.items() if step_id != data}
    for resources in ({}, {"generate": Resources(shard_rows=3)}):
        (failed,) = ends(run(todo, tmp_path / "store", resources, done=(data,)), generate)
        assert failed.status == "failed"
        assert "examples.jsonl has 9 of the 8 rows it was written with" in (failed.error or "")
        log = tmp_path / "store" / "steps" / f"{generate}.tmp" / "log.txt"
        assert "is damaged" in log.read_text("utf-8")


def test_a_job_that_cannot_begin_is_a_failed_step_with_what_it_printed(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "/no/such/python")  # on the nodes
    plan = plan_of(write_study(tmp_path / "study", languages=("en",)))
    (data,) = step_ids(plan, "data")
    (failed,) = ends(run(plan.steps, tmp_path / "store"), data)
    assert "ended as FAILED: " in (failed.error or "")
    assert "/no/such/python" in (failed.error or "")
    log = tmp_path / "store" / "steps" / f"{data}.tmp" / "log.txt"
    assert "/no/such/python" in log.read_text("utf-8")


def test_a_job_whose_apply_holds_the_store_no_more_writes_nothing(cluster: Cluster, tmp_path: Path) -> None:
    plan = plan_of(write_study(tmp_path / "study", languages=("en",)))
    (data,) = step_ids(plan, "data")
    events: list[Event] = []
    store = tmp_path / "store"
    store.mkdir()
    (store / "lock").touch()
    held = Store(store)
    held.apply = "ended"  # and nobody holds its lock
    executor.run({data: plan.steps[data]}, (), held, events.append, 1, {})
    (failed,) = ends(events, data)
    assert "is held by nobody: the apply that submitted this job has ended" in (failed.error or "")
    assert {path.name for path in (store / "steps" / f"{data}.tmp").iterdir()} == {"log.txt"}


def test_what_slurm_refuses_is_said_before_anything_is_begun(cluster: Cluster, tmp_path: Path) -> None:
    plan = plan_of(write_study(tmp_path / "study", languages=("en",)))
    for asked, told in (
        (Resources(num_cpus=64), r"\(--cpus-per-task=64\): .*Requested node configuration is not available"),
        (Resources(partition="nix"), r"\(--cpus-per-task=1 --partition=nix\): .*[Ii]nvalid partition"),
    ):
        with pytest.raises(XpError, match=f"Slurm does not take a job for a generate step {told}"):
            run(plan.steps, tmp_path / "store", {"generate": asked})
    assert not (tmp_path / "store" / "slurm").exists()


def rows_at_work(store: Path) -> bool:
    return any(len(rows_of(folder)) >= 3 for folder in (store / "steps").glob("generate-*.tmp"))


def test_ctrl_c_cancels_all_jobs_and_the_next_apply_resumes(cluster: Cluster, tmp_path: Path) -> None:
    spec = write_study(tmp_path / "study", languages=("en",), n_items=40, seconds_per_row=0.2)
    store = tmp_path / "store"
    process = begin_apply(spec, store, "--set", "executor=slurm")
    wait_for(lambda: rows_at_work(store))
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=HANG_SECONDS)
    assert process.returncode == 130, out + err
    wait_for(lambda: not workers_of(store) and not cluster.jobs("%j"))
    assert not list((store / "runs").glob("*.begun"))
    assert not (store / "slurm").exists()
    process = begin_apply(spec, store)  # on this machine
    out, err = process.communicate(timeout=HANG_SECONDS)
    assert process.returncode == 0, out + err
    (generate,) = step_ids(plan_of(spec), "generate")
    outcome = json.loads((store / "steps" / generate / "outcome.json").read_text("utf-8"))
    assert (outcome["n_rows"], outcome["n_reused"] >= 3) == (40, True)


def killed_apply(cluster: Cluster, spec: Path, store: Path) -> set[str]:
    """Kill an apply of which one job generates, and another one waits for its processors. Returns the names
    of the jobs."""
    process = begin_apply(spec, store, "--set", "executor=slurm", "--set", "resources.generate.num_cpus=4")
    wait_for(lambda: rows_at_work(store))
    wait_for(lambda: {state for _, state in cluster.jobs("%j|%T")} == {"RUNNING", "PENDING"})
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    return {name for name, _ in cluster.jobs("%j|%T")}


def test_jobs_of_a_killed_apply_end_by_themselves(cluster: Cluster, tmp_path: Path) -> None:
    spec = write_study(tmp_path / "study", n_items=300, seconds_per_row=0.2)
    killed_apply(cluster, spec, tmp_path / "store")
    wait_for(lambda: not cluster.jobs("%j") and not workers_of(tmp_path / "store"))
    generate = step_ids(plan_of(spec), "generate")
    written = [step for step in generate if (tmp_path / "store" / "steps" / f"{step}.tmp").exists()]
    assert len(written) == 1, "the one that waited found its apply gone"


def test_the_apply_after_a_kill_cancels_its_jobs_and_runs_nothing_twice(
    cluster: Cluster, tmp_path: Path
) -> None:
    spec = write_study(tmp_path / "study", n_items=80, seconds_per_row=0.2)
    store, plan = tmp_path / "store", plan_of(spec)
    before = killed_apply(cluster, spec, store)
    process = begin_apply(spec, store, "--set", "executor=slurm")
    wait_for(lambda: before.isdisjoint(name for (name,) in cluster.jobs("%j")))
    out, err = process.communicate(timeout=HANG_SECONDS)
    run_here(plan.steps, tmp_path / "here")
    assert process.returncode == 0, out + err
    assert all_rows(store) == all_rows(tmp_path / "here")
    assert not (store / "slurm").exists()
    outcomes = [
        json.loads((store / "steps" / step / "outcome.json").read_text("utf-8"))
        for step in step_ids(plan, "generate")
    ]
    assert sum(outcome["n_reused"] for outcome in outcomes) >= 3
