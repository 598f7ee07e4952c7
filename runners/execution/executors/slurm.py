"""Run steps as jobs of a Slurm cluster.

The store, and the files that the spec names, lie on paths that every node shares. A step is a job, a large
generate step as many as it has shards; those of one kind that are ready together are one job array. A job
finds its task in a file of the store and adds what comes of it to another (`_slurm_job`):

    <root>/slurm/<apply>/<name>/<i>.json    the task of job i of the array
    <root>/slurm/<apply>/<name>/<i>.jsonl   its events
    <root>/slurm/<apply>/<name>/<i>.log     all that it printed

A job that is preempted, cancelled, out of time or lost with its node is followed by another, which goes on
from its rows and checkpoints. Of a job that fails by itself, its step has failed. Jobs of an earlier apply
that was killed end when they see it, and are cancelled by the next one.
"""

import contextlib
import os
import secrets
import shutil
import time
from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from dsl.errors import XpError
from dsl.messages import one_line
from dsl.spec.resources import Resources
from dsl.steps.steps import Step
from dsl.values import StepId
from runners.execution.events import Ended, OnEvent, Progress
from runners.execution.executors import _slurm_cluster as slurm
from runners.execution.executors import _slurm_job
from runners.execution.executors._queue import Queue
from runners.execution.executors._slurm_job import Job, Message
from runners.execution.executors._units import Unit, Units
from runners.store.applies import alive
from runners.store.disk_errors import unwritten
from runners.store.step_io import write_json
from runners.store.store import Store

TRIES = 3
"""Jobs of one unit that Slurm may end in a row before they have got further than any before."""

_AHEAD = 64
"""Jobs that wait in Slurm's queue. Not all at once: what is submitted later may reuse more rows."""

_LOOK_SECONDS = 0.5
_ASK_SECONDS = 10.0
"""Time between two questions to Slurm's controller, which many people ask."""


def run(
    todo: Mapping[StepId, Step],
    done: Collection[StepId],
    store: Store,
    on_event: OnEvent,
    jobs: int | None,
    resources: Mapping[str, Resources],
) -> None:
    """Run every step of `todo` that can be run; the contract is in `runners.execution.executors`.

    Raises:
        XpError: Slurm is not here, its controller does not answer, or it refuses what the spec asks for.
    """
    queue = Queue(todo, done, store, on_event, resources)
    if queue.schedule.is_over():
        return
    loading = {step.kind for step in todo.values() if step.affinity}
    slurm.check(resources, {step.kind for step in todo.values()}, loading)
    units = Units(queue, {kind: given.shard_rows for kind, given in resources.items()})
    drive = _Drive(units, resources, store)
    drive.cancel_left()
    try:
        while not queue.schedule.is_over():
            drive.look()
    finally:
        drive.stop()


@dataclass
class _Array:
    """A job array, of which not all jobs are over."""

    name: str
    folder: Path
    kind: str
    units: dict[int, Unit]
    """Those whose end is not known."""
    number: str = ""
    """Empty where Slurm may not have taken it."""
    read: dict[int, int] = field(default_factory=lambda: defaultdict[int, int](int))
    """Bytes of each job's events that were read."""


