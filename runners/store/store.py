"""The store: a folder of finished steps. A kill at any moment leaves either a whole step or an attempt to go
on from.

    <root>/steps/<step_id>/        finished: step.json, outcome.json, log.txt and what the step's kind writes
                                   and `open`, where the next apply asks for rows again
                                   (`runners.store.faults`)
    <root>/steps/<step_id>.tmp/    unfinished: whole rows and checkpoints in it are taken over by the next
    attempt
                                   (`code.json` says which code made checkpoints; a row says it itself)
    <root>/runs/<run_id>.json      one attempt at a step, `.begun` until it ends
    <root>/experiments/<name>.json what the warehouse must know of a study <root>/labels/<name>/<judge>.jsonl
    what people said of a study's answers <root>/allowed.json            which environment variables may be
    sent to which servers <root>/damaged/<step_id>/      a finished step whose files were no longer as they
    were written, before it was made again <root>/cache/                  what can be made again, such as
    converted weights <root>/lock                    who is applying: process, host, since when
    <root>/warehouse.duckdb        made from all of the above

Both locks are `flock`s: the system lets go of them when their process ends, however it ends, so what a killed
process left behind needs no clearing. One is on the whole store, one on each attempt, so that a worker that
outlived its parent and a new one never write the same step.
"""

import contextlib
import datetime
import errno
import fcntl
import functools
import json
import os
import shlex
import shutil
import socket
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from dsl.data.records import Label, Outcome, Run, read_record
from dsl.data.regular_files import sync
from dsl.errors import DataError, StoreError, StoreLocked
from dsl.plan.study import Study
from dsl.steps.identity import Canonical
from dsl.steps.steps import AnyStep, Step
from dsl.values import StepId, Value
from runners.store import faults
from runners.store.digests import describe
from runners.store.step_io import rewrite_rows, write_json

ORPHAN_SECONDS = 120.0
"""How long an attempt waits for a process that still holds the same step: a worker whose parent was killed
ends in a second or two, and a file server lets go of a lost machine's locks after a minute and a half
(NFSv4)."""


