"""The store's lock beside processes that look who holds it, as `xp status` and `xp view` do."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from dsl.errors import StoreLocked
from runners.store.locks import hold_store, holder

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
