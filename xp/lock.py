"""Lock of a study: the files, packages and commits that it rested on, in a file beside its spec.

A person reads it, git shows what changed in it. It is no part of any id: ids say what is made again, a lock
says that nothing may move without somebody's word.
"""

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Literal

from dsl.checks.load import load
from dsl.data.code_fingerprint import DECIDING, version_of
from dsl.data.fingerprints import RUNNERS, Fingerprints, file_sha256
from dsl.data.written_files import written_aside
from dsl.data.yaml_values import read_value
from dsl.engines.transformers import Weights
from dsl.errors import ArgumentError, DataError, OutputError, Problem, SpecError
from dsl.messages import listed, one_line
from dsl.plan.compile import compile
from dsl.plan.diff import Diff
from dsl.plan.study import Plan
from dsl.values import Name, Value
from dsl.yaml.document import read_yaml
from runners.execution.versions import RECORDED
from runners.models.weight_files import tokenizer_files
from xp.engines import why_not_vllm_in
from xp.hub import commit_of, on_hub
from xp.reach import models

SECTIONS = ("files", "packages", "hub", "tokenizers", "engines")
NOT_KNOWN = "the hub cannot be asked, and no copy of it is here"
_N_SHOWN = 12
"""Digits of a digest in a message; the lock has them all."""


class Lock(Value):
    """A lock, as its file holds it."""

    lock_version: Literal[1] = 1
    experiment: Name
    files: dict[str, str] = {}
    """File -> SHA-256 of its bytes: data, prompt texts, rubrics, and every file of a local model.

    It is named from the spec's folder on, or `xp:` where it ships with xp. One that lies elsewhere is
    `outside:`, eight hex digits of the SHA-256 of its folder's place from the spec's folder on, and its own
    name: no folder of a machine is named.
    """
    packages: dict[str, str] = {}
    """Distribution that decides a result, or carries weights -> installed version."""
    hub: dict[str, str] = {}
    """`models/` or `datasets/` and a name on the hub, `@` and the revision -> commit that it stands for."""
    tokenizers: dict[str, str] = {}
    """Model of the hub or of a package, `/` and a file of its tokenizer, chat template included -> SHA-256 of
    its bytes, as converted; of a local model they are among the files."""
    engines: dict[str, str] = {}
    """Place in the spec that leaves the engine open (`engine: auto`) -> the one that was taken."""


_installed = cache(version_of)


def lock_file(spec: Path) -> Path:
    """Return the place of a spec's lock, which need not exist."""
    return spec.with_name(f"{spec.name}.lock")


def rests_on(plan: Plan, fingerprints: Fingerprints) -> Lock:
    """Return what a plan has read and the installed packages: what is known without a network and without a
    tokenizer."""
    home = plan.folder.resolve()
    weights = {model.package for model in models(plan.steps.values()) if isinstance(model, Weights)}
    packages = {*RECORDED, *DECIDING.values(), *weights} - {None}
    return Lock(
        experiment=plan.study.experiment,
        files={_name(path, home): fingerprints.file(path) for path in sorted(fingerprints.files)},
        packages={name: _installed(name) for name in sorted(map(str, packages))},
        engines={one.place: one.engine for one in plan.engines},
    )


def _name(path: Path, home: Path) -> str:
    if path.is_relative_to(RUNNERS):
        return f"xp:{path.relative_to(RUNNERS).as_posix()}"
    place = Path(os.path.relpath(path, home))
    if place.parts[0] != "..":
        return place.as_posix()
    return f"outside:{hashlib.sha256(place.parent.as_posix().encode()).hexdigest()[:8]}/{path.name}"


def write(lock: Lock, spec: Path) -> Path:
    """Write a spec's lock and return its place.

    Raises:
        OutputError: the file cannot be written.
    """
    path = lock_file(spec)
    lines = [
        f"# What {one_line(spec.name)} rests on. `xp apply` refuses what has moved since this was written;",
        "# `xp apply --update-lock` takes it as it is then.",
        f"lock_version: {lock.lock_version}",
        f"experiment: {json.dumps(lock.experiment)}",
        *(line for section in SECTIONS for line in _section(section, getattr(lock, section))),
    ]
    try:
        with written_aside(path) as aside:
            aside.write_text("\n".join(lines) + "\n", "utf-8")
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error.strerror or error}") from error
    return path


def _section(name: str, entries: Mapping[str, str]) -> Iterator[str]:
    if entries:
        yield f"{name}:"
    for key, value in sorted(entries.items()):
        yield f"  {json.dumps(key, ensure_ascii=False)}: {json.dumps(value, ensure_ascii=False)}"


def read(spec: Path) -> Lock | None:
    """Read a spec's lock; None where it has none. Raises ArgumentError where it is no lock."""
    path = lock_file(spec)
    try:
        return read_value(path, Lock, "a lock") if path.exists() else None
    except DataError as error:
        raise ArgumentError(f"{error}. `xp lock` writes it again") from error


def moved(spec: Path, now: Lock, folders: Iterable[str] = ()) -> tuple[Problem, ...]:
    """Return what is otherwise now than a spec's lock says, each with its place there, its old and its new
    value.

    What only one of the two names has not moved, since a spec may have grown or shrunk, but for a file of a
    model's folder (`folders`) that came or went, and a section of which the spec needs nothing but other
    things. Raises ArgumentError where the file is no lock.
    """
    lock = read(spec)
    if lock is None:
        return ()
    document = read_yaml(lock_file(spec))
    faults = (*_unlike(lock, now), *_came_or_went(lock, now, folders), *_replaced(lock, now))
    return tuple(document.problem(place, message, on="key") for place, message in faults)


