"""The store's lock beside processes that look who holds it, as `xp status` and `xp view` do."""

import fcntl
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from dsl.errors import StoreLocked
from runners.store.locks import drop, hold_step, hold_store, holder, take

LOOKS = (
    "import pathlib, sys; from runners.store.locks import holder; print(flush=True)\nwhile True: holder({})"
)


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Path]:
    """A store that two processes look at without a pause."""
    (tmp_path / "lock").touch()
    program = LOOKS.format(f"pathlib.Path({str(tmp_path / 'lock')!r})")
    looking = [
        subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) for _ in range(2)
    ]
    for process in looking:
        assert process.stdout is not None
        process.stdout.readline()
    yield tmp_path
    for process in looking:
        process.kill()
        process.communicate()


def test_those_who_look_who_holds_the_store_keep_nobody_from_it(watched: Path) -> None:
    for _ in range(2000):
        with hold_store(watched):
            pass


def test_beside_those_who_look_one_holds_it_and_the_next_is_told_who(watched: Path) -> None:
    for _ in range(50):
        with hold_store(watched):
            with pytest.raises(StoreLocked, match="is in use: process"), hold_store(watched):
                pass
            assert holder(watched / "lock")


def test_other_machines_are_told_at_once_who_holds_the_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[bytes] = []  # on NFS the others see what was synced, or written long ago

    def sync(handle: int) -> None:
        synced.append(os.pread(handle, 10_000, 0))

    monkeypatch.setattr(os, "fsync", sync)
    with hold_store(tmp_path):
        assert synced == [(tmp_path / "lock").read_bytes()]
    assert str(os.getpid()).encode() in synced[0]


def test_a_holder_that_drops_its_file_while_one_looks_is_still_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, flock = tmp_path / "step", fcntl.flock
    handle = take(path)
    assert handle is not None

    def drop_meanwhile(file: int, how: int) -> None:
        try:
            flock(file, how)
        except BlockingIOError:
            drop(handle, path)
            raise

    monkeypatch.setattr(fcntl, "flock", drop_meanwhile)
    assert (holder(path) or "").startswith(f"process {os.getpid()} on ")
    assert not path.exists()


def test_locks_are_a_group_s_where_its_umask_says_so(tmp_path: Path) -> None:
    before = os.umask(0o002)
    try:
        handles = [take(tmp_path / "claims" / "data-1"), hold_step(tmp_path / "data-1.tmp")]
        with hold_store(tmp_path):
            pass
    finally:
        os.umask(before)
    for name in ("lock", "claims/data-1", "data-1.tmp/.lock"):
        assert (tmp_path / name).stat().st_mode & 0o777 == 0o664, name
    for handle in filter(None, handles):
        os.close(handle)
