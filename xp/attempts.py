"""Attempts at the steps of an apply: a record of each, and the rows of finished ones in the warehouse."""

import contextlib
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from dsl.data.records import Run, RunProgress
from dsl.errors import StoreLocked, WarehouseError
from dsl.plan.stopping import slices_of
from dsl.plan.study import Study
from dsl.spec.budget import Use
from dsl.steps.steps import Step
from dsl.values import Name, StepId
from runners.execution.events import Ended, Event, Progress, Shared, Skipped, Started
from runners.store import batches
from runners.store.locks import turn
from runners.store.store import Store
from warehouse.connect import PATIENCE_SECONDS
from warehouse.errors import WarehouseHeld
from warehouse.load import load_store
from xp.studies import applied_study

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


class Interrupted(KeyboardInterrupt):
    """An apply that was ended from outside, with its results until then."""

    def __init__(self, applied: Applied) -> None:
        super().__init__()
        self.applied = applied


@dataclass
class Attempts:
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

    def note(self, *sentences: str) -> None:
        """Keep sentences for the end."""
        self.notes |= dict.fromkeys(sentences)

    def note_in_study(self, sentences: Iterable[str]) -> None:
        """Record sentences with the study, beside those that it has."""
        notes = tuple(dict.fromkeys((*self.study.notes, *sentences)))
        if len(notes) > len(self.study.notes):
            self.study = self.new_study = self.study.model_copy(update={"notes": notes})
            self.store.record_study(self.study)

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
