"""Walks a diff: runs its steps, loads each into the warehouse when it is finished, writes down every attempt.

Several applies may be at work on one store. Each makes the steps that no other one is making, waits for the
rest of its own, and loads when it is its turn. One that has to make finished steps again, which others may be
reading, must have the store alone.

The store's files are the truth. Whatever moment a kill comes at, what is on the disk is a whole step or an
attempt to go on from, and what is missing in the warehouse is loaded by the next `apply`, also by one that
finds nothing to run.
"""

import contextlib
import hashlib
import signal
import threading
import time
from collections.abc import Callable, Collection, Generator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from types import FrameType

from dsl.data.records import Run, RunProgress
from dsl.errors import ArgumentError, DataError, StoreError, StoreLocked, WarehouseError
from dsl.messages import dotted
from dsl.plan.diff import Diff
from dsl.plan.stopping import slices_of
from dsl.plan.study import Plan, Study
from dsl.spec.budget import Charge, Use
from dsl.steps.steps import Step
from dsl.values import Name, Sha256, StepId
from runners.execution.events import Ended, Event, Progress, Shared, Skipped, Started
from runners.execution.executors import find_executor
from runners.store import batches
from runners.store.applies import AtWork, at_work, clear_killed
from runners.store.bucket import Bucket
from runners.store.digests import Checks, Damaged, StepStates
from runners.store.locks import turn
from runners.store.share import sharing
from runners.store.store import Store
from warehouse.connect import PATIENCE_SECONDS
from warehouse.errors import WarehouseHeld
from warehouse.load import load_store
from xp.lock import refuse_moved
from xp.prompts import check_prompts
from xp.studies import applied_study, asked, checks_of, other_code
from xp.unchecked_rows import is_unchecked, late_faults

_TURN_SECONDS = 600.0
"""Time to wait at the end for other applies that load: all of a large study's statistics are in it."""

Watch = Callable[[Event], None]
"""Callback for each event as it happens."""


def ignore(event: Event) -> None:
    """Ignore an event."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A step that did not finish."""

    step_id: StepId
    error: str
    seconds: float
    log: Path

    def __str__(self) -> str:
        return f"{self.step_id} failed after {self.seconds:.0f} s: {self.error}. Log: {self.log}"


@dataclass(frozen=True, slots=True)
class Stopped:
    """A step that the budget stopped, or that waits at a provider; its rows so far are kept."""

    step_id: StepId
    reason: str
    n_rows: int
    n_all: int
    """Rows when it is done; 0 where it stopped before its first one."""
    n_waiting: int = 0
    """Its requests that wait at a provider."""


@dataclass(frozen=True, slots=True)
class Applied:
    """Result of an apply."""

    n_done: int
    """Steps that it has made."""
    n_skipped: int
    """Steps that hang on one that failed or was stopped."""
    failures: tuple[Failure, ...]
    notes: tuple[str, ...] = ()
    """Notes for the person, in sentences."""
    report: Path | None = None
    """The study's report, where it was asked for and could be written."""

    stopped: tuple[Stopped, ...] = ()
    """Steps that the budget stopped, or that wait at a provider."""
    spent: Use | None = None
    """Spending of all applies of a study with a budget."""
    n_shared: int = 0
    """Steps that other applies made."""

    @property
    def n_failed(self) -> int:
        return len(self.failures)


