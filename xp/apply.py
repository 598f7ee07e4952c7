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
from collections.abc import Callable, Collection, Generator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from dsl.errors import ArgumentError, DataError, StoreError, StoreLocked
from dsl.messages import dotted
from dsl.plan.diff import Diff
from dsl.plan.study import Plan, Study
from dsl.spec.budget import Charge
from dsl.values import Sha256, StepId
from runners.execution.executors import find_executor
from runners.serving.servers import forget_failed
from runners.store.applies import AtWork, at_work, clear_killed
from runners.store.bucket import Bucket
from runners.store.digests import Checks, Damaged, StepStates
from runners.store.share import sharing
from runners.store.store import Store
from warehouse.errors import WarehouseHeld
from xp.attempts import Applied, Attempts, Interrupted, Watch, ignore
from xp.lock import refuse_moved
from xp.prompts import check_prompts
from xp.studies import asked, checks_of, other_code
from xp.unchecked_rows import is_unchecked, late_faults


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
        KeyboardInterrupt: on Ctrl-C, and on SIGTERM and SIGHUP; once steps run, it is an `Interrupted`, which
            holds what was done. No process is left behind.
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
        attempts = Attempts(store, study, diff.plan.steps, watch, new_study=study)
        late = _LateChecks(diff, attempts)
        attempts.note(*store.record_killed_runs())
        if store.charge is not None and (n := store.ledger(study.experiment).settle_killed()):
            attempts.note(f"{n} requests of a killed apply count with the most that they may have cost.")
        clear_killed(store.root)
        forget_failed(store.cache / "servers")
        held, todo = _left_to_do(diff, checks, attempts, tried, applying)
        if not store.has_study(study):
            _check_ids(diff.plan, store, checks)
            store.record_study(study)
        if store.share is not None:
            finished = frozenset(attempts.pending)
            store.share.offer(step_id for step_id in diff.plan.steps if step_id in finished)
        try:
            # again, where a step made anew shows that others were made from other rows
            while todo:
                _make_ready(todo, held, attempts)
                _run(todo, late, executor, jobs)
                tried |= {*todo}
                held, todo = _left_to_do(diff, checks, attempts, tried, applying)
            late.check_rows()
            if store.share is not None:
                attempts.note(*store.share.finish())
            attempts.load_at_end()
        except KeyboardInterrupt as error:
            raise Interrupted(attempts.applied()) from error
        return attempts.applied()


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
    diff: Diff, checks: Checks, attempts: Attempts, tried: frozenset[StepId], applying: AtWork
) -> tuple[StepStates, tuple[StepId, ...]]:
    """Return what the store has of a plan, and the steps to run; what is finished is to be loaded.

    Raises StoreLocked where finished steps are to be made again and other applies, which may be reading
    them, are at work. Requests that failed are left to another apply then.
    """
    store, steps = attempts.store, diff.plan.steps
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
        attempts.note(
            f"Finished steps stay as they are beside others that may be reading them ({others}). The next `xp"
            " apply` that has the store alone makes again what is to be made again."
        )
    attempts.pending = sorted(held.done - {*todo})
    return held, tuple(todo)


def _make_ready(todo: tuple[StepId, ...], held: StepStates, attempts: Attempts) -> None:
    """Make the finished ones of the steps to run unfinished; before, what others may read is loaded."""
    store, finished = attempts.store, _finished(held, todo)
    with contextlib.suppress(WarehouseHeld):
        attempts.load(patience=0.0)
    # at once, so that a kill leaves none that looks finished beside inputs that are new
    for step_id in filter(finished.__contains__, todo):
        if step_id in held.damaged:
            kept = store.set_aside(step_id)
            attempts.note(
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


def _run(todo: tuple[StepId, ...], late: "_LateChecks", executor: str, jobs: int | None) -> None:
    plan, attempts, store = late.diff.plan, late.attempts, late.attempts.store
    # what could not be read with the spec is read and checked before anything is made from it
    unchecked = {step_id for step_id in todo if is_unchecked(plan.steps[step_id])}
    try:
        for part in filter(None, (unchecked, {*todo} - unchecked)):
            if part.isdisjoint(unchecked):
                late.check_rows()
                late.check_prompts(todo, in_process=executor == "in_process")
            run = {step_id: plan.steps[step_id] for step_id in todo if step_id in part}
            done = store.done() | store.left_open()
            find_executor(executor).run(run, done, store, attempts.enter, jobs, plan.execution.resources)
    except BaseException:
        attempts.load_if_free()  # what is not loaded now is loaded by the next apply
        raise
    finally:
        store.claims.drop_all()


@dataclass
class _LateChecks:
    """Checks of what a plan could not read, each made once."""

    diff: Diff
    attempts: Attempts
    _has_checked_rows: bool = False
    _has_checked_prompts: bool = False

    def check_rows(self) -> None:
        """Check rows that could not be read with the spec. What a reader of the results must know is recorded
        with the study.

        Raises DataError where rows of a file would be refused.
        """
        if self._has_checked_rows:
            return
        self._has_checked_rows = True
        faults = list(dict.fromkeys(late_faults(self.diff.plan, self.attempts.store)))
        if errors := [f"{dotted(one.path)}: {one.message}" for one in faults if one.level == "error"]:
            raise DataError("\n".join(errors))
        told = "\n".join(self.diff.warnings)
        new = [one for one in faults if one.level == "warning" and one.message not in told]
        self.attempts.note(*(f"{dotted(one.path)}: {one.message}." for one in new))
        self.attempts.note_in_study(f"{one.message}." for one in faults if one.level == "note")

    def check_prompts(self, todo: tuple[StepId, ...], *, in_process: bool) -> None:
        """Check prompts and training rows as the models read them.

        Raises DataError where a step could give no result that means anything.
        """
        if self._has_checked_prompts:
            return
        self._has_checked_prompts = True
        root = self.attempts.store.root
        try:
            checked = check_prompts(self.diff.plan, todo, root, in_process=in_process, is_served=True)
        except StoreError as error:
            self.attempts.note(f"{error}.")
            return
        if checked.errors:
            raise DataError("\n".join(checked.errors))
        self.attempts.note(*(f"{line}." for line in checked.warnings))


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
