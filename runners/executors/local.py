"""Runs steps on this machine: in worker processes, or in this one where a debugger is at work.

A worker takes the steps that share its model one after another, and ends when none is left or another model needs its place, so that memory
comes back. A step that fails, or takes its worker with it, costs itself and what hangs on it; the rest goes on.
"""

import contextlib
import datetime
import os
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field

from dsl.errors import StepFailed, StoreError
from dsl.steps import Step
from dsl.values import StepId
from dsl.words import one_line
from runners.attempt import attempt
from runners.donors import Donors
from runners.events import Ended, Event, Progress, Skipped, Started
from runners.schedule import Schedule
from runners.store import Store
from runners.worker import MESSAGE, Finished, Report, Task

OnEvent = Callable[[Event], None]

_MALLOC = {
    # glibc gives big tensors back to the system as soon as they are freed and asks for them anew at the next token; told to keep them,
    # generation takes about half the time. It reads this before Python starts.
    "MALLOC_MMAP_THRESHOLD_": str(1 << 30),
    "MALLOC_TRIM_THRESHOLD_": str(1 << 32),
    "MALLOC_TOP_PAD_": str(1 << 26),
}
_LOOK_SECONDS = 0.5
"""How often a worker is looked after that says nothing: children it has forked may hold its pipe open after its death."""


def run(todo: Mapping[StepId, Step], done: Collection[StepId], store: Store, jobs: int, on_event: OnEvent, *, in_process: bool) -> None:
    """Run every step of `todo` that can be run, at most `jobs` at once, and tell each thing that happens.

    `todo` comes in an order in which each step is after its inputs; `done` are the steps whose files are there.

    Raises:
        StoreError: nothing can be written, as on a full disk; every attempt has been told of as ended.
        KeyboardInterrupt: so were attempts that it interrupted; no process is left behind.
    """
    schedule = Schedule(todo, done)
    for step_id, reason in schedule.without_input().items():
        on_event(Skipped(step_id, reason))
    if schedule.is_over():
        return
    road = _run_here if in_process else _run_in_workers
    road(todo, schedule, Donors(store), store, 1 if in_process else jobs, on_event)


@dataclass
class _Attempt:
    """A step that is being run, and by whom."""

    step_id: StepId
    pid: int
    clock: float = field(default_factory=time.monotonic)
    started_at: str = field(default_factory=lambda: datetime.datetime.now(datetime.UTC).isoformat(timespec="microseconds"))

    def started(self) -> Started:
        return Started(self.step_id, self.started_at, self.pid)

    def done(self, message: Finished) -> Ended:
        return Ended(self.step_id, self.started_at, self.pid, self._seconds(), "done", outcome=message.outcome)

    def failed(self, error: str) -> Ended:
        return Ended(self.step_id, self.started_at, self.pid, self._seconds(), "failed", error=error)

    def interrupted(self) -> Ended:
        return Ended(self.step_id, self.started_at, self.pid, self._seconds(), "interrupted", error="interrupted")

    def _seconds(self) -> float:
        return time.monotonic() - self.clock


def _settle(ended: Ended, step: Step, schedule: Schedule, donors: Donors, on_event: OnEvent) -> None:
    """What follows from an attempt's end."""
    donors.add(ended.step_id, step)
    on_event(ended)
    if ended.status == "done":
        schedule.done(ended.step_id)
    else:
        for step_id, reason in schedule.failed(ended.step_id).items():
            on_event(Skipped(step_id, reason))


# ---------------------------------------------------------------- in this process


def _run_here(todo: Mapping[StepId, Step], schedule: Schedule, donors: Donors, store: Store, jobs: int, on_event: OnEvent) -> None:
    loaded = ""
    while step_id := schedule.take(loaded=[loaded], busy=[]):
        step, now = todo[step_id], _Attempt(step_id, os.getpid())
        loaded = step.affinity or loaded
        on_event(now.started())
        try:
            outcome = attempt(
                step_id,
                step,
                store,
                donors.of(step_id, step),
                lambda done, total, step_id=step_id: on_event(Progress(step_id, done, total)),
                to_log=False,
            )
        except StepFailed as error:
            ended = now.failed(str(error))
        except StoreError as error:
            on_event(now.failed(str(error)))
            raise
        except KeyboardInterrupt:
            on_event(now.interrupted())
            raise
        else:
            ended = now.done(Finished(outcome=outcome))
        _settle(ended, step, schedule, donors, on_event)


# ---------------------------------------------------------------- in workers


