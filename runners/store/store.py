"""Store: a folder of finished steps. A kill at any moment leaves either a whole step or an attempt to resume.

<root>/steps/<step_id>/        finished: step.json, outcome.json, log.txt and what the step's kind writes;
                               `open` where the next apply asks for rows again (`runners.store.faults`)
<root>/steps/<step_id>.tmp/    unfinished: the next attempt reuses its whole rows and checkpoints
                               (`code.json` says which code made checkpoints; a row says it itself)
<root>/steps/pulled-<step_id>.tmp/  a step that comes from elsewhere, or did when its command was killed
<root>/runs/<run_id>.json      one attempt at a step; until it ends `.begun`, and `.progress`, its rows so far
<root>/experiments/<name>.json what the warehouse must know of a study
<root>/experiments/earlier/<name>~<n>.json  the same of earlier applies, the first one's 1
<root>/estimates/<name>.json   what a study's steps were estimated to take as an apply began
<root>/experiments/ledger/<name>~<n>.json   when each of them was applied, and the contrasts that it fixed
<root>/labels/<name>/<judge>.jsonl  people's labels of a study's answers
<root>/spending/<name>.jsonl   what a study with a budget has spent (`runners.store.spending_ledger`)
<root>/allowed.json            environment variables that may be sent, and to which servers
<root>/damaged/<step_id>/      a finished step whose files had changed, before it was made again
<root>/cache/                  what can be made again, such as converted weights
<folder>/removed-<name>.tmp/   a folder that `xp gc` is removing, or was when it was killed, beside its place
<root>/slurm/<apply>/<name>/   the tasks and events of a Slurm job array (`runners.execution.executors.slurm`)
<root>/lock, applies/, claims/ who is at work on the store, and on which steps (`runners.store.applies`)
<root>/records.lock            held while a record that several applies write is written
<root>/loading.lock            held while an apply loads into the warehouse
<root>/warehouse.duckdb        made from all of the above; in its place warehouse.ducklake, the address of a
                               DuckLake, and warehouse.lake/, its rows
"""

import contextlib
import datetime
import functools
import json
import os
import shutil
from collections.abc import Generator, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import TypeAdapter, ValidationError

from dsl.data.records import BegunRun, Label, Outcome, Run, RunProgress, read_record
from dsl.data.regular_files import sync
from dsl.data.warehouse_address import warehouse_in
from dsl.data.written_files import written_aside
from dsl.errors import DataError, StoreError
from dsl.plan.ledger import ledger_entry
from dsl.plan.study import Study
from dsl.spec.budget import Charge, Use
from dsl.steps.identity import Canonical
from dsl.steps.steps import AnyStep, Step
from dsl.values import Name, StepId, Value
from runners.store import faults, locks
from runners.store.applies import Claims, alive
from runners.store.digests import describe
from runners.store.disk_errors import unwritten
from runners.store.spending_ledger import Ledger
from runners.store.step_io import changed_at, rewrite_rows, write_json

if TYPE_CHECKING:
    from runners.store.share import Share

_PATIENCE_SECONDS = 60.0
"""Patience with another process that writes a record of the store: it takes a moment."""


