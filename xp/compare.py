"""`xp diff`: two studies, or two applies of one, beside each other: settings, steps, answers and means."""

import contextlib
import re
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path

from dsl.checks.load import document_of
from dsl.data.records import read_record
from dsl.data.written_files import scratch_folder
from dsl.errors import ArgumentError, DataError
from dsl.messages import Path as SpecPath
from dsl.plan.study import Study
from dsl.yaml.document import Document, Mark, Plain
from runners.store.store import Store
from warehouse.compare import Answers, Found, Means, studies_compared
from warehouse.connect import WAREHOUSE
from warehouse.load import make_warehouse
from xp.studies import experiment_of, warehouse_of


@dataclass(frozen=True, slots=True)
class Setting:
    """A setting that differs between two specs, or that one of them has alone."""

    path: SpecPath
    old: Plain
    new: Plain
    """None where the spec has no such setting."""
    place: Mark
    """In the new spec, or in the old one where it was taken out."""


@dataclass(frozen=True, slots=True)
class Compared:
    """Differences from an old study to a new one."""

    old: str
    new: str
    """Names of the two sides, as they were given."""
    settings: tuple[Setting, ...]
    n_steps: int
    """Steps that both have; those that one has alone were made of other settings, data, weights or code."""
    n_only_old: int
    n_only_new: int
    unfinished: tuple[tuple[str, int], ...]
    """Each of the two whose steps do not all have their result: its name, and how many have none."""
    answers: tuple[Answers, ...]
    """Every place that one of them has answers in."""
    means: tuple[Means, ...]
    """Those that differ."""


@dataclass(frozen=True, slots=True)
class _Side:
    store: Path
    study: Study
    is_earlier: bool


def compare(old: str, new: str, store: Path) -> Compared:
    """Compare two studies that were applied.

    Args:
        old: A spec, an experiment of the store, another store that holds one study, or `STORE:EXPERIMENT`;
            with `~1` behind it the apply before the last one of another plan, `~2` the one before that.
        new: The same.
        store: The store of studies that name none.

    Raises:
        ArgumentError: one of them names no study.
        SpecError: a spec file cannot be read.
        WarehouseError: a warehouse cannot be read.
    """
    sides = _side(old, store), _side(new, store)
    was, now = (side.study for side in sides)
    with _found(sides[0]) as old_rows, _found(sides[1]) as new_rows:
        answers, means = studies_compared(old_rows, new_rows)
    before, after = {*was.step_ids}, {*now.step_ids}
    documents = [document_of(study.spec_text, study.spec_file, study.overrides) for study in (was, now)]
    return Compared(
        old,
        new,
        tuple(changed_settings(*documents)),
        n_steps=len(before & after),
        n_only_old=len(before - after),
        n_only_new=len(after - before),
        unfinished=tuple(
            (name, n) for name, side in zip((old, new), sides, strict=True) if (n := _n_open(side))
        ),
        answers=answers,
        means=means,
    )


def changed_settings(old: Document, new: Document) -> Iterator[Setting]:
    """Yield what differs between two specs, in the new one's order; a list is one value."""
    yield from _changed(old.data, new.data, (), old, new)


def _changed(was: Plain, now: Plain, path: SpecPath, old: Document, new: Document) -> Iterator[Setting]:
    if isinstance(was, dict) and isinstance(now, dict):
        for key in dict.fromkeys([*now, *was]):
            at = (*path, key)
            if key in was and key in now:
                yield from _changed(was[key], now[key], at, old, new)
            else:
                document = new if key in now else old
                yield Setting(at, was.get(key), now.get(key), document.mark(at, "key"))
    elif was != now or type(was) is not type(now):
        yield Setting(path, was, now, new.mark(path))


def _n_open(side: _Side) -> int:
    return len({*side.study.step_ids} - Store(side.store).done())


def _side(named: str, store: Path) -> _Side:
    """Find the study that is meant."""
    match = re.fullmatch(r"(.*?)(?:~(\d+))?", named, re.DOTALL)
    assert match is not None
    name, n_back = match[1], int(match[2] or 0)
    folder, colon, experiment = name.rpartition(":")
    if colon and Path(folder).is_dir():
        store = Path(folder)
    elif Store(Path(name)).experiments.is_dir():
        store, experiment = Path(name), _only_study(Path(name))
    else:
        experiment = experiment_of(name)
    held = Store(store)
    records = [held.experiments / f"{experiment}.json", *held.earlier(experiment)]
    if n_back >= len(records) or not records[n_back].is_file():
        raise ArgumentError(_not_there(named, experiment, len(records) - 1, store))
    try:
        return _Side(store, read_record(records[n_back], Study), n_back > 0)
    except DataError as error:
        raise ArgumentError(f"{named}: {error}") from error


def _only_study(store: Path) -> str:
    names = _studies_of(store)
    if len(names) != 1:
        raise ArgumentError(
            f"{store} holds {len(names)} studies ({', '.join(names)}). Name one of them: {store}:EXPERIMENT"
        )
    return names[0]


def _not_there(named: str, experiment: str, n_earlier: int, store: Path) -> str:
    if experiment not in _studies_of(store):
        held = ", ".join(_studies_of(store)) or "none"
        return f"{named}: {store} holds no study {experiment}; it holds: {held}"
    known = ", ".join(f"{experiment}~{n}" for n in range(1, n_earlier + 1)) or "none"
    return f"{named}: {store} knows no such apply of {experiment}. Earlier ones of another plan: {known}"


def _studies_of(store: Path) -> list[str]:
    return sorted(path.stem for path in Store(store).experiments.glob("*.json"))


@contextlib.contextmanager
def _found(side: _Side) -> Generator[Found]:
    """The rows of a study: in the store's warehouse or, of an earlier apply, in one made of its steps."""
    if not side.is_earlier:
        yield Found(warehouse_of(side.store), side.study.experiment)
        return
    with scratch_folder() as folder:  # not in the store, which may be read-only
        make_warehouse(side.store, folder / WAREHOUSE, side.study)
        yield Found(folder / WAREHOUSE, side.study.experiment)
