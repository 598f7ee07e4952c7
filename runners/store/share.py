"""Finished steps that several stores share through a bucket, and this apply's part in that.

    files/<sha256>                 a file of a step, by the digest in its outcome
    attempts/<step_id>/            `log.txt`, `code.json` and the records of the attempts at it
    steps/<step_id>/outcome.json   of a finished step: created after its files, by the first that ends it
    leases/<step_id>               who makes a step (`runners.store.leases`)

A bucket has neither a rename nor a lock, so an outcome that is there is what makes a step finished, and files
are named by what they hold: two that upload one step never write over each other's, and what a kill leaves is
no result. With each step of a bucket its inputs are there, as they were when it was made.

Steps are made in the store, as without a bucket. Where that cannot be reached any more, the apply goes on
alone, and says at its end what was not shared.
"""

import contextlib
import queue
import shutil
import threading
import time
from collections.abc import Collection, Generator, Iterable
from pathlib import Path

from pydantic import ValidationError

from dsl.data.records import Outcome, why_invalid
from dsl.data.written_files import written_aside
from dsl.errors import DataError
from dsl.steps.identity import Canonical
from dsl.steps.steps import Step
from dsl.values import Sha256, StepId
from runners.store import leases
from runners.store.applies import dead
from runners.store.bucket import Bucket, BucketError
from runners.store.digests import OUTCOME, Checks, Damaged, content
from runners.store.disk_errors import unwritten
from runners.store.leases import Leases
from runners.store.merging import BESIDE, merge
from runners.store.same_fingerprint import is_of_other_code
from runners.store.store import Store, read_step

_AGAIN_SECONDS = 60.0
"""Time after which a bucket that could not be reached is tried again."""


