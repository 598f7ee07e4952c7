"""A study whose model is served: the server comes and goes with its steps, whatever becomes of them."""

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from dsl.steps.steps import GenerateStep
from runners.execution.events import Ended
from runners.execution.executors import in_process
from runners.execution.executors._process import Worker
from runners.execution.worker import Task
from runners.store.store import Store
from tests.fixtures.tiny_study import TINY
from tests.runners.checkpoints import CHATML
from tests.runners.gguf_files import write_tiny_gguf
from tests.runners.serving.test_servers import left_of
from tests.xp.commands import xp
from tests.xp.small_study import HANG_SECONDS, as_a_terminal_does
from xp import load
from xp.prompts import check_prompts
from xp.reach import reach

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
SERVER = ROOT / "tests" / "runners" / "serving" / "vllm_server.py"
SPEC = f"""\
experiment: served
languages: ["en", "fr"]
models: {{tiny: {{base: {{engine: vllm, path: "{TINY}", batch_size: 1}}}}}}
data:
  asked:
    rows: {{path: "asked_{{language}}.jsonl"}}
    columns: {{item: item, instruction: instruction}}
evaluate: [asked]
methods:
  zero: {{method: icl, num_fewshot: 0}}
  bare: {{method: icl, num_fewshot: 0, preamble: false}}
judges:
  empty: {{judge: empty}}
  opinion:
    judge: rubric
    aspects: [helpfulness]
    model: &judge {{engine: vllm, path: "{TINY}", args: {{seed: 1}}}}
  level: {{judge: decision, aspects: [clarity], model: *judge}}
  better: {{judge: pairwise, against: zero, model: *judge}}
"""


@pytest.fixture(scope="module")
def checked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Findings on the study's prompts, which its stores need not check again."""
    folder = written(tmp_path_factory.mktemp("checked"))
    plan = load(folder / "study.yaml").plan().diff.plan
    data = {step_id: step for step_id, step in plan.steps.items() if step.kind == "data"}
    in_process.run(data, (), Store(folder / ".xp"), lambda event: None, 1, {})
    assert check_prompts(plan, plan.steps, folder / ".xp", in_process=True).n_checked
    return folder / ".xp" / "cache"


@pytest.fixture
def study(checked: Path, tmp_path: Path) -> Path:
    shutil.copytree(checked, tmp_path / ".xp" / "cache")
    return written(tmp_path)


def written(folder: Path) -> Path:
    for language in ("en", "fr"):
        rows = [{"item": str(n), "instruction": f"What about {n} in {language}?"} for n in range(3)]
        lines = "".join(json.dumps(row) + "\n" for row in rows)
        (folder / f"asked_{language}.jsonl").write_text(lines, "utf-8")
    (folder / "study.yaml").write_text(SPEC, "utf-8")
    return folder


def started(study: Path, *command: str, **variables: str) -> subprocess.Popen[str]:
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "XP_VLLM": f"{sys.executable} {SERVER}",
        "XP_LLAMA_CPP": f"{sys.executable} {SERVER}",
        "COLUMNS": "200",
        "VLLM_SERVER_ASKED": str(study / "asked.jsonl"),
        "VLLM_SERVER_HAS_NO_MODEL": "1",
        **variables,
    }
    return subprocess.Popen(
        [sys.executable, "-m", "xp", *command, "study.yaml"],
        cwd=study,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        preexec_fn=as_a_terminal_does,
        text=True,
        start_new_session=True,
    )


def servers_of(study: Path) -> set[int]:
    """Processes, guards among them, whose environment names the study's folder and that are a server's."""
    found: set[int] = set()
    for folder in Path("/proc").iterdir():
        try:
            environment = (folder / "environ").read_bytes()
            command = (folder / "cmdline").read_bytes()
        except OSError:
            continue
        if str(study).encode() in environment and b"vllm_server.py" in command:
            found.add(int(folder.name))
    return found


