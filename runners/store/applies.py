"""Applies at work on one store, side by side.

    <root>/lock              held by all of them together, or by one that makes finished steps again
    <root>/applies/<name>    held by one of them: its process, host, command, experiment and study
    <root>/claims/<step_id>  held by the one that makes a step, from before its attempt until it is over

All of these are locks of the system, so whatever a killed apply held is free. What it left unsettled, as
attempts and requests under way, bears its name.
"""

import contextlib
import fcntl
import json
import os
import secrets
from collections.abc import Generator
from pathlib import Path

from dsl.errors import StoreLocked
from dsl.values import Name, Sha256, StepId
from runners.store import locks
from runners.store.locks import APPLIES

CLAIMS = "claims"


class AtWork:
    """This apply, at work on a store."""

    def __init__(self, root: Path, name: str, whole: int) -> None:
        self.root, self.name, self.is_alone = root, name, False
        self._whole = whole

    def others(self) -> tuple[str, ...]:
        """Describe who else is at work on the store: other applies, or a command that has it alone."""
        if not self.is_alone and (alone := locks.holder(self.root / "lock")) is not None:
            return (alone,)
        paths = (path for path in sorted((self.root / APPLIES).glob("*")) if path.name != self.name)
        return tuple(other for path in paths if (other := locks.holder(path)) is not None)

    def has_alone(self) -> bool:
        """Test whether this apply has the store alone, as it stays from then on: no other one is at work.

        Raises StoreLocked where another command has taken the store meanwhile.
        """
        try:
            if not self.is_alone:
                locks.take_whole(self.root, self._whole, fcntl.LOCK_EX, self.others)
                locks.write_holder(self._whole, self.root / "lock")
                self.is_alone = True
        except StoreLocked:  # and what was held is lost, as of `flock`
            locks.take_whole(self.root, self._whole, fcntl.LOCK_SH, lambda: locks.holders(self.root))
        return self.is_alone


@contextlib.contextmanager
def at_work(root: Path, experiment: Name, study: Sha256) -> Generator[AtWork]:
    """Be at work on a store beside other applies, which is made if need be.

    Args:
        study: Digest of what the study asks for.

    Raises:
        StoreLocked: a command holds the store alone, or another study of this name is being applied.
        StoreError: the folder cannot be written.
    """
    whole, own, path = locks.opened(root / "lock"), None, root / APPLIES / secrets.token_hex(8)
    try:
        locks.take_whole(root, whole, fcntl.LOCK_SH, lambda: locks.holders(root))
        os.ftruncate(whole, 0)  # a command that was killed has no more to say
        while own is None:  # else somebody is just looking who holds it
            own = locks.take(path)
        locks.write_holder(own, path, experiment=experiment, study=study)
        applying = AtWork(root, path.name, whole)
        _refuse_other_study(applying, experiment, study)
        yield applying
        if applying.is_alone:
            os.ftruncate(whole, 0)
    finally:
        if own is not None:
            locks.drop(own, path)
        os.close(whole)


def alive(root: Path) -> frozenset[str]:
    """Return the names of the applies at work."""
    return frozenset(path.name for path in (root / APPLIES).glob("*") if locks.holder(path) is not None)


def dead(root: Path) -> frozenset[str]:
    """Return the names of the applies that were killed, and not cleared since."""
    left = set[str]()
    for path in (root / APPLIES).glob("*"):
        with contextlib.suppress(FileNotFoundError):  # which has ended just now
            # one that just begins has its lock before a word is written
            if path.stat().st_size and locks.holder(path) is None:
                left.add(path.name)
    return frozenset(left)


def clear_killed(root: Path) -> None:
    """Remove the files of applies that were killed."""
    for path in (root / APPLIES).glob("*"):
        if (handle := locks.take(path)) is not None:
            locks.drop(handle, path)


class Claims:
    """Steps of a store that this apply makes, and no other one meanwhile."""

    def __init__(self, root: Path) -> None:
        self._folder = root / CLAIMS
        self._held: dict[StepId, int] = {}

    def take(self, step_id: StepId) -> bool:
        """Claim a step, unless another apply has. Raises StoreError."""
        handle = locks.take(self._folder / step_id)
        if handle is not None:
            self._held[step_id] = handle
        return handle is not None

    def holder(self, step_id: StepId) -> str | None:
        """Describe the apply that makes a step; None where there is none."""
        return locks.holder(self._folder / step_id)

    def drop(self, step_id: StepId) -> None:
        """Let go of a step whose attempt is over."""
        if (handle := self._held.pop(step_id, None)) is not None:
            locks.drop(handle, self._folder / step_id)

    def drop_all(self) -> None:
        """Let go of all steps."""
        for step_id in tuple(self._held):
            self.drop(step_id)


def _refuse_other_study(applying: AtWork, experiment: Name, study: Sha256) -> None:
    """Raise StoreLocked where another study of the same name is being applied: one of both would be
    recorded, and the rows loaded for the other."""
    for path in sorted((applying.root / APPLIES).glob("*")):
        if path.name == applying.name or (other := locks.holder(path)) is None:
            continue
        try:
            known = json.loads(path.read_bytes())
        except (OSError, ValueError):  # which has ended meanwhile, or is just beginning
            continue
        if known.get("experiment") == experiment and known.get("study") != study:
            raise StoreLocked(
                f"another study named {experiment} is being applied to {applying.root}: {other}. Wait until"
                " it ends, or give one of them another name"
            )