class Share:
    """A bucket, as one apply uses it."""

    def __init__(self, bucket: Bucket, store: Store, checks: Checks) -> None:
        """Raises BucketError where the bucket cannot be used."""
        bucket.check()
        self._bucket, self._store, self._checks = bucket, store, checks
        self._leases = Leases(bucket, store.apply, dead(store.root))
        self._contents: dict[StepId, Sha256 | None] = {}
        """Step -> the digest of what the bucket's holds; None where the bucket has none."""
        self._holders: dict[StepId, tuple[str, float]] = {}
        """Step -> who makes it, and until when that is not asked again."""
        self._left: dict[StepId, str] = {}
        """Steps of the bucket that were not fetched -> why, in words."""
        self._n_fetched, self._n_sent = 0, 0
        self._unsent: dict[StepId, None] = {}
        self._kept: dict[StepId, None] = {}
        """Steps made from other rows of an input than the bucket holds, or of one that it lacks."""
        self._error = ""
        self._down_until = 0.0
        self._is_over = False
        self._sending: queue.SimpleQueue[StepId | None] = queue.SimpleQueue()
        # not the main thread: the next step need not wait until weights are there
        self._sender = threading.Thread(target=self._send_all, daemon=True)
        self._sender.start()

    def take(self, step_id: StepId, step: Step) -> str | None:
        """Fetch a step that is finished in the bucket, or take the lease on it.

        Returns who makes it, where another apply does; None where it is here now, or is to be made here.
        """
        holder, until = self._holders.get(step_id, ("", 0.0))
        if time.monotonic() < until:
            return holder
        if step_id in self._left or self._is_down():
            return None
        try:
            if self._is_fetched(step_id, step):
                return None
            found = self._leases.take(step_id)
            if found is None and self._is_fetched(step_id, step):  # finished meanwhile
                self._leases.drop(step_id)
        except BucketError as error:
            self._fail(error)
            return None
        except Damaged as error:
            self._left[step_id] = str(error)
            return None
        except OSError as error:
            raise unwritten(error, self._store.step_folder(step_id)) from error
        if found is not None:
            self._holders[step_id] = found, time.monotonic() + leases.BEAT_SECONDS / 5
        return found

    def end(self, step_id: StepId, *, is_done: bool) -> None:
        """Send a step that was made, in a while, and let go of one that was not."""
        if is_done:
            self._sending.put(step_id)
        elif not self._is_down():
            try:
                self._leases.drop(step_id)
            except BucketError as error:
                self._fail(error)

    def offer(self, step_ids: Iterable[StepId]) -> None:
        """Send those of finished steps, each after its inputs, that the bucket lacks."""
        try:
            there = finished_in(self._bucket)
        except BucketError as error:
            self._fail(error)
            there = frozenset[StepId]()
        for step_id in step_ids:
            if step_id not in there:
                self._sending.put(step_id)

    def finish(self) -> list[str]:
        """Wait until all is sent, and return what a person must be told, in sentences."""
        self._sending.put(None)
        self._sender.join()
        self._down_until = 0.0
        for step_id in tuple(self._unsent):
            if not self._is_down():
                self._send(step_id)
        notes = [f"Shared through {self._bucket.address}: {self._n_sent} sent, {self._n_fetched} fetched."]
        if self._unsent:
            notes.append(
                f"Not shared, since {self._error}: {_listed(self._unsent)}. Their results are here, and the"
                " next `xp apply` with --share sends them."
            )
        elif self._error:
            notes.append(f"For a while {self._error}; steps may have been made here and elsewhere.")
        if self._kept:
            notes.append(
                f"Not shared, since an input is another there, or is not there: {_listed(self._kept)}."
            )
        for step_id, why in self._left.items():
            notes.append(f"{step_id} of {self._bucket.address} was not fetched, and was made here: {why}.")
        return notes

    def close(self) -> None:
        """Let go of all steps, also where the apply was interrupted."""
        self._is_over = True
        self._sending.put(None)
        self._leases.end()

    # -------- from there

    def _is_fetched(self, step_id: StepId, step: Step) -> bool:
        """Fetch a step, if it is finished in the bucket. Raises Damaged, BucketError."""
        found = self._bucket.read(_outcome(step_id))
        if found is None:
            return False
        try:
            outcome = Outcome.model_validate_json(found.content)
        except ValidationError as error:
            raise Damaged(f"{_outcome(step_id)} cannot be read: {why_invalid(error)}") from error
        if not self._store.is_shared and is_of_other_code(outcome, step):
            raise Damaged("other code made it, and the spec says `reuse: same_fingerprint`")

        def bring(name: str, file: Path) -> None:
            if name == OUTCOME:
                file.write_bytes(found.content)
            elif name in BESIDE:
                if (beside := self._bucket.read(f"{_attempts(step_id)}/{name}")) is not None:
                    file.write_bytes(beside.content)
            else:
                self._bring(outcome, name, file)
                if name == "step.json":
                    _check_settings(file.parent, step)

        merge(self._store, step_id, outcome, self._content_here, bring)
        shutil.rmtree(self._store.unfinished_folder(step_id), ignore_errors=True)  # the rows are here now
        self._contents[step_id] = content(outcome.files)
        self._n_fetched += 1
        self._fetch_attempts(step_id)
        return True

    def _bring(self, outcome: Outcome, name: str, file: Path) -> None:
        written = outcome.files[name]
        path = f"files/{written.sha256}"
        if not self._bucket.fetch(path, file, written.n_bytes):
            raise Damaged(f"its {name}, which is {path}, is missing or shorter than it was written")

    def _fetch_attempts(self, step_id: StepId) -> None:
        for name in self._bucket.names(_attempts(step_id)):
            to = self._store.runs / name
            found = self._bucket.read(f"{_attempts(step_id)}/{name}") if _is_run(name, step_id) else None
            if found is not None and not to.exists():
                to.parent.mkdir(parents=True, exist_ok=True)
                with written_aside(to) as aside:
                    aside.write_bytes(found.content)

    def _content_here(self, step_id: StepId) -> Sha256 | None:
        with contextlib.suppress(Damaged):
            held = self._checks.check(f"{self._store.steps}/{step_id}", step_id)
            return None if held is None else held.content
        return None

    # -------- and to there

    def _send_all(self) -> None:
        while (step_id := self._sending.get()) is not None and not self._is_over:
            if self._is_down():
                self._unsent[step_id] = None
            else:
                self._send(step_id)

    def _send(self, step_id: StepId) -> None:
        """Send a step, unless another was first with it."""
        self._unsent[step_id] = None
        try:
            outcome = self._store.outcome(step_id)
            if not self._unsent.keys().isdisjoint(outcome.inputs):
                return
            if is_sent := self._is_sent(step_id, outcome):
                self._n_sent += 1
            self._leases.drop(step_id, is_finished=is_sent)
        except BucketError as error:
            self._fail(error)
            return
        except (OSError, DataError) as error:
            self._error = f"{step_id} cannot be read: {error}"
            return
        del self._unsent[step_id]

    def _is_sent(self, step_id: StepId, outcome: Outcome) -> bool:
        folder = self._store.step_folder(step_id)
        if outcome.n_open or not outcome.files or self._bucket_has(step_id) is not None:
            return False
        if any(self._bucket_has(name) != held for name, held in outcome.inputs.items()):
            self._kept[step_id] = None
            return False
        for name, written in outcome.files.items():
            self._bucket.send(folder / name, f"files/{written.sha256}")
        for name in BESIDE:
            if name != OUTCOME and (folder / name).exists():
                self._bucket.send(folder / name, f"{_attempts(step_id)}/{name}")
        for run in self._store.runs.glob(f"*-{step_id}.json"):
            self._bucket.send(run, f"{_attempts(step_id)}/{run.name}")
        is_first = self._bucket.create(_outcome(step_id), (folder / OUTCOME).read_bytes()) is not None
        if is_first:
            self._contents[step_id] = content(outcome.files)
        return is_first

    def _bucket_has(self, step_id: StepId) -> Sha256 | None:
        """Return the digest of what the bucket's step holds; None where it has none that can be read."""
        if self._contents.get(step_id) is None:
            found = self._bucket.read(_outcome(step_id))
            with contextlib.suppress(ValidationError):
                self._contents[step_id] = found and content(Outcome.model_validate_json(found.content).files)
        return self._contents.get(step_id)

    # -------- in between

    def _fail(self, error: BucketError) -> None:
        self._error = str(error).rstrip(".")
        self._down_until = time.monotonic() + _AGAIN_SECONDS

    def _is_down(self) -> bool:
        return time.monotonic() < self._down_until


