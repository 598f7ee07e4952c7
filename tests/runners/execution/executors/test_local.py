import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from dsl.data.fingerprints import PROMPT_TEXTS, Fingerprints
from dsl.engines.contract import Decoding
from dsl.engines.transformers import Weights
from dsl.engines.vllm import Settings as Served
from dsl.errors import XpError
from dsl.spec.resources import Resources
from dsl.steps.identity import step_id
from dsl.steps.prompt_forms import PromptText, TextPrompt
from dsl.steps.steps import DataStep, GenerateStep, SftStep, Step
from dsl.steps.training_settings import Adapter, Training
from dsl.steps.training_steps import KtoStep
from runners.execution import gpus
from runners.execution.events import Ended, Event, Progress, Skipped, Started
from runners.execution.executors import in_process as in_process_executor
from runners.execution.executors import local
from runners.execution.executors._process import Attempt, Worker
from runners.store.store import Store
from tests.xp.small_study import all_rows, plan_of, step_ids, workers_of, write_study

TINY = Path(__file__).parents[3] / "fixtures" / "tiny"


def run(
    todo: Mapping[str, Step],
    store: Path,
    *,
    jobs: int | None = 1,
    in_process: bool = False,
    done: tuple[str, ...] = (),
    resources: Mapping[str, Resources] | None = None,
) -> list[Event]:
    events: list[Event] = []
    executor = in_process_executor if in_process else local
    executor.run(todo, done, Store(store), events.append, jobs, resources or {})
    return events


@pytest.mark.parametrize(("jobs", "in_process"), [(1, False), (2, False), (1, True)])
def test_every_step_sends_events_of_its_beginning_progress_and_end(
    tmp_path: Path, jobs: int, in_process: bool
) -> None:
    plan = plan_of(write_study(tmp_path / "study", seconds_per_row=0.01))
    events = run(plan.steps, tmp_path / "store", jobs=jobs, in_process=in_process)
    for step in plan.steps:
        mine = [event for event in events if event.step_id == step]
        assert isinstance(mine[0], Started)
        assert isinstance(mine[-1], Ended)
        assert mine[-1].status == "done"
        assert (mine[-1].pid, mine[-1].started_at) == (mine[0].pid, mine[0].started_at)
        assert all(isinstance(event, Progress) and event.done <= event.total for event in mine[1:-1])
    assert Store(tmp_path / "store").done() == set(plan.steps)


@pytest.mark.parametrize("jobs", [2, None])
def test_two_jobs_or_two_gpus_work_at_once_and_leave_no_process_behind(
    tmp_path: Path, jobs: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    if jobs is None:
        monkeypatch.setenv(gpus.VISIBLE, "0,1")
    plan = plan_of(write_study(tmp_path / "study", seconds_per_row=0.2))
    events = run(plan.steps, tmp_path / "store", jobs=jobs)
    generating = set(step_ids(plan, "generate"))
    at_work: set[str] = set()
    most = 0
    for event in events:
        if isinstance(event, Started):
            at_work |= {event.step_id} & generating
        elif isinstance(event, Ended):
            at_work.discard(event.step_id)
        most = max(most, len(at_work))
    assert most == 2
    if sys.platform == "linux":
        assert workers_of(tmp_path / "store") == []


def test_steps_that_load_nothing_share_one_worker(tmp_path: Path) -> None:
    plan = plan_of(write_study(tmp_path / "study"))
    events = run(plan.steps, tmp_path / "store")
    assert len({event.pid for event in events if isinstance(event, Started)}) == 1


def test_a_failed_step_costs_its_worker_and_what_hangs_on_it_and_nothing_else(tmp_path: Path) -> None:
    plan = plan_of(write_study(tmp_path / "study"))
    (tmp_path / "study" / "en.jsonl").unlink()
    events = run(plan.steps, tmp_path / "store")
    (failed,) = [event for event in events if isinstance(event, Ended) and event.status == "failed"]
    assert failed.error is not None
    assert "en.jsonl" in failed.error
    assert [event.reason for event in events if isinstance(event, Skipped)] == [
        f"{failed.step_id} failed"
    ] * 2
    done = [event for event in events if isinstance(event, Ended) and event.status == "done"]
    assert len(done) == 3
    assert failed.pid not in {event.pid for event in done}


def test_a_step_whose_input_is_not_there_is_skipped(tmp_path: Path) -> None:
    plan = plan_of(write_study(tmp_path / "study", languages=("en",)))
    data, generate, judge = plan.steps
    events = run({generate: plan.steps[generate], judge: plan.steps[judge]}, tmp_path / "store")
    assert events == [Skipped(generate, f"{data} is not done"), Skipped(judge, f"{data} is not done")]


def test_a_worker_that_cannot_start_fails_its_step_and_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = plan_of(write_study(tmp_path / "study", languages=("en",)))
    broken = tmp_path / "python"
    broken.write_text("#!/bin/sh\necho a warning >&2\necho 'libpython is not there' >&2\nexit 127\n")
    broken.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(broken))
    failed, *_ = [event for event in run(plan.steps, tmp_path / "store") if isinstance(event, Ended)]
    assert (failed.status, failed.error) == (
        "failed",
        "worker ended with exit code 127: libpython is not there",
    )


