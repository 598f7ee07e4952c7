"""Steps on a real Ray cluster of two nodes on this machine, one of which is lost, slow, or without what is
asked for."""

import contextlib
import json
import os
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from dsl.errors import XpError
from dsl.spec.budget import Budget, Charge
from dsl.spec.resources import Resources
from dsl.steps.steps import Step
from runners.execution.events import Event, Progress, Skipped, Started
from runners.execution.executors import ray as executor
from runners.store.spending_ledger import Ledger
from runners.store.store import Store
from tests.runners.engines.fake_server import Asked, Running, Said, completion, serving
from tests.runners.execution.executors.cluster_runs import (
    TINY,
    ends,
    environment_of,
    losses,
    run_here,
    tiny_study,
)
from tests.xp.small_study import (
    HANG_SECONDS,
    all_rows,
    begin_apply,
    plan_of,
    step_ids,
    wait_for,
    workers_of,
    write_study,
)

PER_REQUEST = 10
"""Tokens of an answer of `fake_server.completion`."""

KEY = "a-key-that-is-written-nowhere-4711"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc"),
]


@dataclass
class TwoNodes:
    """The cluster: its head, and a second node that a test may lose."""

    cluster: Any
    second: Any
    fast: Running
    slow: Running

    def add_second(self) -> None:
        environment = {"FAKE_URL": self.slow.url, "FAKE_KEY": KEY}
        self.second = self.cluster.add_node(num_cpus=1, resources={"spot": 1}, env_vars=environment)

    def lose_second(self) -> None:
        """As when the machine is switched off: all of its processes end at once."""
        theirs = [
            int(folder.name)
            for folder in Path("/proc").iterdir()
            if folder.name.isdigit() and self.is_on_second(int(folder.name))
        ]
        self.cluster.remove_node(self.second, allow_graceful=False)
        for pid in theirs:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def is_on_second(self, pid: int) -> bool:
        """Check if the second node's raylet is an ancestor of this process."""
        raylet = self.second.all_processes["raylet"][0].process.pid
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            while pid > 1 and pid != raylet:
                pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
            return pid == raylet
        return False


@pytest.fixture(scope="module")
def nodes() -> Iterator[TwoNodes]:
    pytest.importorskip("ray")
    from ray.cluster_utils import Cluster

    def after(seconds: float) -> Callable[[Asked], Said]:
        return lambda asked: Said(completion("right", "stop").body, seconds=seconds)

    with serving(after(0.02)) as fast, serving(after(0.2)) as slow, pytest.MonkeyPatch.context() as patch:
        head = {
            "num_cpus": 1,
            "include_dashboard": False,
            # a lost node is known to be lost in three seconds, not fifteen
            "_system_config": {"health_check_period_ms": 1000, "health_check_failure_threshold": 3},
            "env_vars": {"FAKE_URL": fast.url, "FAKE_KEY": KEY},
        }
        cluster = Cluster(initialize_head=True, head_node_args=head)
        patch.setenv("RAY_ADDRESS", cluster.address)
        nodes = TwoNodes(cluster, None, fast, slow)
        nodes.add_second()
        yield nodes
        cluster.shutdown()


def run(
    todo: Mapping[str, Step],
    store: Path,
    resources: Mapping[str, Resources] | None = None,
    watch: Callable[[Event], None] | None = None,
) -> list[Event]:
    """Every event, each shown to `watch` when it comes."""
    events: list[Event] = []

    def on_event(event: Event) -> None:
        events.append(event)
        if watch is not None:
            watch(event)

    with Store(store).lock():
        executor.run(todo, (), Store(store), on_event, 1, resources or {})
    return events


