import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import pytest

from runners.execution.worker import MESSAGE, Failed, Finished, Report, Task
from runners.store.store import Store
from tests.xp.small_study import HANG_SECONDS, plan_of, rows_of, step_ids, wait_for, write_study


class Talk:
    """A worker, asked and heard by hand."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process

    def ask(self, task: Task) -> None:
        self._stdin.write(task.model_dump_json().encode() + b"\n")
        self._stdin.flush()

    def hear(self) -> Report | Finished | Failed:
        return MESSAGE.validate_json(self._stdout.readline())

    def hear_last(self) -> Finished | Failed:
        while isinstance(message := self.hear(), Report):
            pass
        return message

    def hang_up(self) -> None:
        self._stdin.close()

    @property
    def _stdin(self) -> IO[bytes]:
        assert self.process.stdin is not None
        return self.process.stdin

    @property
    def _stdout(self) -> IO[bytes]:
        assert self.process.stdout is not None
        return self.process.stdout


@contextmanager
def worker(store: Path, parent: int | None = None) -> Iterator[Talk]:
    command = [
        sys.executable,
        "-m",
        "runners.execution.worker",
        "--store",
        str(store),
        "--parent",
        str(parent or os.getpid()),
    ]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            yield Talk(process)
        finally:
            process.kill()


def tasks(folder: Path, *, seconds_per_row: float = 0.0) -> tuple[Task, Task]:
    """A data step and the generate step that needs it."""
    plan = plan_of(write_study(folder, languages=("en",), n_items=30, seconds_per_row=seconds_per_row))
    data, generate = (next(iter(step_ids(plan, kind))) for kind in ("data", "generate"))
    return tuple(
        Task.model_validate({"step_id": step_id, "step": plan.steps[step_id]}) for step_id in (data, generate)
    )  # type: ignore[return-value]


def test_a_worker_runs_one_step_after_another_and_reports_rows_as_they_are_made(tmp_path: Path) -> None:
    data, generate = tasks(tmp_path / "study", seconds_per_row=0.02)
    with worker(tmp_path / "store") as talk:
        talk.ask(data)
        talk.ask(generate)
        finished = talk.hear_last()
        assert isinstance(finished, Finished)
        assert (finished.outcome.step_id, finished.outcome.n_rows) == (data.step_id, 30)
        reports: list[int] = []
        while isinstance(message := talk.hear(), Report):
            assert message.total == 30
            reports.append(message.done)
        assert isinstance(message, Finished)
        assert message.outcome.step_id == generate.step_id
        assert reports == sorted(reports)
        assert reports[-1] == 30
        assert 2 < len(reports) < 20  # ten a second, not one a row
    assert Store(tmp_path / "store").done() == {data.step_id, generate.step_id}


def test_a_worker_ends_after_a_step_that_failed(tmp_path: Path) -> None:
    data, _ = tasks(tmp_path / "study")
    (tmp_path / "study" / "en.jsonl").unlink()
    with worker(tmp_path / "store") as talk:
        talk.ask(data)
        failed = talk.hear_last()
        assert isinstance(failed, Failed)
        assert "en.jsonl" in failed.error
        assert not failed.is_store_error
        assert talk.process.wait(timeout=HANG_SECONDS) == 0


def test_a_worker_ends_in_the_midst_of_a_step_when_its_input_does(tmp_path: Path) -> None:
    data, generate = tasks(tmp_path / "study", seconds_per_row=0.2)
    with worker(tmp_path / "store") as talk:
        talk.ask(data)
        talk.ask(generate)
        folder = Store(tmp_path / "store").unfinished_folder(generate.step_id)
        wait_for(lambda: len(rows_of(folder)) >= 2)
        talk.hang_up()
        assert talk.process.wait(timeout=HANG_SECONDS) == 0
    assert 2 <= len(rows_of(folder)) < 30


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process of its parent's end")
def test_a_worker_dies_with_its_parent_even_if_somebody_still_holds_its_input_open(tmp_path: Path) -> None:
    program = (
        "import os, subprocess, sys\nchild = subprocess.Popen([sys.executable, '-m',"
        " 'runners.execution.worker', '--store', sys.argv[1], '--parent',"
        " str(os.getpid())])\nprint(child.pid, flush=True)\nchild.wait()\n"
    )
    read, write = os.pipe()
    with subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)], stdin=read, stdout=subprocess.PIPE
    ) as parent:
        assert parent.stdout is not None
        child = Path("/proc") / parent.stdout.readline().decode().strip()
        wait_for(lambda: b"runners.execution.worker" in (child / "cmdline").read_bytes())
        time.sleep(0.5)
        assert child.exists()
        parent.send_signal(signal.SIGKILL)
        parent.wait()
        wait_for(lambda: not child.exists() or "Z" in (child / "stat").read_text().split()[2])
    os.close(read)
    os.close(write)


def test_a_worker_whose_parent_is_gone_already_does_not_begin(tmp_path: Path) -> None:
    with worker(tmp_path / "store", parent=1) as talk:
        assert talk.process.wait(timeout=HANG_SECONDS) == 0