def test_rows_of_an_earlier_attempt_are_reused_in_this_process_too(tmp_path: Path) -> None:
    plan = plan_of(write_study(tmp_path / "study", languages=("en",)))
    run(plan.steps, tmp_path / "store", in_process=True)
    rows = all_rows(tmp_path / "store")
    (generate,) = step_ids(plan, "generate")
    Store(tmp_path / "store").reopen(generate)
    (ended,) = [
        e
        for e in run(
            {generate: plan.steps[generate]}, tmp_path / "store", in_process=True, done=tuple(plan.steps)
        )
        if isinstance(e, Ended)
    ]
    assert ended.outcome is not None
    assert (ended.outcome.n_rows, ended.outcome.n_reused) == (20, 20)
    assert all_rows(tmp_path / "store") == rows


@pytest.mark.slow
def test_a_model_s_steps_share_a_worker_that_ends_before_the_next_model_is_loaded(tmp_path: Path) -> None:
    shutil.copytree(TINY, tmp_path / "other")
    (tmp_path / "other" / "README.txt").write_text("the same weights under another digest\n")
    plan = plan_of(write_study(tmp_path / "study", languages=("en", "fr"), n_items=2))
    todo: dict[str, Step] = {step: plan.steps[step] for step in step_ids(plan, "data")}
    model_of: dict[str, str] = {}
    fingerprints = Fingerprints()
    for data, source in list(todo.items()):
        assert isinstance(source, DataStep)
        text = PromptText(language="en", sha256=fingerprints.file(PROMPT_TEXTS / "en.yaml"))
        for folder in (TINY, tmp_path / "other"):
            answers = GenerateStep(
                model=Weights(path=str(folder)).pinned(fingerprints, folder),
                examples=data,
                prompt=TextPrompt(text=text, num_fewshot=0),
                decoding=Decoding(max_new_tokens=2),
            )
            todo[step_id(answers)] = answers
            model_of[step_id(answers)] = answers.affinity
    first_of_each = list(dict.fromkeys(model_of.values()))
    assert [model_of[step] for step in todo if step in model_of] == first_of_each * 2  # by turns in the plan

    events = run(todo, tmp_path / "store")
    begun = [event for event in events if isinstance(event, Started) and event.step_id in model_of]
    assert [model_of[event.step_id] for event in begun] == [
        model for model in first_of_each for _ in range(2)
    ]
    assert begun[0].pid == begun[1].pid != begun[2].pid == begun[3].pid
    outcomes = {event.step_id: event.outcome for event in events if isinstance(event, Ended)}
    seconds = [outcome.load_seconds for event in begun if (outcome := outcomes[event.step_id])]
    assert len(seconds) == 4
    assert seconds[1] < seconds[0] / 2  # loaded already
    assert seconds[3] < seconds[2] / 2


# ---------------------------------------------------------------- GPUs


def nvidia_smi(folder: Path, monkeypatch: pytest.MonkeyPatch, *lines: str) -> None:
    """A driver's tool that lists these GPUs."""
    tool = folder / "nvidia-smi"
    tool.write_text("#!/bin/sh\n" + "".join(f"echo '{line}'\n" for line in lines))
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=":")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


def test_gpus_are_found_without_loading_a_library_for_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nvidia_smi(
        tmp_path,
        monkeypatch,
        "GPU 0: NVIDIA H200 (UUID: GPU-a1-b)",
        "GPU 1: NVIDIA H200 (UUID: GPU-c2-d)",
        *MIG,
    )
    assert gpus.visible() == ("GPU-a1-b", "MIG-e3", "MIG-f4")


MIG = ("  MIG 3g.71gb     Device  0: (UUID: MIG-e3)", "  MIG 3g.71gb     Device  1: (UUID: MIG-f4)")