def test_a_real_model_s_answers_in_shards_on_two_nodes_are_those_of_one_machine(
    nodes: TwoNodes, tmp_path: Path
) -> None:
    prompt = {"file": str(TINY / "prompts_{language}.yaml")}
    methods: dict[str, object] = {
        f"shots_{n}": {"method": "icl", "num_fewshot": n, "prompt": prompt} for n in (0, 3)
    }
    # which rows may be shown hangs on all of the examples, not on a shard's
    shown = {"from": "instructions", "select": "bm25"}
    methods["retrieved"] = {"method": "icl", "num_fewshot": 2, "demonstrations": shown, "prompt": prompt}
    plan = tiny_study(tmp_path / "study", methods=methods)
    events = run(plan.steps, tmp_path / "store", {"generate": Resources(shard_rows=8)})
    run_here(plan.steps, tmp_path / "here")
    assert {event.status for event in ends(events)} == {"done"}
    rows, expected = all_rows(tmp_path / "store"), all_rows(tmp_path / "here")
    assert set(rows) == set(expected) == set(plan.steps)
    for row in (row for step in (*rows.values(), *expected.values()) for row in step):
        row.pop("batch_size", None)
    assert rows == expected
    for step in step_ids(plan, "generate"):
        assert not (tmp_path / "store" / "steps" / step / "shards").exists()
        (ended,) = ends(events, step)
        assert ended.outcome is not None
        assert (ended.outcome.n_rows, ended.outcome.n_reused, ended.outcome.facts["n_shards"]) == (20, 0, 3)
        assert ended.outcome.facts["n_parameters"]
        done = [event.done for event in events if isinstance(event, Progress) and event.step_id == step]
        assert done == sorted(done)
        assert done[-1] == 20