@contextlib.contextmanager
def sharing(bucket: Bucket | None, store: Store, checks: Checks) -> Generator[None]:
    """Share the steps of a store through a bucket, if there is one, until the block ends.

    Raises BucketError where it cannot be used.
    """
    if bucket is None:
        yield
        return
    store.share = Share(bucket, store, checks)
    try:
        yield
    finally:
        store.share.close()
        store.share = None


def finished_in(bucket: Bucket) -> frozenset[StepId]:
    """Return the steps that are finished in a bucket. Raises BucketError."""
    return frozenset(
        name.removesuffix(f"/{OUTCOME}") for name in bucket.names("steps") if name.endswith(f"/{OUTCOME}")
    )


def _check_settings(folder: Path, step: Step) -> None:
    """Raise Damaged where a fetched step's settings are not those of the step that is to be made."""
    found = read_step(folder)
    if found is None or Canonical().text(found) != Canonical().text(step):
        raise Damaged("its settings are those of another step, or of another version")


def _outcome(step_id: StepId) -> str:
    return f"steps/{step_id}/{OUTCOME}"


def _attempts(step_id: StepId) -> str:
    return f"attempts/{step_id}"


def _is_run(name: str, step_id: StepId) -> bool:
    return name.endswith(f"-{step_id}.json") and "/" not in name


def _listed(step_ids: Collection[StepId]) -> str:
    first = ", ".join([*step_ids][:3])
    return first + (f" and {len(step_ids) - 3} more" if len(step_ids) > 3 else "")