@pytest.mark.parametrize(
    ("said", "seen"),
    [("", ()), ("-1", ()), ("2, 3", ("2", "3")), ("1,-1,2", ("1",)), ("GPU-a1", ("GPU-a1",))],
)  # what CUDA makes of it
def test_a_person_says_which_gpus_are_used(
    monkeypatch: pytest.MonkeyPatch, said: str, seen: tuple[str, ...]
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", said)
    assert gpus.visible() == seen


def test_a_machine_without_the_drivers_tool_has_no_gpus(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert gpus.visible() == ()


@pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")
def test_each_worker_sees_one_gpu_and_jobs_spread_over_all(tmp_path: Path) -> None:
    store, gpus = Store(tmp_path), ("GPU-a", "GPU-b")
    workers: list[Worker] = []

    def seen(worker: Worker) -> str | None:
        settings: list[str] = []
        while len(settings) < 2:  # a process that has just begun has none yet
            settings = Path(f"/proc/{worker._process.pid}/environ").read_text().split("\0")
        return dict(line.split("=", 1) for line in settings if line).get("CUDA_VISIBLE_DEVICES")

    def start(affinity: str, n_gpus: int = 1) -> Worker:
        worker = local._worker_for(affinity, workers, store, 3, gpus, n_gpus)
        worker.now = Attempt(f"step of {affinity}", 0)
        return worker

    try:
        assert [seen(start(name)) for name in ("one", "two", "one")] == ["GPU-a", "GPU-b", "GPU-b"]
        for freed in (workers[0], workers[2]):
            freed.end()
            workers.remove(freed)
        assert [seen(start(name)) for name in ("three", "")] == ["GPU-a", seen_here()]
        workers[1].now = None  # a worker with one GPU is not enough for a training on two
        assert workers[1].affinity == "three"
        assert seen(start("three", n_gpus=2)) == "GPU-a,GPU-b"
    finally:
        for worker in workers:
            worker.end()


def test_a_training_on_more_gpus_than_there_are_is_refused_before_anything_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(gpus.VISIBLE, "0,1")
    train = SftStep(
        weights=Weights(path="gone"),
        train=(),
        prompts=(),
        adapter=Adapter(),
        training=Training(),
        seed=0,
    )
    found = r"`resources\.sft\.num_gpus` is 4, and this machine has 2 that it may use"
    with pytest.raises(XpError, match=found):
        run({step_id(train): train}, tmp_path, resources={"sft": Resources.model_validate({"num_gpus": 4})})


SHARED_OUT = Served(path=str(TINY), args={"tensor_parallel_size": 2})


def answers(**settings: Any) -> GenerateStep:
    made: dict[str, Any] = {"model": SHARED_OUT, "examples": f"data-{'a' * 16}", "prompt": None}
    return GenerateStep(**{**made, "decoding": Decoding(), **settings})


@pytest.mark.parametrize("in_process", [False, True])
def test_a_server_on_more_gpus_than_there_are_is_refused_before_anything_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, in_process: bool
) -> None:
    monkeypatch.setenv(gpus.VISIBLE, "0,1" if in_process else "0")
    step = answers()
    where = "--in-process" if in_process else "this machine has 1 that it may use"
    with pytest.raises(XpError, match=rf"`args` share the server of .* out to 2 GPUs.*{where}"):
        run({step_id(step): step}, tmp_path, done=(step.examples,), in_process=in_process)


@pytest.mark.parametrize(("seen", "most"), [("0", 1), ("0,1", 2)])
def test_no_two_servers_of_one_model_share_a_gpu(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seen: str, most: int
) -> None:
    monkeypatch.setenv(gpus.VISIBLE, seen)
    asked = [answers(model=Served(path="gone"), seed=seed) for seed in range(3)]
    todo = {step_id(step): step for step in asked}
    at_work, found = 0, list[int]()
    for event in run(todo, tmp_path, jobs=3, done=(asked[0].examples,)):
        at_work += isinstance(event, Started) - isinstance(event, Ended)
        found.append(at_work)
    assert max(found) == most


@pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")
def test_a_server_sees_the_gpus_that_it_shares_a_model_out_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(gpus.VISIBLE, "a,b,c")
    program = tmp_path / "vllm"
    program.write_text(f'#!/bin/sh\necho "$CUDA_VISIBLE_DEVICES" >> {tmp_path / "seen"}\nexit 3\n')
    program.chmod(0o755)
    monkeypatch.setenv("XP_VLLM", f"{program} serve")
    plan = plan_of(write_study(tmp_path / "study", languages=("en",), n_items=1))
    (data,) = step_ids(plan, "data")
    text = PromptText(language="en", sha256=Fingerprints().file(PROMPT_TEXTS / "en.yaml"))
    step = answers(examples=data, prompt=TextPrompt(text=text, num_fewshot=0))
    events = run({data: plan.steps[data], step_id(step): step}, tmp_path / "store")
    (failed,) = [event.error for event in events if isinstance(event, Ended) and event.status == "failed"]
    assert "ended with exit code 3" in str(failed)
    assert (tmp_path / "seen").read_text() == "a,b\n"


def test_a_training_on_several_gpus_waits_until_no_other_model_is_on_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(gpus.VISIBLE, "0,1")
    settings: dict[str, Any] = {"prompts": (), "adapter": Adapter(), "training": Training(), "seed": 0}
    one = KtoStep(weights=Weights(path="gone"), pairs=(), **settings)
    both = SftStep(weights=Weights(path="gone too"), train=(), **settings)
    todo = {step_id(step): step for step in (one, both)}
    events = run(todo, tmp_path, jobs=None, resources={"sft": Resources(num_gpus=2)})
    assert [(type(event), event.step_id) for event in events if not isinstance(event, Progress)] == [
        (kind, step) for step in todo for kind in (Started, Ended)
    ]


def seen_here() -> str | None:
    return os.environ.get("CUDA_VISIBLE_DEVICES")


def test_the_only_gpu_is_not_named_so_that_a_worker_sees_what_this_process_sees() -> None:
    assert gpus.share(("GPU-a",), []) == gpus.share((), []) == {}
