"""Examination of a machine, a store and the specs that are to run there: what hinders, and what to do."""

import datetime
import importlib.metadata
import os
import platform
import re
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from dsl.data.records import Run, read_record
from dsl.errors import ArgumentError, DataError, Problem, SpecError, WarehouseError
from dsl.messages import listed
from runners.execution.versions import ROOT
from runners.store.locks import is_left
from runners.store.store import Store
from xp.lock import lock_file
from xp.reach import models, servers
from xp.render.words import counted
from xp.server_check import check_server
from xp.studies import checks_of, diff_for

Level = Literal["ok", "note", "fault"]
ROOM = 1e9
"""Bytes that are to be free: a full disk stops an apply."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Result of one examination."""

    subject: str
    level: Level
    """A `fault` hinders; a `note` is to be known."""
    says: str
    """With what to do, where something is to be done."""


def examine(root: Path, specs: Sequence[Path] = ()) -> Iterator[Finding]:
    """Examine packages, disk, a store with its warehouse, and the servers that specs name.

    A server is sent a variable only where the store allows that by now.
    """
    yield from _packages()
    try:
        yield from _room(root)
        yield from _store(root)
    except OSError as error:
        says = f"{error.filename or root} cannot be read: {error.strerror}. Its owner may: chmod -R go+rX"
        yield Finding("store", "fault", says)
        return
    for spec in specs:
        yield from _spec(spec, root)


def _packages() -> Iterator[Finding]:
    """Compare the installed packages with those required, and those that xp was tested with."""
    required = [
        re.split(r"[^\w.-]", one)[0]
        for one in importlib.metadata.requires("xp-lab") or ()
        if "extra ==" not in one
    ]
    missing = [name for name in required if _version(name) is None]
    if missing:
        yield Finding(
            "packages", "fault", f"not installed: {listed(missing)}. pip install {' '.join(missing)}"
        )
    constraints = ROOT / "constraints.txt"
    tested = (
        dict(line.split("==", 1) for line in constraints.read_text("utf-8").splitlines() if "==" in line)
        if constraints.is_file()
        else {}
    )
    other = [
        f"{name} {found} (tested: {wanted})"
        for name, wanted in tested.items()
        if (found := _version(name)) is not None and found.partition("+")[0] != wanted
    ]
    if other:
        yield Finding(
            "packages",
            "note",
            f"other versions than tested: {listed(other)}. pip install -c {constraints} xp-lab",
        )
    if not missing and not other:
        yield Finding(
            "packages", "ok", f"{len(required)} required packages, Python {platform.python_version()}"
        )


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _room(root: Path) -> Iterator[Finding]:
    warehouse = Store(root).warehouse
    needed = max(ROOM, 2 * warehouse.stat().st_size if warehouse.is_file() else 0)
    for what, folder in (("store", root.absolute()), ("temporary files", Path(tempfile.gettempdir()))):
        there = next(path for path in (folder, *folder.parents) if path.is_dir())
        free = shutil.disk_usage(there).free
        says = f"{free / 1e9:,.1f} GB free in {there} for the {what}"
        if free < needed:
            yield Finding(
                "disk", "fault", f"{says}; {needed / 1e9:,.1f} GB are needed. `xp gc` shows what can go"
            )
        else:
            yield Finding("disk", "ok", says)


def _store(root: Path) -> Iterator[Finding]:
    if not root.exists():
        yield Finding("store", "note", f"there is none at {root} yet; `xp apply` makes it")
        return
    yield from _steps(root)
    yield from _runs(root)
    yield from _warehouse(root)


def _steps(root: Path) -> Iterator[Finding]:
    store, n_before = Store(root), 0
    if not root.is_dir():
        yield Finding("store", "fault", f"{root} is no folder. Name another: --store")
        return
    names = os.listdir(store.steps) if store.steps.is_dir() else []
    if (holder := store.holder()) is not None:
        yield Finding("lock", "note", f"an apply is at work: {holder}")
    elif is_left(root):
        yield Finding(
            "lock", "note", "a command on the store was interrupted; the next `xp apply` goes on from there"
        )
    if not os.access(root, os.W_OK, effective_ids=True):
        yield Finding(
            "store", "note", f"you may only read {root}: query, report, view and diff work, apply does not"
        )
    faults = checks_of(root).states(store.steps, sorted(store.done() | store.left_open())).faults
    for step_id, why in sorted(faults.items()):
        n_before += 1
        yield Finding("store", "fault", f"{step_id}: {why}. `xp apply` makes the step again")
    counts = {
        "unfinished: `xp apply` goes on with them": sum(name.endswith(".tmp") for name in names),
        "with rows that a server failed on: `xp apply` asks again": len(store.left_open()),
        "of an older version: `xp adopt` reuses answers of servers": sum(
            re.fullmatch(r"[a-z_]+-[0-9a-f]{12}", name) is not None for name in names
        ),
        "set aside as damaged: `xp gc` removes them": _n_in(root / "damaged"),
    }
    yield from (Finding("store", "note", f"{counted(n, 'step')} {what}") for what, n in counts.items() if n)
    if not n_before:
        yield Finding(
            "store", "ok", f"{len(store.done())} finished steps in {root}, files as they were written"
        )