def _unlike(lock: Lock, now: Lock) -> Iterator[tuple[tuple[str, ...], str]]:
    for section in SECTIONS:
        for name, was in getattr(lock, section).items():
            if (found := getattr(now, section).get(name, was)) != was:
                yield (section, name), f"it was {_short(was)} and is {_short(found)} now"


def _came_or_went(lock: Lock, now: Lock, folders: Iterable[str]) -> Iterator[tuple[tuple[str, ...], str]]:
    for folder in folders:
        was, found = (
            {name for name in files if name.startswith(f"{folder}/")} for files in (lock.files, now.files)
        )
        if was and found:
            yield from ((("files", name), "it is not there now") for name in sorted(was - found))
            yield from ((("files",), f"{one_line(name)} is there now") for name in sorted(found - was))


def _replaced(lock: Lock, now: Lock) -> Iterator[tuple[tuple[str, ...], str]]:
    for section in ("files", "packages", "hub"):  # of tokenizers a new machine may have any part
        was, found = getattr(lock, section).keys(), getattr(now, section).keys()
        if was and found and was.isdisjoint(found):
            yield (section,), f"nothing of it is needed now, but {listed(sorted(found), most=3)}"


def model_folders(plan: Plan) -> tuple[str, ...]:
    """Return the folders of local models, named as in a lock."""
    home = plan.folder.resolve()
    return tuple(
        _name(Path(model.path).resolve() / "a file", home).rpartition("/")[0]
        for model in models(plan.steps.values())
        if isinstance(model, Weights) and model.path is not None
    )


def warnings_of(spec: Path, now: Lock, moved: Iterable[Problem]) -> Iterator[str]:
    """Say in lines of a plan what has moved, and what the lock does not name yet."""
    yield from (str(replace(one, level="warning")) for one in moved)
    lock = read(spec)
    new = [name for s in SECTIONS for name in getattr(now, s) if lock and name not in getattr(lock, s)]
    if new:
        yield str(
            Problem(
                str(lock_file(spec)),
                *(0, 0, "", f"{listed(new, most=3)}: not in it yet; `xp apply --update-lock` adds them"),
                "warning",
            )
        )


def refuse_moved(diff: Diff, cache: Path) -> None:
    """Raise SpecError where a study rests on other things now than its lock says; names on the hub are looked
    up for that. `cache` is the store's."""
    spec = Path(diff.plan.study.spec_file)
    lock = read(spec)
    if lock is None:
        return
    known, unknown = commits(diff.plan)
    files, document = tokenizers(diff.plan, cache), read_yaml(lock_file(spec))
    found = (
        *diff.moved,
        *moved(spec, Lock(experiment=lock.experiment, hub=known, tokenizers=files)),
        *(
            document.problem(("hub", name), f"its commit is not known now: {NOT_KNOWN}", on="key")
            for name in unknown
            if name in lock.hub
        ),
    )
    if found:
        remedy = "put back what has moved, or take it as it is with `xp apply --update-lock`"
        raise SpecError((*found, Problem(str(lock_file(spec)), 0, 0, "", remedy)))


def commits(plan: Plan) -> tuple[dict[str, str], tuple[str, ...]]:
    """Return the commit of each name on the hub that a plan loads, and the names of which none is known."""
    found = {str(one): commit_of(one) for one in on_hub(plan.steps.values())}
    return {name: c for name, c in found.items() if c}, tuple(name for name, c in found.items() if not c)


def tokenizers(plan: Plan, cache: Path) -> dict[str, str]:
    """Return the digests of the tokenizers that came with a model of the hub or of a package, as far as they
    are on this machine."""
    return {
        f"{model.source}/{path.name}": file_sha256(path)
        for model in models(plan.steps.values())
        if isinstance(model, Weights) and model.path is None
        for path in tokenizer_files(model, cache)
    }


def as_they_are(plan: Plan, fingerprints: Fingerprints, store: Path) -> tuple[Lock, tuple[str, ...]]:
    """Return what a plan rests on in full, and the names on the hub whose commit is not known."""
    known, unknown = commits(plan)
    found = {"hub": known, "tokenizers": tokenizers(plan, store / "cache")}
    return rests_on(plan, fingerprints).model_copy(update=found), unknown


def lock(spec: Path, overrides: Sequence[str], store: Path) -> tuple[Path, tuple[str, ...]]:
    """Write the lock of a spec as things are now. Returns its file, and notes on what it could not name.

    Raises:
        SpecError: the spec is invalid.
        OutputError: the file cannot be written.
    """
    plan, fingerprints = planned(spec, overrides, store)
    found, unknown = as_they_are(plan, fingerprints, store)
    notes = tuple(f"not locked: {name}: {NOT_KNOWN}" for name in unknown)
    return write(found, spec), notes


def planned(spec: Path, overrides: Sequence[str], store: Path) -> tuple[Plan, Fingerprints]:
    """Return a spec's plan and what it was made from; digests of files are remembered in the store."""
    fingerprints = Fingerprints(store / "cache" / "digests.json")
    loaded = load(spec, tuple(overrides), fingerprints, why_not_vllm_in(spec.parent))
    plan = compile(loaded.experiment, fingerprints, loaded.origin)
    if store.is_dir():
        fingerprints.save()
    return plan, fingerprints


def _short(value: str) -> str:
    return f"{value[:_N_SHOWN]}…" if len(value) >= 40 and " " not in value else value