def apply(
    diff: Diff,
    store_root: Path,
    *,
    jobs: int | None = None,
    in_process: bool = False,
    watch: Watch = ignore,
    check: Callable[[], None] | None = None,
    bucket: Bucket | None = None,
) -> Applied:
    """Run what a diff says is to be done, and leave study, steps and attempts in the warehouse.

    Steps run where the spec says; on this machine at most `jobs` at once (None: one, or one on each GPU), or
    all of them in this process. The store may have changed since the diff was made: what was done meanwhile
    is not done again, what is gone is done again.

    Args:
        check: Called once the store is locked, before anything is run or recorded; what it raises ends the
            apply.
        bucket: Steps that are finished there are fetched; those made here are sent there.

    Raises:
        ArgumentError: `jobs` are named where a cluster runs the steps.
        SpecError: the study rests on other things now than its lock says.
        DataError: rows of the hub, read by now, have faults for which those of a file are refused, or prompts
            break the contract. Nothing was made from them.
        StoreLocked: a command has the store alone, or another study of this name is being applied, or others
            are at work and finished steps of this study have to be made again.
        StoreError: nothing more can be written, as on a full disk, or another step of the store has an id of
            this study's, or the bucket cannot be used as the apply begins.
        WarehouseError: steps are finished but cannot be loaded; the next apply tries again. A warehouse that
            somebody reads is no such
            error: steps run, rows are loaded when it is free, and a note says if they still wait at the end.
        KeyboardInterrupt: on Ctrl-C, and on SIGTERM and SIGHUP. No process is left behind.
    """
    store, study, execution = Store(store_root), diff.plan.study, diff.plan.execution
    store.is_shared = execution.reuse == "any"
    executor = "in_process" if in_process else execution.executor
    if jobs is not None and jobs > 1 and execution.is_on_cluster and not in_process:
        raise ArgumentError(
            f"--jobs is for this machine; with `executor: {executor}` the cluster decides what runs at once"
        )
    refuse_moved(diff, store.cache)
    with (
        at_work(store.root, study.experiment, _digest(asked(study))) as applying,
        _ended_by_signals(),
        contextlib.ExitStack() as shared,
    ):
        store.apply = applying.name
        if execution.budget is not None:
            store.charge = Charge(experiment=study.experiment, budget=execution.budget, apply=applying.name)
        if check is not None:
            check()
        checks, tried = checks_of(store_root), frozenset[StepId]()
        shared.enter_context(sharing(bucket, store, checks))
        ledger = _Ledger(store, study, diff.plan.steps, watch, new_study=study)
        ledger.note(*store.record_killed_runs())
        if store.charge is not None and (n := store.ledger(study.experiment).settle_killed()):
            ledger.note(f"{n} requests of a killed apply count with the most that they may have cost.")
        clear_killed(store.root)
        held, todo = _left_to_do(diff, checks, ledger, tried, applying)
        if not store.has_study(study):
            _check_ids(diff.plan, store, checks)
            store.record_study(study)
        if store.share is not None:
            finished = frozenset(ledger.pending)
            store.share.offer(step_id for step_id in diff.plan.steps if step_id in finished)
        # again, where a step made anew shows that others were made from other rows
        while todo:
            _make_ready(todo, held, ledger)
            _run(diff, todo, ledger, executor, jobs)
            tried |= {*todo}
            held, todo = _left_to_do(diff, checks, ledger, tried, applying)
        ledger.check_rows(diff)
        if store.share is not None:
            ledger.note(*store.share.finish())
        ledger.load_at_end()
        return ledger.applied()


def _digest(study: Study) -> Sha256:
    """SHA-256 of a study's JSON, in a tenth of the time that the canonical one of its cells takes."""
    return hashlib.sha256(study.model_dump_json().encode()).hexdigest()


def _check_ids(plan: Plan, store: Store, checks: Checks) -> None:
    """Raise StoreError where a finished step is another than the planned one of its id."""
    for step_id, step in plan.steps.items():
        with contextlib.suppress(Damaged):  # which is made again
            if checks.check(f"{store.steps}/{step_id}", step_id) is not None:
                store.check_is(step_id, step)


def _left_to_do(
    diff: Diff, checks: Checks, ledger: "_Ledger", tried: frozenset[StepId], applying: AtWork
) -> tuple[StepStates, tuple[StepId, ...]]:
    """Return what the store has of a plan, and the steps to run; the ledger is to load the rest.

    Raises StoreLocked where finished steps are to be made again and other applies, which may be reading
    them, are at work. Requests that failed are left to another apply then.
    """
    store, steps = ledger.store, diff.plan.steps
    held = checks.states(store.steps, steps)
    checks.save()
    left_open = store.left_open()
    taken = held.done - left_open - other_code(diff.plan, store, held.done)
    todo = _to_run(diff, held, taken, tried)
    if _finished(held, todo) and not applying.has_alone():
        todo = _to_run(diff, held, taken | left_open & held.done, tried)
        others, again = "; ".join(applying.others()), _finished(held, todo)
        if again and not tried:
            raise StoreLocked(
                f"{store.root} is in use: {others}. {len(again)} finished steps of this study have to be made"
                f" again, as {min(again)}, and others may be reading them. Wait until it ends, or choose"
                " another `--store`"
            )
        todo = [step_id for step_id in todo if step_id not in again]
        ledger.note(
            f"Finished steps stay as they are beside others that may be reading them ({others}). The next `xp"
            " apply` that has the store alone makes again what is to be made again."
        )
    ledger.pending = sorted(held.done - {*todo})
    return held, tuple(todo)