def _run_in_workers(todo: Mapping[StepId, Step], schedule: Schedule, donors: Donors, store: Store, jobs: int, on_event: OnEvent) -> None:
    workers: list[_Worker] = []
    try:
        while not schedule.is_over():
            while sum(worker.is_busy for worker in workers) < jobs and (step_id := _next(schedule, workers)):
                worker = _worker_for(todo[step_id].affinity, workers, store, jobs)
                busy = frozenset(w.now.step_id for w in workers if w.now)
                now = worker.give(Task(step_id=step_id, step=todo[step_id], donors=donors.of(step_id, todo[step_id], busy)))
                on_event(now.started())
            with selectors.DefaultSelector() as selector:
                for worker in workers:
                    selector.register(worker, selectors.EVENT_READ)
                selector.select(_LOOK_SECONDS)
            for worker in list(workers):
                for event in worker.news():
                    if isinstance(event, Progress):
                        on_event(event)
                    else:
                        _settle(event, todo[event.step_id], schedule, donors, on_event)
                if worker.is_over or not (worker.is_busy or schedule.has_left(worker.affinity)):
                    worker.end()
                    workers.remove(worker)
    finally:
        interrupted = [worker.now for worker in workers if worker.now]
        for worker in workers:
            worker.end()
        for now in interrupted:
            on_event(now.interrupted())


def _next(schedule: Schedule, workers: list["_Worker"]) -> StepId | None:
    return schedule.take(
        loaded=[worker.affinity for worker in workers if not worker.is_busy],
        busy=[worker.affinity for worker in workers if worker.is_busy],
    )


def _worker_for(affinity: str, workers: list["_Worker"], store: Store, jobs: int) -> "_Worker":
    """A waiting worker that has the model loaded, or a new one; then the waiting ones with other models make room."""
    waiting = [worker for worker in workers if not worker.is_busy]
    for worker in waiting:
        if worker.affinity == affinity:
            return worker
    for worker in waiting:
        if affinity and worker.affinity:
            worker.end()
            workers.remove(worker)
    worker = _Worker(store, affinity, jobs)
    workers.append(worker)
    return worker


class _Worker:
    """A process, the pipe to it and the pipe from it."""

    def __init__(self, store: Store, affinity: str, jobs: int) -> None:
        self.affinity = affinity
        self.now: _Attempt | None = None
        self.is_over = False
        self._half = b""
        self._complaints = tempfile.TemporaryFile()  # noqa: SIM115  (closed in `end`)
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "runners.worker", "--store", str(store.root), "--parent", str(os.getpid())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._complaints,
            env=_environment(jobs),
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

    def give(self, task: Task) -> _Attempt:
        self.now = _Attempt(task.step_id, self._process.pid)
        with contextlib.suppress(BrokenPipeError):  # it has died meanwhile; `news` will say so
            self._tasks.write(task.model_dump_json().encode() + b"\n")
            self._tasks.flush()
        return self.now

    def news(self) -> Iterator[Progress | Ended]:
        """What happened since the last look."""
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
                yield now.done(message)
                continue
            self.is_over = True
            yield now.failed(message.error)
            if message.is_store_error:
                raise StoreError(message.error)
        if death is not None:
            self.is_over = True
            if self.now is not None:
                now, self.now = self.now, None
                yield now.failed(death)

    def end(self) -> None:
        """Whatever it is doing: rows that it finished are on the disk already."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        with contextlib.suppress(BrokenPipeError):  # a task it did not live to read
            self._tasks.close()
        self._answers.close()
        self._complaints.close()

    def _read(self) -> bytes:
        read = b""
        with contextlib.suppress(BlockingIOError):
            while some := os.read(self.fileno(), 1 << 16):
                read += some
        return read

    def _death(self) -> str | None:
        """How the process died, if it did."""
        code = self._process.poll()
        if code is None:
            return None
        if code < 0:
            why = "killed; out of memory?" if -code == signal.SIGKILL else signal.strsignal(-code)
            return f"worker died: signal {-code} ({why})"
        self._complaints.seek(0)
        last = self._complaints.read().decode(errors="replace").strip().rpartition("\n")[2]
        return f"worker ended with exit code {code}" + (f": {one_line(last)}" if last else "")


def _environment(jobs: int) -> dict[str, str]:
    """What a worker's libraries read before its first line runs. What a person has set stays set."""
    environment = {**_MALLOC, "TOKENIZERS_PARALLELISM": "false", "HF_HUB_DISABLE_TELEMETRY": "1"}
    if jobs > 1:
        cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
        environment["OMP_NUM_THREADS"] = str(max(1, cores // jobs))
    # the same modules as here, wherever this process found them
    return {**environment, **os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
