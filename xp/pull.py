"""Merge the finished steps of another store into this one.

Steps are named by content, so a finished step that this store lacks is copied as it is, after its copy's
digests were checked, and one that it has stays. A step that was made from other rows of an input than this
store holds is left where it is: here it would be made again.

With the steps come their attempts. A study comes with its ledger of plans, its labels, its spending and its
estimates where this store has none of its name; where it has the same study, that one keeps its own, and
notes say what the other store has besides. What a store may send to servers, its cache and its unfinished
attempts stay there.

A kill at any moment leaves whole steps alone, each by one rename, and the next pull goes on from there: a
study's record is written last.
"""

import contextlib
import errno
import fcntl
import os
import re
import shutil
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from dsl.data.records import Outcome, read_record
from dsl.data.regular_files import sync
from dsl.data.written_files import written_aside
from dsl.errors import ArgumentError, DataError, StoreError
from dsl.plan.study import Study
from dsl.values import Name, Sha256, StepId
from runners.store.digests import OUTCOME, Checks, Damaged
from runners.store.disk_errors import unwritten
from runners.store.merging import BESIDE, PULLED, merge
from runners.store.store import Store
from xp.studies import checks_of

_FICLONE = 0x40049409
"""Linux's request for a copy that shares blocks until one side is written. A link would share them after
that, too: a step that is run again appends to its files."""
_STEP = re.compile(r"[a-z_]+-[0-9a-f]{16}")


@dataclass(frozen=True)
class Pulled:
    """Result of a pull."""

    n_steps: int
    n_there: int
    """Finished steps of the other store that this one had already."""
    studies: tuple[Name, ...]
    """Studies that this store had not."""
    left: Mapping[StepId, str]
    """Finished steps that were not pulled -> why, in words."""
    notes: tuple[str, ...] = ()


def pull(root: Path, other: Path) -> Pulled:
    """Copy from the store at `other`, which is only read, what the store at `root` lacks, and load it.

    Raises:
        ArgumentError: both are one store.
        StoreError: `other` is no store, or a file cannot be written.
        StoreLocked: an apply is at work on the store at `root`.
        WarehouseError: steps were copied but cannot be loaded; another pull tries again.
    """
    store, source = Store(root), Store(other)
    if not source.steps.is_dir():
        raise StoreError(f"{other} is no store: it has no folder `steps`")
    if root.is_dir() and root.samefile(other):
        raise ArgumentError(f"{other} is this store. Name another one to pull from")
    from warehouse.load import load_studies  # duckdb, which the command line does not need

    with store.lock():
        notes: list[str] = []
        if (holder := source.holder()) is not None:
            notes.append(f"{other} is in use: {holder}. What it finishes now is for another pull")
        pulling = _Pull(store, source, checks_of(root), notes)
        try:
            pulling.steps()
            pulling.runs()
            pulling.studies()
            pulling.checks.save()
        except OSError as error:
            raise unwritten(error, Path(error.filename or root)) from error
        held = tuple(pulling.content)
        notes += load_studies(store.root, held, pulling.known)
    return Pulled(
        len(pulling.copied),
        len(held) - len(pulling.copied),
        tuple(pulling.new),
        pulling.left,
        tuple(dict.fromkeys(notes)),
    )