def _make_ready(todo: tuple[StepId, ...], held: StepStates, ledger: "_Ledger") -> None:
    """Make the finished ones of the steps to run unfinished; before, what others may read is loaded."""
    store, finished = ledger.store, _finished(held, todo)
    with contextlib.suppress(WarehouseHeld):
        ledger.load(patience=0.0)
    # at once, so that a kill leaves none that looks finished beside inputs that are new
    for step_id in filter(finished.__contains__, todo):
        if step_id in held.damaged:
            kept = store.set_aside(step_id)
            ledger.note(
                f"{step_id} was damaged and is made again: {held.damaged[step_id]}. What was there lies in"
                f" {kept}."
            )
        else:
            store.reopen(step_id)


def _to_run(diff: Diff, held: StepStates, taken: frozenset[StepId], tried: frozenset[StepId]) -> list[StepId]:
    """Return the steps of a plan to run beside those that are `taken` as they are.

    A step whose input is made because there is none is made again; one whose input is damaged or outdated
    waits for what that input will hold.
    """
    planned = {*diff.todo, *diff.done} - tried
    if diff.wanted is not None:
        planned &= diff.wanted
    anew: set[StepId] = set()
    todo: list[StepId] = []
    for step_id, step in diff.plan.steps.items():
        is_held = step_id in taken or step_id in held.faults
        if step_id in planned and (not is_held or not anew.isdisjoint(step.inputs)) and not tried:
            anew.add(step_id)
        elif step_id not in planned or step_id not in held.faults:
            continue
        todo.append(step_id)
    return todo


def _finished(held: StepStates, todo: Collection[StepId]) -> frozenset[StepId]:
    """Return those of the steps to run that are finished, and are made again."""
    return (held.done | held.faults.keys()) & frozenset(todo)


def _run(diff: Diff, todo: tuple[StepId, ...], ledger: "_Ledger", executor: str, jobs: int | None) -> None:
    store, plan = ledger.store, diff.plan
    # what could not be read with the spec is read and checked before anything is made from it
    unchecked = {step_id for step_id in todo if is_unchecked(plan.steps[step_id])}
    try:
        for part in filter(None, (unchecked, {*todo} - unchecked)):
            if part.isdisjoint(unchecked):
                ledger.check_rows(diff)
                ledger.check_prompts(diff, todo, in_process=executor == "in_process")
            run = {step_id: plan.steps[step_id] for step_id in todo if step_id in part}
            done = store.done() | store.left_open()
            find_executor(executor).run(run, done, store, ledger.enter, jobs, plan.execution.resources)
    except BaseException:
        ledger.load_if_free()  # what is not loaded now is loaded by the next apply
        raise
    finally:
        store.claims.drop_all()


