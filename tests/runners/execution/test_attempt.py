import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from dsl.data.records import Outcome
from dsl.data.source import Columns, FileSource
from dsl.errors import DataError, StepFailed, StoreError
from dsl.steps.identity import step_id
from dsl.steps.steps import DataStep
from runners.execution.attempt import attempt, in_one_line
from runners.execution.versions import ROOT
from runners.models.startup_time import importing, taken
from runners.store.step_io import StepContext, StepResult
from runners.store.store import Store

STEP = DataStep(
    source=FileSource(path="x.jsonl", sha256="0" * 64, format="jsonl"),
    columns=Columns(instruction="q"),
    language="en",
)
ID = step_id(STEP)

Run = Callable[[DataStep, StepContext, Path], StepResult]


@pytest.fixture
def go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Run], Outcome]:
    """Makes an attempt at a step whose runner is the given function."""

    def make(run: Run) -> Outcome:
        monkeypatch.setattr("runners.execution.attempt.find_runner", lambda kind: SimpleNamespace(run=run))
        return attempt(ID, STEP, Store(tmp_path), (), lambda done, total: None, to_log=True)

    return make


def log_of(store: Path) -> str:
    (log,) = store.glob("steps/*/log.txt")
    return log.read_text("utf-8")


def test_what_a_runner_counts_is_in_the_outcome_with_versions_memory_and_time(
    go: Callable[[Run], Outcome], tmp_path: Path
) -> None:
    made = StepResult(n_rows=3, n_reused=1, load_seconds=0.5, facts={"dtype": "float32"})
    outcome = go(lambda step, context, out: made)
    assert (outcome.n_rows, outcome.n_reused, outcome.load_seconds) == (3, 1, 0.5)
    assert outcome.facts == {"device": "cpu", "dtype": "float32"}
    assert outcome.versions["python"] == sys.version.split()[0]
    assert {"torch", "transformers", "trl", "peft", "tokenizers", "duckdb"} <= set(outcome.versions)
    if (ROOT / ".git").exists():
        head = subprocess.run(
            ["git", "-C", str(ROOT), "rev-parse", "HEAD"], capture_output=True, text=True, check=True
        ).stdout
        assert head.startswith(outcome.versions["xp-lab commit"].removesuffix("-dirty"))
    assert outcome.peak_memory_bytes is not None
    assert outcome.peak_memory_bytes > 10 * 2**20
    assert Store(tmp_path).done() == {ID}


def test_importing_is_counted_by_itself_and_for_the_first_step_alone(go: Callable[[Run], Outcome]) -> None:
    def run(step: DataStep, context: StepContext, out: Path) -> StepResult:
        with importing():
            time.sleep(0.05)
        return StepResult()

    taken()
    with importing():
        time.sleep(0.5)  # before its first step: the process's own start
    first = go(run)
    assert 0.55 <= first.start_seconds <= first.seconds
    assert 0.05 <= go(run).start_seconds < 0.5
    assert go(lambda step, context, out: StepResult()).start_seconds == 0


def test_everything_a_library_prints_goes_to_the_log_and_nothing_to_this_process_s_output(
    go: Callable[[Run], Outcome], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    def run(step: DataStep, context: StepContext, out: Path) -> StepResult:
        os.write(1, b"from C\n")
        os.write(2, b"from C, too\n")
        subprocess.run(["echo", "from a child"], check=True)
        return StepResult()

    go(run)
    os.write(1, b"afterwards\n")
    assert log_of(tmp_path) == "from C\nfrom C, too\nfrom a child\n"
    assert capfd.readouterr().out == "afterwards\n"


def test_an_error_is_one_line_and_its_traceback_is_in_the_log(
    go: Callable[[Run], Outcome], tmp_path: Path
) -> None:
    def run(step: DataStep, context: StepContext, out: Path) -> StepResult:
        raise ValueError("first\nsecond")

    with pytest.raises(StepFailed, match=r"^ValueError: first second$"):
        go(run)
    assert "Traceback" in log_of(tmp_path)
    assert "in run" in log_of(tmp_path)
    assert Store(tmp_path).done() == frozenset()


def test_the_log_keeps_what_earlier_attempts_said(go: Callable[[Run], Outcome], tmp_path: Path) -> None:
    def fail(step: DataStep, context: StepContext, out: Path) -> StepResult:
        raise ValueError("the first time")

    with pytest.raises(StepFailed):
        go(fail)
    go(lambda step, context, out: StepResult())
    assert "the first time" in log_of(tmp_path)


def test_a_full_disk_is_an_error_of_the_store_that_says_what_to_do(go: Callable[[Run], Outcome]) -> None:
    def run(step: DataStep, context: StepContext, out: Path) -> StepResult:
        raise OSError(28, "No space left on device", str(out / "rows.jsonl"))

    with pytest.raises(
        StoreError,
        match=r"^no space left on device while writing \S+/rows.jsonl. Free space and apply again$",
    ):
        go(run)


def test_what_runs_is_handed_its_inputs_folders_and_the_cache(
    go: Callable[[Run], Outcome], tmp_path: Path
) -> None:
    seen: list[tuple[StepContext, Path]] = []

    def run(step: DataStep, context: StepContext, out: Path) -> StepResult:
        seen.append((context, out))
        return StepResult()

    go(run)
    ((context, out),) = seen
    assert (dict(context.folders), context.cache) == ({}, tmp_path / "cache")
    assert out == Store(tmp_path).unfinished_folder(ID)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems count a process's peak, not a step's")
def test_peak_memory_is_the_step_s_own_and_not_the_worker_s(
    go: Callable[[Run], Outcome], tmp_path: Path
) -> None:
    def hungry(step: DataStep, context: StepContext, out: Path) -> StepResult:
        assert len(b"x" * (300 * 2**20))
        return StepResult()

    greedy = go(hungry).peak_memory_bytes
    modest = go(lambda step, context, out: StepResult()).peak_memory_bytes
    assert greedy is not None
    assert modest is not None
    assert greedy - modest > 250 * 2**20


class OutOfMemoryError(RuntimeError):
    """As torch calls it."""


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (DataError("x.jsonl: no rows"), "x.jsonl: no rows"),
        (KeyError("a"), "KeyError: 'a'"),
        (MemoryError(), "out of memory"),
        (
            OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB."),
            "out of memory: CUDA out of memory. Tried to allocate 2 GiB.",
        ),
        (
            RuntimeError("DefaultCPUAllocator: can't allocate memory"),
            "out of memory: DefaultCPUAllocator: can't allocate memory",
        ),
        (AssertionError(), "AssertionError"),
        (ValueError("a\x1b[31mb"), "ValueError: a\\x1b[31mb"),
        (ValueError("key hf_abcdefghijklmnopqrst"), "ValueError: key «redacted»"),
    ],
)
def test_an_error_in_one_line(error: Exception, line: str) -> None:
    assert in_one_line(error) == line


def test_an_endless_message_is_cut() -> None:
    assert len(in_one_line(ValueError("x" * 10_000))) == 600
