"""Leases in a bucket: one apply has each step, as long as it is heard of."""

import datetime
import threading
import time
from dataclasses import replace

import pytest
from obstore.store import MemoryStore

from runners.store import leases
from runners.store.bucket import Bucket, Found
from runners.store.leases import Leases

STEP = "generate-0123456789abcdef"


class Clock(Bucket):
    """A bucket whose clock can be set on."""

    seconds = 0.0

    def now(self) -> datetime.datetime:
        return super().now() + datetime.timedelta(seconds=self.seconds)


class Aged(Bucket):
    """A bucket in which one lease is old."""

    OLD = b'{"apply": "killed"}'

    def read(self, path: str) -> Found | None:
        found = super().read(path)
        if found is None or found.content != self.OLD:
            return found
        return replace(found, changed=found.changed - datetime.timedelta(hours=1))


@pytest.fixture
def bucket() -> Clock:
    bucket = Clock("memory://", MemoryStore())
    bucket.check()
    return bucket


@pytest.fixture
def never_beaten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Leases, "_beat_on", lambda leases: leases._is_over.wait())


def test_of_two_applies_one_has_a_step_until_it_drops_it_and_the_other_is_told_who(bucket: Clock) -> None:
    one, other = Leases(bucket, "one", ()), Leases(bucket, "other", ())
    assert one.take(STEP) is None
    held = other.take(STEP)
    assert held is not None
    assert held.startswith("process ")
    one.drop(STEP)
    assert other.take(STEP) is None
    other.end()
    assert bucket.names("leases") == []


@pytest.mark.usefixtures("never_beaten")
def test_a_lease_of_which_nothing_is_heard_expires_and_its_late_holder_leaves_the_next_one_s(
    bucket: Clock,
) -> None:
    slow, other = Leases(bucket, "slow", ()), Leases(bucket, "other", ())
    assert slow.take(STEP) is None
    bucket.seconds = 10 * leases.BEAT_SECONDS - 5
    assert other.take(STEP) is not None
    bucket.seconds = 10 * leases.BEAT_SECONDS + 5
    assert other.take(STEP) is None
    slow.drop(STEP)
    assert bucket.names("leases") == [STEP]
    other.drop(STEP)
    assert bucket.names("leases") == []


def test_a_lease_that_is_beaten_does_not_expire(bucket: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases, "BEAT_SECONDS", 0.05)
    one, other = Leases(bucket, "one", ()), Leases(bucket, "other", ())
    assert one.take(STEP) is None
    until = time.monotonic() + 1.5
    while time.monotonic() < until:
        assert other.take(STEP) is not None
        time.sleep(0.02)
    one.end()
    assert other.take(STEP) is None


def test_of_eight_that_want_an_expired_lease_one_has_it() -> None:
    bucket = Aged("memory://", MemoryStore())
    bucket.check()
    bucket.create(f"leases/{STEP}", Aged.OLD)
    found, ready = list[str | None](), threading.Barrier(8)

    def take(name: str) -> None:
        ready.wait()
        found.append(Leases(bucket, name, ()).take(STEP))

    threads = [threading.Thread(target=take, args=(f"apply {i}",)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found.count(None) == 1
    assert len(found) == 8


@pytest.mark.usefixtures("never_beaten")
def test_the_lease_of_an_apply_that_is_known_to_be_dead_is_free_at_once(bucket: Clock) -> None:
    assert Leases(bucket, "killed", ()).take(STEP) is None
    assert Leases(bucket, "stranger", {"another"}).take(STEP) is not None
    assert Leases(bucket, "again", {"killed"}).take(STEP) is None


def test_a_beat_that_was_heard_and_whose_answer_was_lost_loses_no_lease(bucket: Clock) -> None:
    one = Leases(bucket, "one", ())
    assert one.take(STEP) is None
    heard = bucket.read(f"leases/{STEP}")
    assert heard is not None
    assert bucket.update(f"leases/{STEP}", heard.content.replace(b"}", b" }"), heard.version)
    one.drop(STEP)
    assert bucket.names("leases") == []


def test_what_is_no_lease_of_ours_expires_like_one(bucket: Clock) -> None:
    bucket.create(f"leases/{STEP}", b"\xff[")
    assert Leases(bucket, "one", ()).take(STEP) is not None
    bucket.seconds = 1000.0
    one = Leases(bucket, "one", ())
    assert one.take(STEP) is None
    one.end()