def _n_in(folder: Path) -> int:
    return len(os.listdir(folder)) if folder.is_dir() else 0


def _runs(root: Path) -> Iterator[Finding]:
    """Look at the clock: an attempt that began later than now was dated by another one."""
    now = datetime.datetime.now(datetime.UTC) + datetime.timedelta(minutes=1)
    ahead = unreadable = 0
    for path in sorted((root / "runs").glob("*.json")):
        try:
            ahead += datetime.datetime.fromisoformat(read_record(path, Run).started_at) > now
        except (DataError, ValueError, TypeError):
            unreadable += 1
    if ahead:
        yield Finding(
            "clock",
            "note",
            f"{counted(ahead, 'attempt')} dated later than now: set the clock. No result hangs on it",
        )
    if unreadable:
        yield Finding(
            "store",
            "note",
            f"{counted(unreadable, 'record')} of attempts cannot be read; `xp status` names them",
        )


def _warehouse(root: Path) -> Iterator[Finding]:
    from warehouse.connect import connect  # duckdb, which takes a while

    store = Store(root)
    if not store.warehouse.exists():
        if store.done():
            yield Finding("warehouse", "fault", "there is none for the store's steps. `xp rebuild` makes it")
        return
    try:
        with connect(store.warehouse, read_only=True, patience=0.0, may_migrate=False) as connection:
            loaded = {step_id for (step_id,) in connection.execute("select step_id from steps").fetchall()}
            is_bundled = connection.execute("select 1 from made_from where part = 'bundled'").fetchone()
    except WarehouseError as error:
        yield Finding("warehouse", "fault", str(error))
        return
    unlike = len(loaded ^ (store.done() | store.left_open()))
    if unlike and not is_bundled:
        yield Finding(
            "warehouse",
            "fault",
            f"{counted(unlike, 'step')} in the store or the warehouse alone. `xp rebuild` makes it again",
        )
    else:
        yield Finding("warehouse", "ok", f"{len(loaded)} steps loaded")


def _spec(spec: Path, root: Path) -> Iterator[Finding]:
    name = str(spec)
    try:
        found = diff_for(spec, None, None, root)
    except SpecError as error:
        yield Finding(
            name, "fault", f"{counted(len(error.problems), 'problem')}, the first: {error.problems[0]}"
        )
        return
    except ArgumentError as error:  # a lock that is none
        yield Finding(str(lock_file(spec)), "fault", str(error))
        return
    yield Finding(name, "ok", f"valid; {len(found.todo)} of {len(found.plan.steps)} steps to run")
    yield from _lock(spec, found.moved)
    for line in found.reach:
        is_lacking = line.startswith("not ready: ")
        yield Finding(name, "fault" if is_lacking else "note", line)
    allowed = Store(root).allowed()
    for settings in servers(models(found.plan.steps.values())):
        is_fine, says = check_server(settings, allowed)
        yield Finding(name, "ok" if is_fine else "fault", says)


def _lock(spec: Path, moved: Sequence[Problem]) -> Iterator[Finding]:
    """Look at a spec's lock, where it has one, without a network."""
    path = lock_file(spec)
    if moved:
        more = f", and {len(moved) - 1} more have moved" if len(moved) > 1 else ""
        remedy = "`xp drift` names all that moved, `xp apply --update-lock` takes it as it is"
        yield Finding(str(path), "fault", f"{moved[0]}{more}: apply refuses the study. {remedy}")
    elif path.exists():
        yield Finding(
            str(path), "ok", "files and packages are as it says; `xp drift` asks the hub and servers"
        )