@dataclass
class _Ledger:
    """Takes down what happens: a file for each attempt, rows in the warehouse for each finished step."""

    store: Store
    study: Study
    steps: Mapping[StepId, Step]
    watch: Watch
    n_done: int = 0
    n_skipped: int = 0
    n_shared: int = 0
    failures: list[Failure] = field(default_factory=list[Failure])
    stopped: list[Stopped] = field(default_factory=list[Stopped])
    pending: list[StepId] = field(default_factory=list[StepId])
    """Finished, not loaded yet."""
    new_study: Study | None = None
    """The study, until it is loaded."""
    notes: dict[str, None] = field(default_factory=dict[str, None])
    """Notes to print at the end."""
    _has_checked_rows: bool = False
    _has_checked_prompts: bool = False
    _load_again_at: float = 0.0
    _rows: dict[StepId, tuple[int, int]] = field(default_factory=dict[StepId, tuple[int, int]])
    """Step -> rows done and rows in all, as it said last."""
    _begun: dict[StepId, "_Begun"] = field(default_factory=dict[StepId, "_Begun"])

    @cached_property
    def _checkpoints(self) -> dict[StepId, Name]:
        """Step that may load a checkpoint -> the name of the model or of the judge."""
        found: dict[StepId, Name] = {}
        for cell in self.study.cells:
            names = {judged.judge: name for name, judged in cell.judges.items()}
            found |= dict.fromkeys((*cell.train, cell.generate), cell.model)
            for judges in (cell.judges, *cell.probes.values()):
                found |= {judged.step: name for name, judged in judges.items()}
            for answers, judged in slices_of(cell, self.steps):
                found |= {answers: cell.model, judged.step: names[judged.judge]}
        return found

    def enter(self, event: Event) -> None:
        match event:
            case Started():
                run = self._run(event, 0.0, "interrupted", "the process was killed")
                self.store.record_begun(run)
                self._begun[event.step_id] = _Begun(run.run_id)
            case Progress():
                self._rows[event.step_id] = event.done, event.total
                self._record_progress(event)
            case Ended():
                self.store.record_run(self._run(event, event.seconds, event.status, event.error))
                self._count(event)
            case Skipped():
                self.n_skipped += 1
            case Shared():
                self.n_shared += 1
                self.pending.append(event.step_id)
            case _:
                pass
        self.watch(event)
        if self.pending and time.monotonic() >= self._load_again_at:
            self.load_if_free()

    def applied(self) -> Applied:
        return Applied(
            self.n_done,
            self.n_skipped,
            tuple(self.failures),
            tuple(self.notes),
            stopped=tuple(self.stopped),
            spent=self.store.spent(self.study.experiment) if self.store.charge else None,
            n_shared=self.n_shared,
        )

    def check_rows(self, diff: Diff) -> None:
        """Check rows that could not be read with the spec, once. What a reader of the results must know is
        recorded with the study.

        Raises DataError where rows of a file would be refused.
        """
        if self._has_checked_rows:
            return
        self._has_checked_rows = True
        faults = list(dict.fromkeys(late_faults(diff.plan, self.store)))
        if errors := [f"{dotted(one.path)}: {one.message}" for one in faults if one.level == "error"]:
            raise DataError("\n".join(errors))
        told = "\n".join(diff.warnings)
        new = [one for one in faults if one.level == "warning" and one.message not in told]
        self.note(*(f"{dotted(one.path)}: {one.message}." for one in new))
        notes = (*self.study.notes, *(f"{one.message}." for one in faults if one.level == "note"))
        if len(notes := tuple(dict.fromkeys(notes))) > len(self.study.notes):
            self.study = self.new_study = self.study.model_copy(update={"notes": notes})
            self.store.record_study(self.study)

    def check_prompts(self, diff: Diff, todo: tuple[StepId, ...], *, in_process: bool) -> None:
        """Check prompts and training rows as the models read them, once.

        Raises DataError where a step could give no result that means anything.
        """
        if self._has_checked_prompts:
            return
        self._has_checked_prompts = True
        try:
            checked = check_prompts(diff.plan, todo, self.store.root, in_process=in_process, is_served=True)
        except StoreError as error:
            self.note(f"{error}.")
            return
        if checked.errors:
            raise DataError("\n".join(checked.errors))
        self.note(*(f"{line}." for line in checked.warnings))

    def note(self, *sentences: str) -> None:
        """Keep sentences for the end."""
        self.notes |= dict.fromkeys(sentences)

    def load_if_free(self) -> None:
        """Load what can be loaded now; the end of the apply insists."""
        with contextlib.suppress(WarehouseError):
            self.load(patience=0.0)

    def load_at_end(self) -> None:
        """Load what is left. Where somebody reads the warehouse for long, it waits in the store and a note
        says so."""
        # steps that were finished and are no more are taken out; the same study may have been recorded since
        # by another apply, from another file
        self.new_study = applied_study(self.study.experiment, self.store.root) or self.study
        try:
            self.load(PATIENCE_SECONDS, _TURN_SECONDS)
        except WarehouseHeld as error:
            waiting = (
                f"The rows of {self.n_done} new steps wait"
                if self.n_done
                else "What is new in the store waits"
            )
            self.note(f"{waiting} to be loaded: {error} The next `xp apply` on this store loads it.")

    def load(self, patience: float, turn_seconds: float = 0.0) -> None:
        """Load finished steps and ended attempts; many small ones together, so that loading takes at most a
        tenth of the time.

        One apply of a store loads at a time. Raises WarehouseHeld where that takes another one longer than
        `turn_seconds`, or a reader longer than `patience`.
        """
        begun = time.monotonic()
        try:
            with turn(self.store.root / "loading.lock", turn_seconds):
                self.note(*load_store(self.store.root, self.pending, self.new_study, patience))
            self.pending.clear()
            self.new_study = None
        except StoreLocked as error:
            raise WarehouseHeld(f"{error}.") from error
        finally:
            now = time.monotonic()
            self._load_again_at = now + max(1.0, 10 * (now - begun))

    def _count(self, event: Ended) -> None:
        if event.status == "done":
            self.n_done += 1
            self.pending.append(event.step_id)
            if (
                mended := event.outcome and event.outcome.facts.get("remedies")
            ) and event.step_id in self._checkpoints:
                self.note(f"{self._checkpoints[event.step_id]}: {mended}.")
        elif event.status == "failed":
            log = self.store.unfinished_folder(event.step_id) / "log.txt"
            self.failures.append(Failure(event.step_id, event.error or "", event.seconds, log))
        elif event.status == "stopped":
            n_rows, n_all = self._rows.get(event.step_id, (0, 0))
            n_waiting = batches.n_waiting(self.store.unfinished_folder(event.step_id))
            self.stopped.append(Stopped(event.step_id, event.error or "", n_rows, n_all, n_waiting))

    def _record_progress(self, event: Progress) -> None:
        """Record a step's rows so far, at most once a second, and nothing in its first one."""
        run, now = self._begun.get(event.step_id), time.monotonic()
        if run is None:
            return
        is_new = run.first is not None and event.done > run.first[1]
        if run.first is None or (is_new and not run.has_new):
            run.first, run.has_new = (now, event.done), is_new
        elif now < run.again_at and event.done < event.total:
            return
        if now < run.since + 1.0:
            return
        run.again_at = now + 1.0
        since, n_first = run.first
        progress = RunProgress(done=event.done, total=event.total, n_first=n_first, seconds=now - since)
        self.store.record_progress(run.run_id, progress)

    def _run(self, event: Started | Ended, seconds: float, status: str, error: str | None) -> Run:
        run_id = f"{event.started_at[:26].translate(_TIGHT)}-{event.step_id}"
        return Run.model_validate(
            {
                "run_id": run_id,
                "step_id": event.step_id,
                "experiment": self.study.experiment,
                "started_at": event.started_at,
                "seconds": seconds,
                "status": status,
                "error": error,
                "host": event.host,
                "pid": event.pid,
            }
        )


@dataclass
class _Begun:
    """An attempt at work."""

    run_id: str
    since: float = field(default_factory=time.monotonic)
    first: tuple[float, int] | None = None
    """Time of the first sign of progress and then of the first new row, and rows done by then."""
    has_new: bool = False
    """There is a new row."""
    again_at: float = 0.0
    """Time from which on progress is recorded again."""


_TIGHT = str.maketrans("", "", "-:.")


@contextlib.contextmanager
def _ended_by_signals() -> Generator[None]:
    """Have SIGTERM and SIGHUP end an apply as Ctrl-C does, unless they are ignored, as under `nohup`.

    Outside of the main thread Python hears no signals.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    heard = [
        number for number in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(number) is not signal.SIG_IGN
    ]
    before = {number: signal.signal(number, interrupt) for number in heard}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
