"""Worker process as its parent sees it: tasks go in, events come out, its death included."""

import contextlib
import datetime
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from dsl.data.records import Outcome
from dsl.errors import StoreError
from dsl.messages import one_line
from dsl.values import StepId
from runners.execution.events import Ended, Progress, Started
from runners.execution.worker import MESSAGE, Finished, Report, Task
from runners.store.store import Store

MALLOC = {
    # glibc gives big tensors back to the system as soon as they are freed and asks for them anew at the next
    # token; told to keep them, generation takes about half the time. It reads this before Python starts.
    "MALLOC_MMAP_THRESHOLD_": str(1 << 30),
    "MALLOC_TRIM_THRESHOLD_": str(1 << 32),
    "MALLOC_TOP_PAD_": str(1 << 26),
    # Memory in large pages, where the system leaves that to programs: weights that are read through at every
    # token are found sooner.
    "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1",
}
_OPENMP = {
    # A thread that waits for the others gives its core away instead of spinning on it: beside another busy
    # process, spinning made generation ten times slower. Not at once, though: waking it takes longer than
    # most of the steps of a small model's token, and without a moment's patience generation took a quarter
    # longer.
    "OMP_WAIT_POLICY": "PASSIVE",
    "GOMP_SPINCOUNT": "10000",
}


_END_SECONDS = 20.0
"""Patience with a worker that ends the server which it has started: the next one may need its memory."""


@dataclass
class Attempt:
    """A step that is being run, and by whom."""

    step_id: StepId
    pid: int
    clock: float = field(default_factory=time.monotonic)
    started_at: str = field(
        default_factory=lambda: datetime.datetime.now(datetime.UTC).isoformat(timespec="microseconds")
    )

    def started(self) -> Started:
        return Started(self.step_id, self.started_at, self.pid)

    def done(self, outcome: Outcome) -> Ended:
        return Ended(self.step_id, self.started_at, self.pid, self._seconds(), "done", outcome=outcome)

    def failed(self, error: str) -> Ended:
        return Ended(self.step_id, self.started_at, self.pid, self._seconds(), "failed", error=error)

    def stopped(self, error: str) -> Ended:
        return Ended(self.step_id, self.started_at, self.pid, self._seconds(), "stopped", error=error)

    def interrupted(self) -> Ended:
        return Ended(
            self.step_id, self.started_at, self.pid, self._seconds(), "interrupted", error="interrupted"
        )

    def _seconds(self) -> float:
        return time.monotonic() - self.clock


class Worker:
    """A process, the pipe to it and the pipe from it."""

    def __init__(
        self, store: Store, affinity: str, settings: Mapping[str, str], folder: Path | None = None
    ) -> None:
        """`settings`: environment variables that this worker gets instead of what this process has. `folder`:
        where it works, if not here."""
        self.affinity, self.settings = affinity, settings
        self.now: Attempt | None = None
        self.is_over = False
        self._half = b""
        self._complaints = tempfile.TemporaryFile()  # noqa: SIM115  (closed in `end`)
        self._process = subprocess.Popen(
            [
                sys.executable,
                "-P",
                "-m",
                "runners.execution.worker",
                "--store",
                str(store.root),
                "--parent",
                str(os.getpid()),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._complaints,
            env=environment(settings),
            cwd=folder,
            start_new_session=True,  # the terminal's Ctrl-C is for `apply` alone, which then ends its workers
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._tasks, self._answers = self._process.stdin, self._process.stdout
        os.set_blocking(self._answers.fileno(), False)

    @property
    def is_busy(self) -> bool:
        return self.now is not None

    def fileno(self) -> int:
        return self._answers.fileno()

    def give(self, task: Task) -> Attempt:
        self.now = Attempt(task.step_id, self._process.pid)
        with contextlib.suppress(BrokenPipeError):  # it has died meanwhile; `news` will say so
            self._tasks.write(task.model_dump_json().encode() + b"\n")
            self._tasks.flush()
        return self.now

    def news(self) -> Iterator[Progress | Ended]:
        """Yield the events since the last look."""
        death = self._death()  # before reading, so that nothing said earlier is missed
        *lines, self._half = (self._half + self._read()).split(b"\n")
        for line in lines:
            message = MESSAGE.validate_json(line)
            now = self.now
            assert now is not None
            if isinstance(message, Report):
                yield Progress(now.step_id, message.done, message.total)
                continue
            self.now = None
            if isinstance(message, Finished):
                yield now.done(message.outcome)
                continue
            self.is_over = True
            yield now.stopped(message.error) if message.is_stopped else now.failed(message.error)
            if message.is_store_error:
                raise StoreError(message.error)
        if death is not None:
            self.is_over = True
            if self.now is not None:
                now, self.now = self.now, None
                yield now.failed(death)

    def end(self) -> None:
        """Whatever it is doing: rows that it finished are on the disk already. One that waits ends by itself,
        and its server before it."""
        is_busy = self.is_busy
        with contextlib.suppress(BrokenPipeError):  # a task it did not live to read
            self._tasks.close()
        if not is_busy:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_END_SECONDS)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._answers.close()
        self._complaints.close()

    def _read(self) -> bytes:
        read = b""
        with contextlib.suppress(BlockingIOError):
            while some := os.read(self.fileno(), 1 << 16):
                read += some
        return read

    def _death(self) -> str | None:
        """Describe how the process died; None while it lives."""
        code = self._process.poll()
        if code is None:
            return None
        if code < 0:
            why = "killed; out of memory?" if -code == signal.SIGKILL else signal.strsignal(-code)
            return f"worker died: signal {-code} ({why})"
        self._complaints.seek(0)
        last = self._complaints.read().decode(errors="replace").strip().rpartition("\n")[2]
        return f"worker ended with exit code {code}" + (f": {one_line(last)}" if last else "")


def environment(settings: Mapping[str, str]) -> dict[str, str]:
    """Return the environment that a worker's libraries read before its first line runs. What a person has set
    stays set."""
    environment = {**MALLOC, **_OPENMP, "TOKENIZERS_PARALLELISM": "false", "HF_HUB_DISABLE_TELEMETRY": "1"}
    # the same as here, wherever this process found them
    modules = {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    return {**environment, **os.environ, **modules, **settings}