@dataclass
class _Pull:
    """One pull, under the lock of the store that it goes into."""

    store: Store
    source: Store
    checks: Checks
    """Checks of the store's own steps."""
    notes: list[str]
    content: dict[StepId, Sha256] = field(default_factory=dict[StepId, Sha256])
    """The other store's steps that are here now -> the digest of what they hold here."""
    copied: set[StepId] = field(default_factory=set[StepId])
    left: dict[StepId, str] = field(default_factory=dict[StepId, str])
    known: list[Study] = field(default_factory=list[Study])
    """Studies of both stores, as this one records them: a pull whose loading failed left them unloaded."""
    new: list[Name] = field(default_factory=list[Name])

    def steps(self) -> None:
        """Copy the steps that are not here, each after its inputs."""
        self.store.steps.mkdir(parents=True, exist_ok=True)
        for aside in self.store.steps.glob(f"{PULLED}*.tmp"):  # of a pull that was killed
            shutil.rmtree(aside)
        finished = sorted(s for s in self.source.done() | self.source.left_open() if _STEP.fullmatch(s))
        outcomes: dict[StepId, Outcome] = {}
        for step_id in finished:
            try:
                outcomes[step_id] = read_record(self.source.step_folder(step_id) / OUTCOME, Outcome)
            except DataError as error:
                self.left[step_id] = str(error)
        for step_id in _after_inputs(outcomes):
            try:
                self.content[step_id] = self._step(step_id, outcomes[step_id])
            except Damaged as error:
                self.left[step_id] = str(error)

    def runs(self) -> None:
        """Copy the attempts at steps of which this store knows none but those that came from there."""
        here, there = frozenset(_listed(self.store.runs)), frozenset(_listed(self.source.runs))
        wanted = self.content.keys() - {_step_of(name) for name in here - there}
        for name in sorted(there - here):
            if name.endswith(".json") and _step_of(name) in wanted:
                self._file(self.source.runs / name, self.store.runs / name)

    def studies(self) -> None:
        """Copy the studies that are not here."""
        for path in sorted(self.source.experiments.glob("*.json")):
            try:
                study = read_record(path, Study)
            except DataError as error:
                self.notes.append(f"{error}.")
                continue
            if study.experiment != path.stem:
                self.notes.append(f"{path} is the record of another study, {study.experiment}: it was left")
            elif (own := self.store.experiments / path.name).exists():
                self._compare(study, own)
            elif kept := self._kept_of(study.experiment):
                self.notes.append(
                    f"{study.experiment} was removed from this store, which keeps other records of it than"
                    f" those there, so it was left: {', '.join(map(str, kept))}. Move them away to pull it"
                )
            else:
                for file in self._files_of(study.experiment, self.source.root):
                    self._file(self.source.root / file, self.store.root / file)
                self._file(path, own)
                self.known.append(study)
                self.new.append(study.experiment)

    def _step(self, step_id: StepId, outcome: Outcome) -> Sha256:
        """Have a step here, and return the digest of what it holds. Raises Damaged."""
        here = self.store.step_folder(step_id)
        try:
            held = self.checks.check(str(here), step_id)
        except Damaged as error:
            raise Damaged(f"that of this store is damaged: {error}. `xp apply` makes it again") from error
        if held is not None:
            return held.content
        source = self.source.step_folder(step_id)
        held = merge(
            self.store,
            step_id,
            outcome,
            self._content_here,
            lambda name, copy: _copy_listed(source, name, copy),
        )
        self.copied.add(step_id)
        return held.content

    def _content_here(self, step_id: StepId) -> Sha256 | None:
        """Return the digest of what a step of this store holds; None where it is not finished, or damaged."""
        if step_id not in self.content:
            with contextlib.suppress(Damaged):
                held = self.checks.check(str(self.store.step_folder(step_id)), step_id)
                return None if held is None else held.content
        return self.content.get(step_id)

    def _compare(self, study: Study, own: Path) -> None:
        """Note what the other store knows of a study that is here, too, and that was not copied."""
        name = study.experiment
        try:
            recorded = read_record(own, Study)
        except DataError as error:
            self.notes.append(f"{error}.")
            return
        self.known.append(recorded)
        if recorded.cells != study.cells:
            self.notes.append(
                f"{name} is another study there, with other cells: the one of this store stays. `xp apply`"
                " on the other's spec would take its place, with the steps that were pulled"
            )
        unlike = [
            str(file)
            for file in self._files_of(name, self.source.root)
            if file.parts[0] in ("labels", "spending")
            and (self.source.root / file).read_bytes() != _bytes(self.store.root / file)
        ]
        n_plans = {
            side.root: len(list((side.experiments / "ledger").glob(f"{name}~*.json")))
            for side in (self.source, self.store)
        }
        if n_plans[self.source.root] > n_plans[self.store.root]:
            unlike.append(f"a ledger of {n_plans[self.source.root]} plans")
        if unlike:
            self.notes.append(
                f"{name} is in both stores, and this one keeps its own records. Not pulled:"
                f" {', '.join(unlike)}"
            )

    def _kept_of(self, name: Name) -> list[Path]:
        """Return this store's files of a study that are not as the other store has them."""
        return [
            file
            for file in self._files_of(name, self.store.root)
            if _bytes(self.store.root / file) != _bytes(self.source.root / file)
        ]

    def _files_of(self, name: Name, root: Path) -> list[Path]:
        """Return the files of a study besides its record, from its store's folder on."""
        patterns = (
            f"experiments/earlier/{name}~*.json",
            f"experiments/ledger/{name}~*.json",
            f"labels/{name}/*.jsonl",
            f"spending/{name}.jsonl",
            f"estimates/{name}.json",
        )
        return [path.relative_to(root) for pattern in patterns for path in sorted(root.glob(pattern))]

    def _file(self, path: Path, to: Path) -> None:
        """Copy a small file: whole or not at all."""
        if not _is_regular(path):
            self.notes.append(f"{path} is no regular file: it was left")
            return
        to.parent.mkdir(parents=True, exist_ok=True)
        with written_aside(to) as aside:
            shutil.copy2(path, aside)
            sync(aside)


def _after_inputs(outcomes: Mapping[StepId, Outcome]) -> Sequence[StepId]:
    """Sort steps so that each comes after those of its inputs that are among them."""
    found: dict[StepId, None] = {}
    waiting = [*reversed(tuple(outcomes))]
    seen: set[StepId] = set()
    while waiting:
        step_id = waiting[-1]
        before = [s for s in outcomes[step_id].inputs if s in outcomes and s not in seen]
        seen.add(step_id)
        if before:
            waiting += before
        else:
            found[waiting.pop()] = None
    return tuple(found)


def _copy_listed(folder: Path, name: str, copy: Path) -> None:
    """Copy one file of a step, by its path in the step's folder. Raises Damaged."""
    path = folder / name
    if not path.exists() and name in BESIDE:
        return
    # neither a link, which may lead anywhere, nor a pipe
    if not _is_regular(path) or not path.resolve().is_relative_to(folder.resolve()):
        raise Damaged(f"{name} is missing, or is no regular file of its folder")
    try:
        with path.open("rb") as old, copy.open("wb") as new:
            try:
                fcntl.ioctl(new.fileno(), _FICLONE, old.fileno())
            except OSError:  # another file system, or one that shares no blocks
                shutil.copyfileobj(old, new, 1 << 20)
    except OSError as error:
        if error.errno in (errno.EACCES, errno.EIO, errno.ENOENT, errno.ESTALE):
            raise Damaged(f"{name} cannot be read: {error.strerror}") from error
        raise
    shutil.copystat(path, copy)


def _step_of(run: str) -> StepId:
    """Return the step of an attempt by the name of its file."""
    return run.rpartition(".")[0].partition("-")[2]


def _is_regular(path: Path) -> bool:
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except OSError:
        return False


def _bytes(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() else None


def _listed(folder: Path) -> Sequence[str]:
    return os.listdir(folder) if folder.is_dir() else ()