def test_a_worker_has_the_environment_and_the_folder_that_it_needs(
    nodes: TwoNodes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    # files named relative to this folder
    plan = plan_of(write_study(Path("study"), languages=("en",), n_items=4, seconds_per_row=0.1))
    seen: dict[str, str] = {}

    def look(event: Event) -> None:
        if isinstance(event, Started) and event.step_id.startswith("generate-"):
            seen.update(environment_of(event.pid))

    events = run(plan.steps, tmp_path / "store", {"generate": Resources(num_cpus=1)}, look)
    assert {event.status for event in ends(events)} == {"done"}
    assert len({event.pid for event in events if isinstance(event, Started)}) <= 2, (
        "a worker on each node, kept from step to step"
    )
    assert seen["OMP_NUM_THREADS"] == "1"
    assert seen["MALLOC_TRIM_THRESHOLD_"] == str(1 << 32)
    assert "thirdparty_files" not in seen["PYTHONPATH"], "Ray's own copies of packages"
    assert seen["FAKE_KEY"] == KEY, "the node's own, not this process's"


def test_a_node_lost_during_generation_loses_and_doubles_no_row(nodes: TwoNodes, tmp_path: Path) -> None:
    plan = plan_of(write_study(tmp_path / "study", n_items=45, seconds_per_row=0.05))
    lost: list[int] = []

    def lose(event: Event) -> None:
        for lock in tmp_path.glob("store/steps/*.tmp/shards/*.tmp/.lock") if not lost else ():
            with contextlib.suppress(FileNotFoundError, ValueError):  # not written yet, or moved meanwhile
                n_rows = (lock.parent / "completions.jsonl").read_bytes().count(b"\n")
                if 3 <= n_rows <= 10 and nodes.is_on_second(json.loads(lock.read_bytes())["pid"]):
                    lost.append(n_rows)
                    nodes.lose_second()
                    return

    events = run(plan.steps, tmp_path / "store", {"generate": Resources(shard_rows=15)}, lose)
    nodes.add_second()
    run_here(plan.steps, tmp_path / "here")
    assert lost
    assert {event.status for event in ends(events)} == {"done"}
    assert all_rows(tmp_path / "store") == all_rows(tmp_path / "here")
    reused = sum(event.outcome.n_reused for event in ends(events) if event.outcome)
    assert lost[0] <= reused < 15, "the rows that the lost node's shard had, and no other"


def test_training_on_a_lost_node_resumes_from_its_checkpoint_on_another(
    nodes: TwoNodes, tmp_path: Path
) -> None:
    training = {
        "max_steps": 60,  # word of a checkpoint arrives while it is trained, however busy the machine is
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
    steps = tmp_path / "store" / "steps"
    lost: list[str] = []

    def lose(event: Event) -> None:
        checkpoints = sorted(steps.glob(f"{sft}.tmp/trainer/checkpoint-*/whole"))
        if isinstance(event, Progress) and event.step_id == sft and checkpoints and not lost:
            lost.append(checkpoints[-1].parent.name)
            nodes.lose_second()
            nodes.add_second()

    events = run(todo, tmp_path / "store", {"sft": Resources(resources={"spot": 1})}, lose)
    run_here(todo, tmp_path / "here")
    assert lost
    first, last = ends(events, sft)
    assert (first.status, last.status) == ("interrupted", "done")
    assert "lost" in (first.error or "")
    begun = [event for event in events if isinstance(event, Started) and event.step_id == sft]
    assert [(e.pid, e.started_at) for e in begun] == [(e.pid, e.started_at) for e in (first, last)]
    assert last.outcome is not None
    assert int(str(last.outcome.facts["resumed_from_step"])) >= 4
    assert losses(tmp_path / "store", sft) == losses(tmp_path / "here", sft)
    adapters = [
        (tmp_path / store / "steps" / sft / "adapter" / "adapter_model.safetensors").read_bytes()
        for store in ("store", "here")
    ]
    assert adapters[0] == adapters[1]


def test_a_node_ten_times_slower_gets_few_shards_and_keys_reach_nodes_without_being_written(
    nodes: TwoNodes, tmp_path: Path
) -> None:
    spec = write_study(tmp_path / "study", languages=("en",), n_items=90)
    study = yaml.safe_load(spec.read_text("utf-8"))
    served = {
        "engine": "openai",
        "name": "served-42",
        "base_url_env": "FAKE_URL",
        "api_key_env": "FAKE_KEY",
        "max_concurrency": 1,
    }
    study["models"] = {"served": {"base": served, "parameters": 1}}
    spec.write_text(yaml.safe_dump(study), "utf-8")
    plan = plan_of(spec)
    before = len(nodes.fast.asked), len(nodes.slow.asked)
    events = run(plan.steps, tmp_path / "store", {"generate": Resources(shard_rows=3)})
    assert {event.status for event in ends(events)} == {"done"}
    fast, slow = nodes.fast.asked[before[0] :], nodes.slow.asked[before[1] :]
    assert len(fast) + len(slow) == 90
    assert 0 < len(slow) < 30, "half of them, had the shards been dealt out beforehand"
    assert {one.headers["authorization"] for one in (*fast, *slow)} == {f"Bearer {KEY}"}
    written = [tmp_path / "store", Path(nodes.cluster.head_node.get_session_dir_path())]
    files = [file for folder in written for file in folder.rglob("*") if file.is_file()]
    assert {"raylet.out", "completions.jsonl"} <= {file.name for file in files}
    assert [file for file in files if KEY.encode() in file.read_bytes()] == []


def test_a_budget_stops_a_step_on_all_nodes_and_each_request_is_charged_once(
    nodes: TwoNodes, tmp_path: Path
) -> None:
    spec, n_items = write_study(tmp_path / "study", languages=("en",), n_items=30), 30
    study = yaml.safe_load(spec.read_text("utf-8"))
    served = {"engine": "openai", "name": "m", "base_url_env": "FAKE_URL", "max_concurrency": 1}
    study["models"] = {"served": {"base": served, "parameters": 1}}
    spec.write_text(yaml.safe_dump(study), "utf-8")
    plan, asked = plan_of(spec), (nodes.fast.asked, nodes.slow.asked)
    before = sum(map(len, asked))

    def run_within(tokens: int) -> tuple[list[Event], Ledger]:
        store, events = Store(tmp_path / "store"), list[Event]()
        store.charge = Charge(experiment="small", budget=Budget(tokens=tokens))
        ledger = store.ledger("small")
        with store.lock():
            ledger.settle_killed()
            todo = {step_id: step for step_id, step in plan.steps.items() if not store.is_done(step_id)}
            done = plan.steps.keys() - todo.keys()
            executor.run(todo, done, store, events.append, 1, {"generate": Resources(shard_rows=5)})
        ledger.look()
        return events, ledger

    events, ledger = run_within(1000)
    assert [event.status for event in ends(events) if event.step_id.startswith("generate")] == ["stopped"]
    assert 0 < sum(map(len, asked)) - before < n_items
    assert ledger.spent.tokens <= 1000
    events, ledger = run_within(1_000_000)
    assert {event.status for event in ends(events)} == {"done"}
    (generate,) = step_ids(plan, "generate")
    rows = all_rows(tmp_path / "store")[generate]
    assert len({row["item"] for row in rows}) == len(rows) == n_items
    entries = [json.loads(line) for line in ledger.path.read_text("utf-8").splitlines()]
    begun = [entry["request"] for entry in entries if not entry["is_over"]]
    over = {entry["request"]: entry["use"]["tokens"] for entry in entries if entry["is_over"]}
    assert (len(entries), set(begun)) == (2 * len(begun), over.keys())
    assert ledger.spent.tokens == sum(over.values())
    # a request under way on a node that was called back counts in full, and is sent again
    n_lost = sum(tokens > PER_REQUEST for tokens in over.values())
    assert n_lost <= 2
    assert n_items <= sum(map(len, asked)) - before <= len(begun) <= n_items + n_lost


def test_a_step_that_fails_is_not_tried_again_and_its_shards_are_called_back(
    nodes: TwoNodes, tmp_path: Path
) -> None:
    plan = plan_of(write_study(tmp_path / "study", n_items=40))
    data, _ = step_ids(plan, "data")
    generate, _ = step_ids(plan, "generate")
    run({data: plan.steps[data]}, tmp_path / "store")
    examples = tmp_path / "store" / "steps" / data / "examples.jsonl"
    lines = examples.read_text("utf-8").splitlines(keepends=True)
    examples.write_text("".join([*lines[:20], "no row\n", *lines[20:]]), "utf-8")
    todo = {step_id: step for step_id, step in plan.steps.items() if step_id != data}
    events: list[Event] = []
    with Store(tmp_path / "store").lock():
        executor.run(
            todo,
            (data,),
            Store(tmp_path / "store"),
            events.append,
            1,
            {"generate": Resources(shard_rows=10)},
        )
    (failed,) = [event for event in ends(events) if event.status == "failed"]
    assert failed.step_id == generate
    assert "examples.jsonl has 41 of the 40 rows it was written with" in (failed.error or "")
    assert [event.reason for event in events if isinstance(event, Skipped)] == [f"{generate} failed"]
    assert len([event for event in ends(events) if event.status == "done"]) == 3
    assert "is damaged" in (tmp_path / "store" / "steps" / f"{generate}.tmp" / "log.txt").read_text("utf-8")


def test_a_worker_that_dies_is_a_failed_step_and_not_a_lost_node(nodes: TwoNodes, tmp_path: Path) -> None:
    plan = plan_of(write_study(tmp_path / "study", languages=("en",), seconds_per_row=0.1))

    def kill(event: Event) -> None:
        if isinstance(event, Progress) and event.step_id.startswith("generate-") and event.done == 2:
            os.kill(next(e.pid for e in begun if e.step_id == event.step_id), signal.SIGKILL)

    begun: list[Started] = []
    events = run(
        plan.steps, tmp_path / "store", watch=lambda e: begun.append(e) if isinstance(e, Started) else kill(e)
    )
    (failed,) = [event for event in ends(events) if event.status == "failed"]
    assert failed.error == "worker died: signal 9 (killed; out of memory?)"


def test_a_cluster_that_does_not_answer_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("ray")
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:9")
    plan = plan_of(write_study(tmp_path / "study", languages=("en",)))
    with pytest.raises(XpError, match=r"nobody answers at RAY_ADDRESS 127\.0\.0\.1:9: Connection refused"):
        run(plan.steps, tmp_path / "store")


def test_a_node_that_does_not_see_the_store_fails_the_step_and_writes_nothing(
    nodes: TwoNodes, tmp_path: Path
) -> None:
    plan = plan_of(write_study(tmp_path / "study", languages=("en",)))
    events: list[Event] = []
    # nobody holds this store's lock
    executor.run(plan.steps, (), Store(tmp_path / "elsewhere"), events.append, 1, {})
    (failed,) = ends(events)
    assert "elsewhere/lock, which must lie on a path that all nodes share" in (failed.error or "")
    assert not (tmp_path / "elsewhere" / "steps").exists()


def test_a_node_to_which_the_step_is_another_one_does_not_run_it(nodes: TwoNodes, tmp_path: Path) -> None:
    (step,) = [
        step
        for step in plan_of(write_study(tmp_path / "study", languages=("en",))).steps.values()
        if step.kind == "data"
    ]
    (failed,) = ends(run({"data-0000000000000000": step}, tmp_path / "store"))
    assert "has another version of xp, to which this is another step" in (failed.error or "")


def test_what_no_node_has_is_said_at_once(nodes: TwoNodes, tmp_path: Path) -> None:
    plan = plan_of(write_study(tmp_path / "study", languages=("en",)))
    with pytest.raises(
        XpError,
        match=(
            r"no node of the Ray cluster has what `resources` asks for a generate step: 1 CPU, 1 GPU\. The"
            r" nodes"
        ),
    ):
        run(plan.steps, tmp_path / "store", {"generate": Resources(num_gpus=1)})


def test_a_step_sees_the_gpus_that_it_is_given_and_no_others(nodes: TwoNodes, tmp_path: Path) -> None:
    gpus = nodes.cluster.add_node(num_cpus=1, num_gpus=2)  # for Ray to count
    seen: dict[str, str] = {}

    def look(event: Event) -> None:
        if isinstance(event, Started):
            seen[event.step_id.partition("-")[0]] = environment_of(event.pid)["CUDA_VISIBLE_DEVICES"]

    plan = plan_of(write_study(tmp_path / "study", languages=("en",), n_items=4, seconds_per_row=0.1))
    run(
        plan.steps,
        tmp_path / "store",
        {"generate": Resources(num_gpus=2), "judge": Resources(num_gpus=1)},
        look,
    )
    assert seen["data"] == ""
    assert seen["generate"] == "0,1"
    assert seen["judge"] in ("0", "1")
    loads = tiny_study(tmp_path / "tiny", methods={"zero_shot": {"method": "icl", "num_fewshot": 0}})
    with pytest.raises(
        XpError,
        match=(
            r"has GPUs, and the spec does not say how many a generate step gets. Write `resources: {generate:"
            r" {num_"
        ),
    ):
        run(loads.steps, tmp_path / "store")
    nodes.cluster.remove_node(gpus)


def test_ctrl_c_ends_everything_and_the_next_apply_resumes(nodes: TwoNodes, tmp_path: Path) -> None:
    spec = write_study(tmp_path / "study", n_items=25, seconds_per_row=0.05)
    store, options = (
        tmp_path / "store",
        ("--set", "executor=ray", "--set", "resources.generate.shard_rows=10"),
    )
    process = begin_apply(spec, store, *options)
    rows = "steps/*.tmp/shards/*/completions.jsonl"
    wait_for(lambda: [line for file in store.glob(rows) for line in file.read_bytes().splitlines()][5:])
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=HANG_SECONDS)
    assert process.returncode == 130, out + err
    wait_for(lambda: not workers_of(store))
    assert not list((store / "runs").glob("*.begun"))

    process = begin_apply(spec, store)  # on this machine: it reuses the rows of the shards
    out, err = process.communicate(timeout=HANG_SECONDS)
    assert process.returncode == 0, out + err
    run_here(plan_of(spec).steps, tmp_path / "here")
    assert all_rows(store) == all_rows(tmp_path / "here")
    outcomes = [
        json.loads((store / "steps" / step / "outcome.json").read_text("utf-8"))
        for step in step_ids(plan_of(spec), "generate")
    ]
    assert sum(outcome["n_reused"] for outcome in outcomes) > 5
