"""Verify a bundle: every number, figure and digest in it is derived again from its rows."""

import hashlib
import re
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

from dsl.data.written_files import scratch_folder
from dsl.messages import one_line, shorten
from warehouse.errors import duckdb_errors
from xp.bundle import read_files
from xp.derived import BundleLock, Files, as_text, made_by, numbers_of, our_sql, statistics_of, written_in

TOLERANCE = 1e-12
"""Largest relative difference of two numbers that are equal on another build, whose sums are rounded
otherwise."""

_NUMBER = re.compile(rb"(-?\d+(?:\.\d+)?(?:e[-+]?\d+)?)")


@dataclass(frozen=True)
class VerifiedBundle:
    """Result of a verification of a bundle."""

    bundle: Path
    steps: Mapping[str, object]
    """Its steps, by id."""
    n_equal: int
    """Tables, and the report with its figures, that are equal to the bit."""
    close: tuple[str, ...]
    """Those that are equal but for last digits."""
    n_adapters: int
    """Files of adapters with the digest that was recorded."""
    faults: tuple[str, ...]
    """In sentences, each beginning with the file it is about."""
    notes: tuple[str, ...]


def verify_bundle(bundle: Path) -> VerifiedBundle:
    """Derive a bundle's statistics, tables and report from its rows and compare them with what it holds.

    Where it says that this version's code wrote it, that code derives them, and its SQL, spec and lock have
    to be what that code and the rows give.

    Raises:
        ArgumentError: the file is no bundle.
        WarehouseError: its SQL cannot be run.
    """
    files, lock = read_files(bundle)
    ours, theirs = made_by(), lock.made_by
    is_ours = all(ours[part] == theirs.get(part) for part in ("schema", "views", "computed"))
    equal, close, faults, notes = 0, list[str](), list[str](), list[str]()
    sql = our_sql(Path(tempfile.gettempdir())) if is_ours else {}
    faults += [
        f"{name} is not that of the code that the bundle names" for name in sql if files[name] != sql[name]
    ]
    if is_ours:
        faults += _unwritten(bundle, files | sql, lock)
    for name, derived in _derived(bundle, files | sql, lock.experiment, with_statistics=is_ours):
        if name == "report.html" and (
            name not in files or not is_ours or ours["report"] != theirs.get("report")
        ):
            notes.append("report.html was written by another version of xp: not compared")
        elif name not in files:
            faults.append(f"{name} is missing")
        elif files[name] == derived:
            equal += 1
        elif (unlike := _difference(*_texts(name, files[name], derived))) is None:
            close.append(name)
        else:
            faults.append(f"{name} is not what the rows give: {unlike}")
    if not is_ours:
        notes.append("statistics are those of another version of xp: taken as they stand")
        notes.append("tables of numbers are derived by the bundle's own SQL, whatever it says")
    damaged = [name for name, digest in lock.adapters.items() if _sha256(files.get(name)) != digest]
    faults += [f"{name} is not the file that was packed" for name in damaged]
    return VerifiedBundle(
        bundle,
        lock.steps,
        equal,
        tuple(close),
        len(lock.adapters) - len(damaged),
        tuple(faults),
        tuple(notes),
    )


def _unwritten(bundle: Path, files: Files, lock: BundleLock) -> Iterator[str]:
    """Yield in sentences what spec and lock say otherwise than the rows."""
    with scratch_folder() as folder, duckdb_errors(bundle):
        spec, written = written_in(files, lock.experiment, folder)
    if files.get("spec.yaml") != spec.encode():
        yield "spec.yaml is not the spec in rows/experiments.parquet"
    if lock.overrides != written.overrides:
        yield "lock.json has other overrides than rows/experiments.parquet"
    if lock.steps != written.steps:
        yield "lock.json has other steps than rows/steps.parquet"


def _derived(
    bundle: Path, files: Files, experiment: str, *, with_statistics: bool
) -> Iterator[tuple[str, bytes]]:
    if with_statistics:
        with scratch_folder() as folder, duckdb_errors(bundle):
            yield from statistics_of(files, folder).items()
    with scratch_folder() as folder, duckdb_errors(bundle):
        yield from numbers_of(files, experiment, folder).items()


def _texts(name: str, held: bytes, derived: bytes) -> tuple[bytes, bytes]:
    if not name.endswith(".parquet"):
        return held, derived
    with scratch_folder() as folder, duckdb_errors(name):
        return as_text(held, folder), as_text(derived, folder)


def _difference(held: bytes, derived: bytes) -> str | None:
    """Return the first line in which two texts differ, and not only in the last digits of numbers."""
    lines = zip_longest(held.splitlines(), derived.splitlines(), fillvalue=b"")
    for number, (was, now) in enumerate(lines, 1):
        if was != now and not _is_close(was, now):
            unlike = next((at for at, (a, b) in enumerate(zip(was, now, strict=False)) if a != b), 0)
            begin = max(0, unlike - 20)
            found, again = (shorten(one_line(line[begin:].decode(errors="replace"))) for line in (was, now))
            return f"line {number}: found `{found}`, derived `{again}`"
    return None


def _is_close(was: bytes, now: bytes) -> bool:
    parts = _NUMBER.split(was), _NUMBER.split(now)
    if len(parts[0]) != len(parts[1]):
        return False
    for one, other in zip(*parts, strict=True):
        if one != other:
            try:
                value, again = float(one), float(other)
            except ValueError:
                return False
            if not abs(value - again) <= TOLERANCE * max(
                1.0, abs(value), abs(again)
            ):  # nor what is no number
                return False
    return True


def _sha256(content: bytes | None) -> str | None:
    return None if content is None else hashlib.sha256(content).hexdigest()
