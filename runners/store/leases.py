"""Leases on the steps that an apply makes, in a bucket that several stores share.

    leases/<step_id>  the apply that makes a step: its process, host and time, and how often it has said so

Whoever makes a step says so again every `BEAT_SECONDS`. A lease of which nothing was heard for ten times as
long is another's who wants it, by a write on the condition that it is still as it was read. Its age is judged
by the server's clock alone. That a lease is lost costs time only: of two results of a step the first is the
bucket's.
"""

import contextlib
import datetime
import json
import os
import socket
import threading
from collections.abc import Collection

from dsl.values import StepId
from runners.store.bucket import Bucket, BucketError

BEAT_SECONDS = 10.0
"""Time between two beats of a lease."""
_MISSED = 10
"""Beats after which a lease has expired."""


class Leases:
    """Leases that one apply holds; a thread beats them."""

    def __init__(self, bucket: Bucket, apply: str, killed: Collection[str]) -> None:
        """`killed`: applies that are known to be dead, as those of the same store."""
        self._bucket, self._killed = bucket, killed
        self._holder = {
            "apply": apply,
            "pid": os.getpid(),
            "host": socket.gethostname(),
            "since": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        }
        self._held: dict[StepId, str] = {}
        """Step -> the version of its lease."""
        self._n_beats = 0
        self._lock = threading.Lock()
        self._is_over = threading.Event()
        self._beating = threading.Thread(target=self._beat_on, daemon=True)

    def take(self, step_id: StepId) -> str | None:
        """Take the lease on a step; where another apply has it, describe that one. Raises BucketError."""
        path = _path(step_id)
        with self._lock:
            version = self._bucket.create(path, self._words())
            while version is None:
                found = self._bucket.read(path)
                if found is None:  # just dropped
                    version = self._bucket.create(path, self._words())
                    continue
                holder = _read(found.content)
                age = (self._bucket.now() - found.changed).total_seconds()
                name = holder.get("apply")
                if name not in {self._holder["apply"], *self._killed} and age < _MISSED * BEAT_SECONDS:
                    return _described(holder)
                version = self._bucket.update(path, self._words(), found.version)
            self._held[step_id] = version
        if not self._beating.is_alive() and not self._is_over.is_set():
            self._beating.start()
        return None

    def drop(self, step_id: StepId, *, is_finished: bool = False) -> None:
        """Drop the lease on a step, unless it is lost; of a finished one whoever's it is. Raises
        BucketError."""
        with self._lock:
            version = self._held.pop(step_id, None)
            # deleting takes no condition, and right after a beat it is nobody else's
            if is_finished or (version is not None and self._beat(step_id, version) is not None):
                self._bucket.delete(_path(step_id))

    def end(self) -> None:
        """Drop all leases, as far as the bucket can be reached."""
        self._is_over.set()
        with contextlib.suppress(BucketError):
            for step_id in tuple(self._held):
                self.drop(step_id)

    def _beat_on(self) -> None:
        while not self._is_over.wait(BEAT_SECONDS):
            for step_id in tuple(self._held):
                with self._lock, contextlib.suppress(BucketError):  # the next beat may reach it
                    if (version := self._held.get(step_id)) is None:
                        continue
                    if (version := self._beat(step_id, version)) is None:
                        del self._held[step_id]
                    else:
                        self._held[step_id] = version

    def _beat(self, step_id: StepId, version: str) -> str | None:
        """Say that a step is being made, and return its lease's new version; None where the lease is lost."""
        beaten = self._bucket.update(_path(step_id), self._words(), version)
        if beaten is None and (found := self._bucket.read(_path(step_id))) is not None:
            # a beat whose answer was lost has been heard all the same
            return found.version if _read(found.content).get("apply") == self._holder["apply"] else None
        return beaten

    def _words(self) -> bytes:
        self._n_beats += 1  # a version is a digest of the content
        return json.dumps({**self._holder, "beat": self._n_beats}).encode()


def _path(step_id: StepId) -> str:
    return f"leases/{step_id}"


def _read(content: bytes) -> dict[str, object]:
    try:
        found = json.loads(content)
    except ValueError:
        found = None
    return found if isinstance(found, dict) else {}  # pyright: ignore[reportUnknownVariableType]


def _described(holder: dict[str, object]) -> str:
    return f"process {holder.get('pid')} on {holder.get('host')} since {holder.get('since')}"