class Finished(Exception):
    """Somebody else has finished a step since this attempt at it was asked for."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(outcome.step_id)
        self.outcome = outcome


class Store:
    """The folder at `root`, which need not exist yet."""

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()
        self.steps = self.root / "steps"
        self.runs = self.root / "runs"
        self.experiments = self.root / "experiments"
        self.cache = self.root / "cache"
        self.warehouse = warehouse_in(self.root)
        self.is_shared = True
        """A step may reuse rows of other steps."""
        self.charge: Charge | None = None
        """The study that pays for steps, where it has a budget."""
        self.apply = ""
        """Name of the apply at work in this process."""
        self.claims = Claims(self.root)
        self.share: Share | None = None
        """Bucket through which this apply shares steps with other stores."""
        self._ledgers: dict[Name, Ledger] = {}

    def ledger(self, experiment: Name) -> Ledger:
        """Return a study's ledger."""
        path = self.root / "spending" / f"{experiment}.jsonl"
        return self._ledgers.setdefault(experiment, Ledger(path))

    def spent(self, experiment: Name) -> Use | None:
        """Return the spending of a study so far; None where it never had a budget."""
        ledger = self.ledger(experiment)
        if not ledger.path.exists():
            return None
        ledger.look()
        return ledger.spent

    def step_folder(self, step_id: StepId) -> Path:
        """Return the step's folder once it is finished."""
        return self.steps / step_id

    def unfinished_folder(self, step_id: StepId) -> Path:
        """Return the folder that an attempt at the step writes."""
        return self.steps / f"{step_id}.tmp"

    def is_done(self, step_id: StepId) -> bool:
        return (self.steps / step_id / "outcome.json").exists()

    def done(self) -> frozenset[StepId]:
        """Return the finished steps whose rows are final.

        One look at the folder and two into each step's: about 15 µs a step.
        """
        return frozenset(
            name for name in self._finished() if not os.path.exists(f"{self.steps}/{name}/{faults.MARKER}")
        )

    def left_open(self) -> frozenset[StepId]:
        """Return the finished steps with rows that are to be asked for again."""
        marked = [name for name in self._there() if os.path.exists(f"{self.steps}/{name}/{faults.MARKER}")]
        return frozenset(name for name in marked if self.is_done(name))

    def _finished(self) -> list[StepId]:
        return [name for name in self._there() if os.path.exists(f"{self.steps}/{name}/outcome.json")]

    def _there(self) -> list[StepId]:
        names = os.listdir(self.steps) if self.steps.is_dir() else ()
        return [name for name in names if not name.endswith(".tmp")]

    def reopen(self, step_id: StepId) -> None:
        """Make a finished step an unfinished one, so that it is run again and its valid rows are reused."""
        folder, finished = self.unfinished_folder(step_id), self.step_folder(step_id)
        if finished.is_dir():
            (finished / "outcome.json").unlink(missing_ok=True)
            if folder.exists():
                shutil.rmtree(folder)
            finished.rename(folder)
        elif os.path.lexists(finished):  # a file, or a link that leads nowhere
            self.set_aside(step_id)

    def set_aside(self, step_id: StepId) -> Path:
        """Move a damaged step out of the way, so that none of its rows are reused. Returns its new folder."""
        kept = self.root / "damaged" / step_id
        kept.parent.mkdir(exist_ok=True)
        if kept.is_dir() and not kept.is_symlink():
            shutil.rmtree(kept)
        else:
            kept.unlink(missing_ok=True)
        self.step_folder(step_id).replace(kept)
        return kept

    def check_is(self, step_id: StepId, step: Step) -> None:
        """Raise StoreError where another step has this id, whose hash begins with the same digits by
        chance."""
        for folder in (self.step_folder(step_id), self.unfinished_folder(step_id)):
            found = read_step(folder)
            if found is not None and found != step and Canonical().text(found) != Canonical().text(step):
                raise StoreError(
                    f"{folder} holds another step with the id {step_id}. Choose another `--store`, or move"
                    " that folder away: its step is made again by the studies that need it"
                )

    @contextlib.contextmanager
    def begin(self, step_id: StepId, step: Step) -> Generator[Path]:
        """Begin an attempt at a step: the folder to write into, locked until the block ends.

        What an earlier attempt left is still in the folder. A finished step becomes an unfinished one again.

        Raises:
            Finished: a worker that outlived its parent finished the step while this one waited.
            StoreLocked: another process is at work on this step.
            StoreError: another step has this id.
        """
        self.check_is(step_id, step)
        folder = self.unfinished_folder(step_id)
        self.reopen(step_id)
        lock = locks.hold_step(folder)
        try:
            if self.is_done(step_id):
                shutil.rmtree(folder)
                raise Finished(self.outcome(step_id))
            write_json(folder / "step.json", step, is_synced=False)  # it is when the step is finished
            yield folder
        finally:
            os.close(lock)

    def finish(self, step_id: StepId, outcome: Outcome) -> Outcome:
        """Make the attempt that was begun a result: everything on the disk, then one rename.

        Returns the outcome with the files' digests.
        """
        folder, finished = self.unfinished_folder(step_id), self.step_folder(step_id)
        if outcome.n_open:
            (folder / faults.MARKER).touch()
        else:
            (folder / faults.MARKER).unlink(missing_ok=True)
        outcome = outcome.model_copy(update={"files": describe(folder)})
        _sync_files(folder)
        write_json(folder / "outcome.json", outcome)
        folder.rename(finished)
        sync(self.steps)
        (finished / ".lock").unlink()
        return outcome

    def outcome(self, step_id: StepId) -> Outcome:
        """Return the outcome of a finished step. Raises DataError."""
        return read_record(self.step_folder(step_id) / "outcome.json", Outcome)

    def record_begun(self, run: Run) -> None:
        """Record an attempt as it begins, in the words that are true if nothing more is heard of it.

        A power cut in the seconds after may leave an empty record, which `record_killed_runs` deletes: of
        that attempt nothing else is on the disk either.
        """
        begun = BegunRun(**run.model_dump(), apply=self.apply)
        self._record(self.runs / f"{run.run_id}.begun", begun, is_synced=False)

    def record_run(self, run: Run) -> None:
        """Record an attempt's end."""
        self._record(self.runs / f"{run.run_id}.json", run)
        (self.runs / f"{run.run_id}.begun").unlink(missing_ok=True)
        (self.runs / f"{run.run_id}.progress").unlink(missing_ok=True)

    def record_progress(self, run_id: str, progress: RunProgress) -> None:
        """Record how far an attempt is, for those who watch it; what cannot be written is left out."""
        path = self.runs / f"{run_id}.progress"
        with contextlib.suppress(OSError), written_aside(path) as aside:
            aside.write_text(progress.model_dump_json(), "utf-8")

    def record_killed_runs(self) -> tuple[str, ...]:
        """Record the end of attempts whose apply was killed, and return notes for a person."""
        notes, runs = list[str](), list[BegunRun]()
        with self.recording():
            for begun in sorted(self.runs.glob("*.begun")):
                try:
                    runs.append(read_record(begun, BegunRun))
                except DataError as error:
                    if begun.exists():  # as a power cut leaves it; else its apply has just ended it
                        notes.append(f"{error}. It is deleted now: the attempt was interrupted.")
                        begun.unlink(missing_ok=True)
            at_work = alive(self.root)  # asked after they were read: of those, none can begin now
            for run in runs:
                if run.apply in at_work:
                    continue
                if (self.runs / f"{run.run_id}.json").exists():  # killed between two lines of `record_run`
                    (self.runs / f"{run.run_id}.begun").unlink(missing_ok=True)
                    continue
                ended = run.model_dump(exclude={"apply"}) | {"seconds": self._last_sign_of_life(run)}
                self.record_run(Run.model_validate(ended))
        return tuple(notes)

    @contextlib.contextmanager
    def recording(self) -> Generator[None]:
        """Hold the records that several applies write. Raises StoreLocked, StoreError."""
        with locks.turn(self.root / "records.lock", _PATIENCE_SECONDS):
            yield

    def has_study(self, study: Study) -> bool:
        """Check if the study is recorded as it is."""
        try:
            return (self.experiments / f"{study.experiment}.json").read_bytes() == study.model_dump_json(
                indent=1
            ).encode()
        except OSError:
            return False

    def record_study(self, study: Study) -> None:
        """Record a study; the one of its name that was applied before is kept beside it.

        One that differs in its notes alone is the same study: some of them are known only once it runs.
        """
        with self.recording():
            self._record_study(study)

    def _record_study(self, study: Study) -> None:
        path, n = self.experiments / f"{study.experiment}.json", len(self.earlier(study.experiment)) + 1
        kept = self._next_earlier(study.experiment)
        before = self._recorded(path)
        is_same = before is not None and before.model_copy(update={"notes": study.notes}) == study
        is_another = path.exists() and not is_same
        if is_another and before is not None and not self._in_ledger(study.experiment, n).exists():
            written = datetime.datetime.fromtimestamp(path.stat().st_mtime, datetime.UTC)
            self._enter(before, n, written, had_results=False)  # of a version without a ledger
        if not is_same:
            now = datetime.datetime.now(datetime.UTC)
            had_results = before is not None and self._has_verdicts(before)
            self._enter(study, n + is_another, now, had_results=had_results)
        if is_another:
            try:
                kept.parent.mkdir(exist_ok=True)
                with written_aside(kept) as aside:
                    shutil.copy2(path, aside)
            except OSError as error:
                raise unwritten(error, kept) from error
        self._record(path, study)

    def retire_study(self, experiment: str) -> None:
        """Make a study's record that of an earlier apply: the store holds the study no more."""
        kept = self._next_earlier(experiment)
        kept.parent.mkdir(exist_ok=True)
        (self.experiments / f"{experiment}.json").replace(kept)

    def _next_earlier(self, experiment: str) -> Path:
        return self.experiments / "earlier" / f"{experiment}~{len(self.earlier(experiment)) + 1}.json"

    def _recorded(self, path: Path) -> Study | None:
        try:
            return read_record(path, Study)
        except DataError:
            return None

    def _in_ledger(self, experiment: str, n: int) -> Path:
        return self.experiments / "ledger" / f"{experiment}~{n}.json"

    def _enter(self, study: Study, n: int, at: datetime.datetime, *, had_results: bool) -> None:
        """Enter a plan into the ledger, before it replaces the one of its name."""
        entry = ledger_entry(study, n, at.isoformat(timespec="seconds"), had_results=had_results)
        self._record(self._in_ledger(study.experiment, n), entry)

    def _has_verdicts(self, study: Study) -> bool:
        return any(self.is_done(step_id) for step_id in study.step_ids if step_id.startswith("judge-"))

    def earlier(self, experiment: str) -> list[Path]:
        """Return the records of a study's earlier applies, the last one first."""
        found = (self.experiments / "earlier").glob(f"{experiment}~*.json")
        return sorted(found, key=lambda path: int(path.stem.rpartition("~")[2]), reverse=True)

    def allowed(self) -> frozenset[tuple[str, str]]:
        """Return environment variables and the servers that they may be sent to; none where they cannot be
        read."""
        try:
            pairs = json.loads((self.root / "allowed.json").read_bytes())["variables"]
            return frozenset((str(variable), str(host)) for variable, host in pairs)
        except (OSError, ValueError, KeyError, TypeError):
            return frozenset()

    def allow(self, pairs: Iterable[tuple[str, str]]) -> None:
        """Let environment variables be sent to servers, from now on."""
        path = self.root / "allowed.json"
        try:
            with self.recording():
                write_json(path, {"variables": sorted(self.allowed() | set(pairs))})
        except OSError as error:
            raise unwritten(error, path) from error

    def record_labels(self, experiment: str, judge: str, labels: Iterable[Label]) -> None:
        """Record people's labels under one judge's name, in the place of earlier ones."""
        path = self.root / "labels" / experiment / f"{judge}.jsonl"
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            rewrite_rows(path, labels)
        except OSError as error:
            raise unwritten(error, path) from error

    def _record(self, path: Path, value: Value, *, is_synced: bool = True) -> None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_json(path, value, is_synced=is_synced)
        except OSError as error:
            raise unwritten(error, path) from error

    def _last_sign_of_life(self, run: Run) -> float:
        """Seconds from an attempt's start to the last change of a file in its folder."""
        folder = self.unfinished_folder(run.step_id)
        last = max((changed_at(path) or 0.0 for path in folder.glob("*")), default=0.0)
        return max(0.0, last - datetime.datetime.fromisoformat(run.started_at).timestamp())

    def holder(self) -> str | None:
        """Describe the processes that are at work on this store now; None where there is none."""
        return "; ".join(locks.holders(self.root)) or None

    @contextlib.contextmanager
    def lock(self) -> Generator[None]:
        """Hold the store alone, against every `xp apply` and every command that rewrites it.

        Raises:
            StoreLocked: someone else holds it; the message names the process, its host and since when.
            StoreError: the folder cannot be written.
        """
        with locks.hold_store(self.root):
            yield


def read_step(folder: Path) -> Step | None:
    """Read the settings of the step in a folder; None where there are none, or of an unknown version."""
    try:
        with open(f"{folder}/step.json", "rb", buffering=0) as file:
            return _any_step().validate_json(file.read())
    except (OSError, ValidationError):
        return None


def _sync_files(folder: Path) -> None:
    """Put a step's files and the folders among them on the disk, with the permissions of `step.json`: weights
    are written for their owner alone."""
    mode = os.stat(f"{folder}/step.json").st_mode
    for at, folders, files in os.walk(folder):
        for name in files:
            path = f"{at}/{name}"
            stat = os.stat(path)
            if stat.st_mode != mode:
                with contextlib.suppress(PermissionError):
                    os.chmod(path, mode)
            if stat.st_size and name != ".lock":
                sync(Path(path))
        for name in folders:
            sync(Path(at, name))


@functools.cache
def _any_step() -> TypeAdapter[Step]:  # which takes a while to make, and a plan needs none
    return TypeAdapter(AnyStep)
