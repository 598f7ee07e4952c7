"""Garbage collection of a store: finds what no spec of a folder needs, and removes it.

A spec needs the steps of its plan, and those of the study that was applied last under its name or from its
file: the report is of them, and a changed spec reuses their rows.

A kill at any moment leaves a sound store: the warehouse goes first and is made again last, each step goes by
one rename, and a study's record becomes that of an earlier apply. People's labels stay, and so do files that
this version of xp does not know.
"""

import os
import re
import shutil
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from dsl.checks.load import experiment_name
from dsl.data.records import Outcome, read_record
from dsl.errors import ArgumentError, DataError, SpecError, StoreError
from dsl.plan.study import Study
from dsl.values import StepId
from runners.store.disk_errors import unwritten
from runners.store.locks import holder
from runners.store.merging import PULLED
from runners.store.store import Store
from xp.studies import diff_for

_LIKE_A_STUDY = re.compile(r"""\b(experiment|extends)\b["']?\s*:""")
"""A key of a study, wherever it stands: in flow style it begins no line."""
_ASIDE = "removed-"
"""Begins the name of a folder that is being removed; `.tmp` ends it, as of a step that is no result."""


@dataclass(frozen=True, slots=True)
class Part:
    """Files of one kind that can go."""

    kind: str
    paths: tuple[Path, ...]
    n_rows: int
    n_bytes: int


@dataclass(frozen=True)
class Garbage:
    """Parts of a store that no spec needs."""

    store: Path
    n_bytes: int
    """All of the store."""
    n_needed: int
    """Finished steps that are needed."""
    specs: tuple[Path, ...]
    studies: tuple[str, ...]
    """Recorded studies that are of none of the specs."""
    parts: tuple[Part, ...]
    cache: Part
    """Files that are made again where they are needed: they go if that is asked for."""
    labels: tuple[str, ...]
    """Studies with people's labels that are of none of the specs: the labels stay."""
    notes: tuple[str, ...]

    @property
    def n_removable(self) -> int:
        """Bytes of the parts, the cache left out."""
        return sum(part.n_bytes for part in self.parts)

    @property
    def is_loaded(self) -> bool:
        """True where the warehouse holds rows of it."""
        return bool(self.studies) or any(part.kind not in _UNLOADED for part in self.parts)


def find_garbage(root: Path, named: Sequence[Path]) -> Garbage:
    """Find what no spec among `named`, specs or folders of specs, needs.

    Raises:
        ArgumentError: they hold no spec, a folder that cannot be listed, or a spec whose name cannot be read,
            or a study's record cannot be read: nothing says what is needed.
        StoreError: there is no store, or it cannot be read.
    """
    if not root.is_dir():
        raise StoreError(f"{root} is no store: there is nothing to remove")
    store, specs = Store(root), tuple(dict.fromkeys(_specs(named)))
    if not specs:
        raise ArgumentError(
            f"{', '.join(map(str, named))}: no spec is there, so all of {root} would go. Name the specs or"
            f" the folder whose results are to stay; delete the folder {root} if none are"
        )
    needed, studies, notes = _needed(store, specs)
    try:
        return Garbage(
            store=root,
            n_bytes=_size([store.root]),
            n_needed=len(needed & (store.done() | store.left_open())),
            specs=specs,
            studies=studies,
            parts=tuple(_parts(store, needed)),
            cache=_part(
                "cache", (path for path in _in(store.cache) if path.is_dir() and not _is_aside(path))
            ),
            labels=tuple(name for name in studies if (store.root / "labels" / name).is_dir()),
            notes=notes,
        )
    except OSError as error:
        raise StoreError(f"{error.filename}: cannot be read: {error.strerror}") from error


def remove_garbage(root: Path, named: Sequence[Path], *, with_cache: bool = False) -> Garbage:
    """Remove what no spec among `named` needs, and return what that was.

    Raises:
        ArgumentError, StoreError: as `find_garbage`; StoreError also where a file cannot be removed.
        StoreLocked: an apply is at work on the store.
        WarehouseError: somebody has the warehouse open, and nothing was removed; or it cannot be made again.
    """
    from warehouse.connect import remove, wait_until_free  # duckdb, which finding does not need
    from warehouse.load import rebuild

    if not root.is_dir():
        raise StoreError(f"{root} is no store: there is nothing to remove")
    store = Store(root)
    with store.lock():
        found, is_removed = find_garbage(root, named), False
        try:
            if found.is_loaded and store.warehouse.exists():
                wait_until_free(store.warehouse)
                remove(store.warehouse)
                is_removed = True
            for name in found.studies:
                store.retire_study(name)
            for part in (*found.parts, *[found.cache] * with_cache):
                for path in part.paths:
                    _remove(path)
        except OSError as error:
            raise unwritten(error, Path(error.filename or root)) from error
        finally:
            if store.steps.is_dir() and (is_removed or not store.warehouse.exists()):
                rebuild(root)
        return found