def test_a_study_starts_a_server_for_its_answers_and_one_for_its_judge_and_leaves_none(
    study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XP_VLLM", f"{sys.executable} {SERVER}")
    plan = xp("plan", "study.yaml", cwd=study).stdout
    assert f"starts a vLLM server of {TINY} with seed=1" in plan
    assert "not ready" not in plan
    monkeypatch.setenv("XP_VLLM", str(study / "nothing"))
    missing = xp("plan", "study.yaml", cwd=study).stdout
    assert "not ready: the environment variable XP_VLLM" in missing

    here(study, monkeypatch, f"{sys.executable} {SERVER}")
    applied = xp("apply", "study.yaml", "--yes", "--no-report", cwd=study)
    assert applied.returncode == 0, applied.stdout + applied.stderr
    assert len(list((study / ".xp" / "cache" / "servers").glob("*.log"))) == 2
    asked = [json.loads(line) for line in (study / "asked.jsonl").read_text("utf-8").splitlines()]
    assert len([one for one in asked if one["path"] == "/v1/completions"]) >= 12
    assert not left_of(servers_of(study))
    rows = rows_of(study, "generate-*/completions.jsonl")
    assert len(rows) == 12
    assert {row["engine"] for row in rows} == {"vllm"}
    assert {row["provenance"]["system_fingerprint"] for row in rows} == {"vllm 0.32.0, float32"}
    verdicts = [row for row in rows_of(study, "judge-*/verdicts.jsonl") if row["aspect"] != "empty"]
    assert Counter(row["aspect"] for row in verdicts) == {"helpfulness": 12, "clarity": 12, "pairwise": 6}
    fingerprints = {row["provenance"]["system_fingerprint"] for row in verdicts if row["score"] != 0.5}
    assert fingerprints == {"vllm 0.32.0, float32, seed=1"}
    levels = [row for row in verdicts if row["aspect"] == "clarity"]
    assert all(len(row["distribution"]) == 5 for row in levels)


def rows_of(study: Path, files: str) -> list[dict[str, Any]]:
    found = sorted((study / ".xp" / "steps").glob(files))
    return [json.loads(line) for file in found for line in file.read_text("utf-8").splitlines()]


def of_gguf(study: Path) -> None:
    """Make the study's model a GGUF file, which llama.cpp's server loads."""
    write_tiny_gguf(study / "gguf" / "tiny.gguf", CHATML)
    spec = study / "study.yaml"
    text = spec.read_text("utf-8").replace(f'engine: vllm, path: "{TINY}"', "engine: llama_cpp, path: gguf")
    spec.write_text(text, "utf-8")


def test_a_gguf_file_answers_and_judges_on_servers_of_llama_cpp(
    study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    of_gguf(study)
    here(study, monkeypatch, f"{sys.executable} {SERVER}")
    reached = tuple(reach(load(study / "study.yaml").plan().diff.plan.steps.values(), (), study))
    assert f"starts a llama.cpp server of {study / 'gguf'} with seed=1" in reached
    assert load(study / "study.yaml").apply(in_process=True, report=False).failures == ()
    asked = [json.loads(line) for line in (study / "asked.jsonl").read_text("utf-8").splitlines()]
    assert {one["path"] for one in asked} == {"/completion"}
    rows = rows_of(study, "generate-*/completions.jsonl")
    assert {row["engine"] for row in rows} == {"llama_cpp"}
    said = "llama.cpp b11434-fake, all F32, float32"
    assert {row["provenance"]["system_fingerprint"] for row in rows} == {said}
    verdicts = [row for row in rows_of(study, "judge-*/verdicts.jsonl") if row["aspect"] != "empty"]
    assert Counter(row["aspect"] for row in verdicts) == {"helpfulness": 12, "clarity": 12, "pairwise": 6}
    fingerprints = {row["provenance"]["system_fingerprint"] for row in verdicts if row["score"] != 0.5}
    assert fingerprints == {f"{said}, seed=1"}
    assert servers_of(study) == set()


@pytest.mark.parametrize(
    ("ended_by", "is_gguf"), [(signal.SIGKILL, False), (signal.SIGINT, False), (signal.SIGKILL, True)]
)
def test_nothing_runs_on_when_apply_is_killed_or_interrupted(
    study: Path, ended_by: signal.Signals, is_gguf: bool
) -> None:
    if is_gguf:
        of_gguf(study)
    applied = started(study, "apply", "--yes", VLLM_SERVER_SECONDS="30")
    patience = time.monotonic() + 300
    while not (study / "asked.jsonl").exists() and time.monotonic() < patience:
        assert applied.poll() is None, applied.communicate()[0]
        time.sleep(0.1)
    running = servers_of(study)
    assert len(running) == 2
    os.kill(applied.pid, ended_by)
    applied.communicate(timeout=HANG_SECONDS)
    assert applied.returncode != 0
    assert not left_of(running)


def here(study: Path, monkeypatch: pytest.MonkeyPatch, program: str) -> None:
    monkeypatch.chdir(study)
    monkeypatch.setenv("XP_VLLM", program)
    monkeypatch.setenv("XP_LLAMA_CPP", program)
    monkeypatch.setenv("VLLM_SERVER_ASKED", str(study / "asked.jsonl"))
    monkeypatch.setenv("VLLM_SERVER_HAS_NO_MODEL", "1")


def test_a_server_ends_with_the_apply_of_a_process_that_goes_on(
    study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here(study, monkeypatch, f"{sys.executable} {SERVER}")
    applied = load(study / "study.yaml").apply(in_process=True, report=False)
    assert applied.failures == ()
    assert (study / "asked.jsonl").exists()
    assert servers_of(study) == set()


TRAINING = """
  learnt: {method: sft, train: told, adapter: {r: 2}, training: {max_steps: 1}}
  more: {method: sft, train: told, adapter: {r: 4}, training: {max_steps: 1}}
judges: {empty: {judge: empty}}
"""


def test_a_study_that_trains_starts_one_server_for_all_that_it_asks_a_model(
    study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here(study, monkeypatch, f"{sys.executable} {SERVER}")
    rows = [{"item": f"t{n}", "instruction": f"Say {n}.", "response": str(n)} for n in range(2)]
    (study / "told.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    columns = "{item: item, instruction: instruction, response: response}"
    told = f"  told: {{rows: {{path: told.jsonl}}, columns: {columns}}}"
    text = SPEC.partition("\njudges:")[0].replace('["en", "fr"]', '["en"]') + TRAINING
    (study / "study.yaml").write_text(text.replace("evaluate:", f"{told}\nevaluate:"), "utf-8")
    applied = load(study / "study.yaml").apply(report=False)
    assert applied.failures == ()
    assert len(rows_of(study, "generate-*/completions.jsonl")) == 4 * 3
    assert len((study / "asked.jsonl.starts").read_text("utf-8").splitlines()) == 1


def test_a_server_that_cannot_start_is_started_once_in_an_apply_and_fails_each_of_its_steps(
    study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = study / "vllm"
    program.write_text(f"#!/bin/sh\necho x >> {study}/starts\necho 'ValueError: no such dtype'\nexit 3\n")
    program.chmod(0o755)
    here(study, monkeypatch, f"{program} serve")
    spec = study / "study.yaml"
    spec.write_text(SPEC.partition("\njudges:")[0], "utf-8")
    for n_starts in (1, 2):
        applied = load(spec).apply(report=False)
        assert len(applied.failures) == 4
        assert all("exit code 3: ValueError: no such dtype" in one.error for one in applied.failures)
        assert len((study / "starts").read_text().split()) == n_starts


def test_an_engine_that_the_study_leaves_open_is_asked_as_the_plan_resolved_it(
    study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here(study, monkeypatch, f"{sys.executable} {SERVER}")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    spec = study / "study.yaml"
    text = spec.read_text("utf-8").replace("engine: vllm, ", "").replace(", args: {seed: 1}", "")
    spec.write_text(f"engine: auto\n{text}", "utf-8")
    assert load(spec).apply(in_process=True, report=False).failures == ()
    assert {row["engine"] for row in rows_of(study, "generate-*/completions.jsonl")} == {"vllm"}
    assert len((study / "asked.jsonl.starts").read_text("utf-8").splitlines()) == 1  # it answers and judges
    assert load(spec).plan().diff.todo == ()
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    todo = load(spec).plan().diff.todo
    assert len([step for step in todo if step.startswith("generate-")]) == 4


def test_a_server_has_ended_when_the_worker_that_waits_with_it_has(
    study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ends_slowly = '(trap "sleep 1; exit" TERM; while :; do sleep 0.1; done) & exec "$@"'
    here(study, monkeypatch, shlex.join(["sh", "-c", ends_slowly, "sh", sys.executable, str(SERVER)]))
    plan, store = load(study / "study.yaml").plan().diff.plan, Store(study / ".xp")
    step_id, step = next((i, one) for i, one in plan.steps.items() if isinstance(one, GenerateStep))
    worker = Worker(store, step.affinity, {})
    try:
        for one in (step.examples, step_id):
            worker.give(Task.model_validate({"step_id": one, "step": plan.steps[one]}))
            while worker.is_busy:
                assert [event.status for event in worker.news() if isinstance(event, Ended)] in ([], ["done"])
                time.sleep(0.05)
        assert len(servers_of(study)) >= 3
    finally:
        worker.end()
    assert servers_of(study) == set()