class Store:
    """The folder at `root`, which need not exist yet."""

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()
        self.steps = self.root / "steps"
        self.runs = self.root / "runs"
        self.experiments = self.root / "experiments"
        self.cache = self.root / "cache"
        self.warehouse = self.root / "warehouse.duckdb"
        self.is_shared = True
        """Whether a step may take over rows that other steps have."""

    def step_folder(self, step_id: StepId) -> Path:
        """Where the step lies once it is finished."""
        return self.steps / step_id

    def unfinished_folder(self, step_id: StepId) -> Path:
        """Where an attempt at the step writes."""
        return self.steps / f"{step_id}.tmp"

    def is_done(self, step_id: StepId) -> bool:
        return (self.steps / step_id / "outcome.json").exists()

    def done(self) -> frozenset[StepId]:
        """Every finished step whose rows are final: one look at the folder and two into each step's, about 15
        µs a step."""
        return frozenset(
            name for name in self._finished() if not os.path.exists(f"{self.steps}/{name}/{faults.MARKER}")
        )

    def left_open(self) -> frozenset[StepId]:
        """Every finished step with rows that are to be asked for again."""
        return frozenset(
            name for name in self._finished() if os.path.exists(f"{self.steps}/{name}/{faults.MARKER}")
        )

    def _finished(self) -> list[StepId]:
        if not self.steps.is_dir():
            return []
        names = [name for name in os.listdir(self.steps) if not name.endswith(".tmp")]
        return [name for name in names if os.path.exists(f"{self.steps}/{name}/outcome.json")]

    def reopen(self, step_id: StepId) -> None:
        """Make a finished step an unfinished one, so that it is run again and its valid rows are taken over;
        others stay as they are."""
        folder, finished = self.unfinished_folder(step_id), self.step_folder(step_id)
        if finished.is_dir():
            (finished / "outcome.json").unlink(missing_ok=True)
            if folder.exists():
                shutil.rmtree(folder)
            finished.rename(folder)

    def set_aside(self, step_id: StepId) -> Path:
        """Move a damaged step out of the way, so that none of its rows are taken over. Returns where it lies
        now."""
        kept = self.root / "damaged" / step_id
        kept.parent.mkdir(exist_ok=True)
        if kept.is_dir():
            shutil.rmtree(kept)
        self.step_folder(step_id).replace(kept)
        return kept

    def check_is(self, step_id: StepId, step: Step) -> None:
        """Raise StoreError where another step lies under this id, finished or not, whose hash begins with the
        same digits by chance."""
        for folder in (self.step_folder(step_id), self.unfinished_folder(step_id)):
            found = read_step(folder)
            if found is not None and found != step and Canonical().text(found) != Canonical().text(step):
                raise StoreError(
                    f"{folder} holds another step with the id {step_id}. Choose another `--store`, or move"
                    " that folder away: its step is made again by the studies that need it"
                )

    @contextlib.contextmanager
    def begin(self, step_id: StepId, step: Step) -> Iterator[Path]:
        """An attempt at a step: the folder to write into, held against every other process until the block
        ends.

        What an earlier attempt left is still in the folder. A finished step becomes an unfinished one again.

        Raises:
            StoreLocked: another process is at work on this step.
            StoreError: another step has this id.
        """
        self.check_is(step_id, step)
        folder = self.unfinished_folder(step_id)
        self.reopen(step_id)
        lock = _hold_step(folder)
        # finished by a worker that outlived its parent, while this one waited
        while self.step_folder(step_id).exists():
            os.close(lock)
            self.reopen(step_id)
            lock = _hold_step(folder)
        try:
            write_json(folder / "step.json", step)
            yield folder
        finally:
            os.close(lock)

    def finish(self, step_id: StepId, outcome: Outcome) -> Outcome:
        """Declare the attempt that was begun a result: everything on the disk, then one rename. Returns the
        outcome with the files' digests."""
        folder, finished = self.unfinished_folder(step_id), self.step_folder(step_id)
        if outcome.n_open:
            (folder / faults.MARKER).touch()
        else:
            (folder / faults.MARKER).unlink(missing_ok=True)
        outcome = outcome.model_copy(update={"files": describe(folder)})
        for path in folder.rglob("*"):
            if path.is_dir() or path.stat().st_size:
                sync(path)
        write_json(folder / "outcome.json", outcome)
        folder.rename(finished)
        sync(self.steps)
        (finished / ".lock").unlink()
        return outcome

    def record_begun(self, run: Run) -> None:
        """Write down an attempt as it begins, in the words that are true if nothing more is heard of it."""
        self._record(self.runs / f"{run.run_id}.begun", run)

    def record_run(self, run: Run) -> None:
        """Write down how an attempt ended."""
        self._record(self.runs / f"{run.run_id}.json", run)
        (self.runs / f"{run.run_id}.begun").unlink(missing_ok=True)

    def record_killed_runs(self) -> tuple[str, ...]:
        """Close the books on attempts whose recorder was killed. Only who holds the store's lock may do this.
        Returns what to tell of it."""
        notes: list[str] = []
        for begun in sorted(self.runs.glob("*.begun")):
            if begun.with_suffix(".json").exists():  # killed between two lines of `record_run`
                begun.unlink()
                continue
            try:
                run = read_record(begun, Run)
            except DataError as error:  # as a power cut leaves it
                notes.append(f"{error}. It is deleted now: the attempt was interrupted.")
                begun.unlink()
            else:
                self.record_run(run.model_copy(update={"seconds": self._last_sign_of_life(run)}))
        return tuple(notes)

    def has_study(self, study: Study) -> bool:
        """Whether the study is written down as it is."""
        try:
            return (self.experiments / f"{study.experiment}.json").read_bytes() == study.model_dump_json(
                indent=1
            ).encode()
        except OSError:
            return False

    def record_study(self, study: Study) -> None:
        self._record(self.experiments / f"{study.experiment}.json", study)

    def allowed(self) -> frozenset[tuple[str, str]]:
        """Environment variables and the servers that they may be sent to. What cannot be read allows
        nothing."""
        try:
            pairs = json.loads((self.root / "allowed.json").read_bytes())["variables"]
            return frozenset((str(variable), str(host)) for variable, host in pairs)
        except (OSError, ValueError, KeyError, TypeError):
            return frozenset()

    def allow(self, pairs: Iterable[tuple[str, str]]) -> None:
        """Let environment variables be sent to servers, from now on."""
        path = self.root / "allowed.json"
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            write_json(path, {"variables": sorted(self.allowed() | set(pairs))})
        except OSError as error:
            raise unwritten(error, path) from error

    def record_labels(self, experiment: str, judge: str, labels: Iterable[Label]) -> None:
        """Write down what people said under one judge's name, in the place of what they said before."""
        path = self.root / "labels" / experiment / f"{judge}.jsonl"
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            rewrite_rows(path, labels)
        except OSError as error:
            raise unwritten(error, path) from error

    def _record(self, path: Path, value: Value) -> None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_json(path, value)
        except OSError as error:
            raise unwritten(error, path) from error

    def _last_sign_of_life(self, run: Run) -> float:
        """Seconds from an attempt's start to the last change of a file in its folder."""
        folder = self.unfinished_folder(run.step_id)
        last = max((path.stat().st_mtime for path in folder.glob("*")), default=0.0)
        return max(0.0, last - datetime.datetime.fromisoformat(run.started_at).timestamp())

    def holder(self) -> str | None:
        """Who is applying to this store now, in words."""
        try:
            with (self.root / "lock").open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return _describe((self.root / "lock").read_bytes())
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            pass
        return None

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the store against every other `xp apply`.

        Raises:
            StoreLocked: someone else holds it; the message names the process, its host and since when.
            StoreError: the folder cannot be written.
        """
        path = self.root / "lock"
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise unwritten(error, path) from error
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(handle, 10_000, 0)
            os.close(handle)
            raise StoreLocked(
                f"{self.root} is in use: {_describe(holder)}. Wait until it ends, or choose another `--store`"
            ) from None
        except OSError as error:
            os.close(handle)
            raise StoreError(f"{path}: this file system gives no locks ({error.strerror})") from error
        try:
            try:
                _write_holder(handle)
            except OSError as error:
                raise unwritten(error, path) from error
            yield
            os.ftruncate(handle, 0)
        finally:
            os.close(handle)


def read_step(folder: Path) -> Step | None:
    """The settings of the step in a folder; None where there are none, or a version that knew others wrote
    them."""
    try:
        return _any_step().validate_json((folder / "step.json").read_bytes())
    except (OSError, ValidationError):
        return None


@functools.cache
def _any_step() -> TypeAdapter[Step]:  # which takes a while to make, and a plan needs none
    return TypeAdapter(AnyStep)


def is_disk_full(error: BaseException | None) -> bool:
    """Whether an error, or one below it, says that there is no room. Libraries in Rust and C++ raise what
    they like, so words count."""
    while error is not None:
        if getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT) or "No space left on device" in str(
            error
        ):
            return True
        error = error.__cause__ or error.__context__
    return False


def unwritten(error: BaseException, path: Path) -> StoreError:
    """What to raise where something could not be written."""
    if is_disk_full(error):
        return StoreError(f"no space left on device while writing {path}. Free space and apply again")
    return StoreError(f"{path}: cannot be written: {getattr(error, 'strerror', None) or error}")


def _hold_step(folder: Path) -> int:
    """Take the lock in an attempt's folder and return its descriptor.

    The holder may be finishing just now, which moves the folder away: then the lock just taken was that
    folder's, and a new one is needed.
    """
    patience = time.monotonic() + ORPHAN_SECONDS
    while True:
        folder.mkdir(parents=True, exist_ok=True)
        try:
            handle = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT, 0o644)
        except FileNotFoundError:
            continue
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_at(handle, folder / ".lock"):
                _write_holder(handle)
                return handle
            os.close(handle)
        except BlockingIOError:
            holder = os.pread(handle, 10_000, 0)
            os.close(handle)
            if time.monotonic() > patience:
                raise StoreLocked(f"{folder.stem} is being made already: {_describe(holder)}") from None
            time.sleep(0.05)


def _is_at(handle: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except FileNotFoundError:
        return False


def _write_holder(handle: int) -> None:
    holder = {
        "pid": os.getpid(),
        "host": socket.gethostname(),
        "since": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "command": shlex.join(sys.orig_argv),
    }
    os.ftruncate(handle, 0)
    os.pwrite(handle, json.dumps(holder).encode(), 0)


def _describe(holder: bytes) -> str:
    try:
        known = json.loads(holder)
        return f"process {known['pid']} on {known['host']} since {known['since']} ({known['command']})"
    except (ValueError, KeyError, TypeError):  # between taking the lock and writing who took it
        return "another process, begun just now"