def _specs(named: Iterable[Path]) -> Iterator[Path]:
    """Yield specs as they are named, and those below folders, links followed, hidden ones left out."""
    for path in named:
        if not path.is_dir():
            yield path
            continue
        seen = set[Path]()
        for folder, below, files in os.walk(path, onerror=_refuse_unlisted, followlinks=True):
            here = Path(folder).resolve()
            below[:] = [] if here in seen else sorted(name for name in below if not name.startswith("."))
            for name in () if here in seen else sorted(files):
                file = Path(folder) / name
                if file.suffix in (".yaml", ".yml") and _is_like_a_study(file):
                    yield file
            seen.add(here)


def _refuse_unlisted(error: OSError) -> None:
    raise DataError(
        f"{error.filename}: {error.strerror}, so nothing says what the specs in it need. Make it readable, or"
        " name the specs whose results are to stay"
    ) from error


def _is_like_a_study(file: Path) -> bool:
    with suppress(OSError):
        return _LIKE_A_STUDY.search(file.read_text("utf-8", "replace")) is not None
    return True  # one that cannot be read may be a study


def _needed(store: Store, specs: Iterable[Path]) -> tuple[set[StepId], tuple[str, ...], tuple[str, ...]]:
    """Return the steps that specs need, the names of recorded studies of none of them, and notes."""
    needed, names, files, notes = set[StepId](), set[str](), set[Path](), list[str]()
    unplanned = set[str]()
    for spec in specs:
        try:
            names.add(name := experiment_name(spec))
        except SpecError as error:
            raise ArgumentError(
                f"{spec} cannot be read, so nothing says what it needs. Mend it; where it is no spec, leave"
                f" it out: name the specs whose results are to stay instead of their folder:\n{error}"
            ) from error
        files.add(spec.resolve())
        try:
            needed |= diff_for(spec, None, None, store.root).plan.steps.keys()
        except SpecError:
            unplanned.add(name)
            notes.append(
                f"{spec} is not valid now (`xp validate {spec}`): what was applied last under its name stays"
            )
    studies: list[str] = []
    for record in sorted(store.experiments.glob("*.json")):
        try:
            study = read_record(record, Study)
        except DataError as error:
            if record.stem not in names - unplanned:
                raise ArgumentError(
                    f"{error}, so nothing says what {record.stem} needs. Apply its spec again, which writes"
                    " that record, or delete the record where the study is to go"
                ) from error
            notes.append(f"{error}. Only the steps that its spec plans now stay")
            continue
        if study.experiment in names or Path(study.spec_file).resolve() in files:
            needed.update(study.step_ids)
        else:
            studies.append(record.stem)
    return needed, tuple(studies), tuple(notes)


_STEP = re.compile(r"([a-z_]+)-[0-9a-f]{12,16}(\.tmp)?")
_UNLOADED = {"unfinished", "damaged", "leftovers"}
"""Kinds that the warehouse holds nothing of."""


def _parts(store: Store, needed: set[StepId]) -> Iterator[Part]:
    """Yield what is not needed, kind by kind."""
    leftovers = [path for at in (store.root, store.steps, store.cache) for path in _in(at) if _is_aside(path)]
    leftovers += store.root.glob("verify-*")
    leftovers += store.root.glob("warehouse.duckdb.unreadable")
    found: dict[str, list[Path]] = defaultdict(list, {"leftovers": leftovers})
    for folder in _in(store.steps):
        named = _STEP.fullmatch(folder.name)
        if named is None or folder.name.removesuffix(".tmp") in needed:
            continue
        is_finished = not named[2] and (folder / "outcome.json").exists()
        if is_finished or holder(folder / ".lock") is None:
            found[named[1] if is_finished else "unfinished"].append(folder)
    found["damaged"] = _in(store.root / "damaged")
    found["runs"] = [
        path for path in _in(store.runs) if path.suffix == ".json" and _step_of(path) not in needed
    ]
    for kind, paths in found.items():
        if paths:
            yield _part(kind, paths)


def _step_of(run: Path) -> StepId:
    return run.stem.partition("-")[2]


def _part(kind: str, paths: Iterable[Path]) -> Part:
    paths, n_rows = tuple(paths), 0
    for outcome in (path / "outcome.json" for path in paths if kind not in _UNLOADED):
        if outcome.exists():
            with suppress(DataError):
                n_rows += read_record(outcome, Outcome).n_rows
    return Part(kind, paths, n_rows, _size(paths))


def _in(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.is_dir() else []


def _size(paths: Iterable[Path]) -> int:
    """Bytes of files and of folders with all that is in them."""
    n_bytes = 0
    for path in paths:
        for file in (path, *path.rglob("*")):
            with suppress(FileNotFoundError):
                n_bytes += file.lstat().st_size if not file.is_dir() else 0
    return n_bytes


def _remove(path: Path) -> None:
    """Remove a file, or a folder in such a way that none is left that looks whole."""
    if path.is_symlink() or not path.is_dir():
        path.unlink(missing_ok=True)
        return
    # beside it: a link to another file system leads out of the store
    aside = path if _is_aside(path) else path.with_name(f"{_ASIDE}{path.name}.tmp")
    path.rename(aside)
    shutil.rmtree(aside)


def _is_aside(path: Path) -> bool:
    return path.name.startswith((_ASIDE, PULLED))