class _Drive:
    """Submitter of units to Slurm, as they get ready, and reader of their events."""

    def __init__(self, units: Units, resources: Mapping[str, Resources], store: Store) -> None:
        self._units, self._resources, self._store = units, resources, store
        assert store.apply, "jobs end with the apply that they are told of"
        self._all = store.root / "slurm"
        self._place = self._all / store.apply
        self._arrays: list[_Array] = []
        self._waiting: list[Unit] = []
        """Units to be submitted again."""
        self._furthest: dict[Unit, int] = {}
        self._n_lost: dict[Unit, int] = defaultdict(int)
        """Jobs since a unit got further."""
        self._ask_at = 0.0

    def cancel_left(self) -> None:
        """Cancel the jobs of applies that were killed. Steps that are still being written are locked.

        Raises XpError.
        """
        places = sorted(self._all.glob("*"))
        at_work = alive(self._store.root)  # asked after they were listed: of those, none can begin now
        for place in places:
            if place.name not in at_work:
                for array in sorted(place.glob("xp-*")):
                    slurm.cancel(f"--name={array.name}")
                shutil.rmtree(place, ignore_errors=True)

    def look(self) -> None:
        """Submit what is ready, and read what is new after a moment."""
        self._submit()
        time.sleep(_LOOK_SECONDS)
        states = self._ask()  # before reading, so that nothing said earlier is missed
        for array in self._arrays:
            for index in tuple(array.units):
                if index in array.units:  # else it was called back meanwhile
                    self._hear(array, index)
                if states is not None and index in array.units:
                    together = states.get((array.name, None), slurm.UNKNOWN)
                    self._check_state(array, index, states.get((array.name, index), together))
        for array in [array for array in self._arrays if not array.units]:
            self._arrays.remove(array)
            shutil.rmtree(array.folder, ignore_errors=True)

    def stop(self) -> None:
        """Cancel all jobs, and report what was interrupted."""
        try:
            slurm.cancel(*(f"--name={array.name}" for array in self._arrays))
        except XpError:  # they end by themselves, and the next apply cancels what still waits
            return
        finally:
            self._units.stop()
        shutil.rmtree(self._place, ignore_errors=True)
        with contextlib.suppress(OSError):
            self._all.rmdir()  # unless another apply's jobs are in it

    # -------- there

    def _submit(self) -> None:
        ready, self._waiting = self._waiting, []
        while self._units.n_waiting < _AHEAD and (unit := self._units.next()):
            ready.append(unit)
        kinds: dict[str, list[Unit]] = defaultdict(list)
        for unit in ready:
            kinds[unit[0].rpartition("-")[0]].append(unit)
        for kind, units in kinds.items():
            self._submit_array(kind, units)

    def _submit_array(self, kind: str, units: list[Unit]) -> None:
        name = f"xp-{kind}-{secrets.token_hex(4)}"
        array = _Array(name, self._place / name, kind, dict(enumerate(units)))
        given = self._resources.get(kind) or Resources()
        try:
            array.folder.mkdir(parents=True)
            for index, unit in array.units.items():
                write_json(array.folder / f"{index}.json", self._job(unit, given))
                (array.folder / f"{index}.jsonl").touch()
        except OSError as error:
            raise unwritten(error, array.folder) from error
        self._arrays.append(array)
        try:
            options = slurm.options_of(given)
            array.number = slurm.submit(name, len(units), options, _slurm_job.__name__, array.folder)
        except XpError:
            if len(self._arrays) == 1:
                raise
            # as many jobs as Slurm allows are there, say; if it took these all the same, their states show it

    def _job(self, unit: Unit, given: Resources) -> Job:
        settings = {"OMP_NUM_THREADS": str(int(given.num_cpus or 1))}
        if not given.num_gpus:  # a job that is given none may see all of them
            settings["CUDA_VISIBLE_DEVICES"] = ""
        return Job(
            task=self._units.task(unit),
            store=self._store.root,
            folder=Path(os.getcwd()),
            settings=settings,
            apply=self._store.apply,
        )

    # -------- and back

    def _ask(self) -> Mapping[tuple[str, int | None], str] | None:
        """Return the states of the jobs; None where it is not time to ask, or there is no answer now."""
        if not self._arrays or time.monotonic() < self._ask_at:
            return None
        self._ask_at = time.monotonic() + _ASK_SECONDS
        with contextlib.suppress(XpError):
            return slurm.states([array.name for array in self._arrays])
        return None

    def _hear(self, array: _Array, index: int) -> None:
        """Read a job's events since the last look."""
        with (array.folder / f"{index}.jsonl").open("rb") as events:
            events.seek(array.read[index])
            whole, newline, _ = events.read().rpartition(b"\n")
        array.read[index] += len(whole + newline)
        unit = array.units[index]
        for line in whole.splitlines():
            message = Message.model_validate_json(line)
            if isinstance(message.event, Ended):
                del array.units[index]
                self._end(unit, message.event, is_store_error=message.is_store_error)
                return
            if isinstance(message.event, Progress) and message.event.done > self._furthest.get(unit, 0):
                self._furthest[unit] = message.event.done
                self._n_lost[unit] = 0
            self._units.hear(unit, message.event)

    def _check_state(self, array: _Array, index: int, state: str) -> None:
        """Go on after a job that is over without a word of its end."""
        unit, job = array.units[index], f"its job {array.number}_{index}"
        if state == slurm.UNKNOWN and not array.number:
            del array.units[index]
            self._waiting.append(unit)
        elif state in slurm.OVER:
            del array.units[index]
            self._end(unit, f"{job} ended as {state}{_last_line(array.folder / f'{index}.log')}")
            self._show_log(unit, array.folder / f"{index}.log")
        elif state in slurm.LOST or state == slurm.UNKNOWN:
            del array.units[index]
            self._n_lost[unit] += 1
            if self._n_lost[unit] < TRIES:
                self._units.lose(unit, f"{job} is {state}; another goes on from there")
                self._waiting.append(unit)
            else:
                more = f"; raise `resources.{array.kind}.time`" if state == "TIMEOUT" else ""
                self._end(unit, f"{job} is {state}, the last of {TRIES} that got no further{more}")

    def _end(self, unit: Unit, ended: Ended | str, *, is_store_error: bool = False) -> None:
        called_back = self._units.end(unit, ended, is_store_error=is_store_error)
        self._waiting = [other for other in self._waiting if other not in called_back]
        for array in self._arrays:
            for index in [index for index, other in array.units.items() if other in called_back]:
                del array.units[index]
                with contextlib.suppress(XpError):  # its step is over, and so is the job by itself
                    slurm.cancel(f"{array.number}_{index}" if array.number else f"--name={array.name}")

    def _show_log(self, unit: Unit, log: Path) -> None:
        """Put a job's log where a step's log is looked for."""
        folder = self._store.unfinished_folder(unit[0])
        with contextlib.suppress(OSError):
            folder.mkdir(parents=True, exist_ok=True)
            with (folder / "log.txt").open("ab") as shown:
                shown.write(log.read_bytes())


def _last_line(log: Path) -> str:
    try:
        last = log.read_text("utf-8", "replace").strip().rpartition("\n")[2]
    except OSError:
        return f" and left no {log}, which must lie on a path that all nodes share"
    return f": {one_line(last)[:600]}" if last else ""
