"""Applies side by side on one store, and commands that need it alone."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from dsl.errors import StoreError, StoreLocked
from runners.store.applies import Claims, alive, at_work, clear_killed
from runners.store.locks import hold_store, holders, is_left
from tests.xp.small_study import HANG_SECONDS

ASKED, OTHER = "0" * 64, "1" * 64


def test_several_applies_have_the_store_and_each_is_named(tmp_path: Path) -> None:
    with at_work(tmp_path, "one", ASKED) as one, at_work(tmp_path, "two", ASKED) as two:
        assert alive(tmp_path) == {one.name, two.name}
        assert len(holders(tmp_path)) == 2
        assert all(said.startswith(f"process {os.getpid()} on ") for said in holders(tmp_path))
    assert (alive(tmp_path), holders(tmp_path)) == (frozenset(), ())


def test_a_command_that_rewrites_the_store_waits_for_no_apply_and_names_them(tmp_path: Path) -> None:
    with (
        at_work(tmp_path, "one", ASKED),
        at_work(tmp_path, "two", ASKED),
        pytest.raises(StoreLocked, match=r"is in use: process .*; process "),
        hold_store(tmp_path),
    ):
        pass
    with hold_store(tmp_path):
        pass


def test_no_apply_begins_while_a_command_has_the_store_alone(tmp_path: Path) -> None:
    with (
        hold_store(tmp_path),
        pytest.raises(StoreLocked, match="is in use: process"),
        at_work(tmp_path, "one", ASKED),
    ):
        pass


def test_an_apply_gets_the_store_alone_where_no_other_is_at_work_and_keeps_it(tmp_path: Path) -> None:
    with at_work(tmp_path, "one", ASKED) as one:
        with at_work(tmp_path, "two", ASKED) as two:
            assert [one.has_alone(), two.has_alone()] == [False, False]
            assert [len(one.others()), len(two.others())] == [1, 1]
        assert one.has_alone()
        assert len(holders(tmp_path)) == 1
        with pytest.raises(StoreLocked, match="is in use: process"), at_work(tmp_path, "two", ASKED):
            pass
        assert one.has_alone()
    with at_work(tmp_path, "two", ASKED):
        pass


def test_an_apply_that_could_not_have_the_store_alone_still_has_it_beside_others(tmp_path: Path) -> None:
    with at_work(tmp_path, "one", ASKED) as one:
        with at_work(tmp_path, "two", ASKED):
            assert not one.has_alone()
        with pytest.raises(StoreLocked), hold_store(tmp_path):
            pass


def test_two_studies_of_one_name_are_not_applied_at_once(tmp_path: Path) -> None:
    with at_work(tmp_path, "one", ASKED):
        with (
            pytest.raises(StoreLocked, match="another study named one is being applied"),
            at_work(tmp_path, "one", OTHER),
        ):
            pass
        with at_work(tmp_path, "one", ASKED):
            pass
    with at_work(tmp_path, "one", OTHER):
        pass


def test_a_claimed_step_is_no_other_apply_s_until_it_is_dropped(tmp_path: Path) -> None:
    mine, others = Claims(tmp_path), Claims(tmp_path)
    assert [mine.take("data-1"), others.take("data-1"), others.take("data-2")] == [True, False, True]
    assert str(os.getpid()) in (others.holder("data-1") or "")
    mine.drop("data-1")
    assert others.holder("data-1") is None
    assert others.take("data-1")
    others.drop_all()
    assert list((tmp_path / "claims").iterdir()) == []


def test_what_a_killed_apply_held_is_free(tmp_path: Path) -> None:
    program = (
        "import pathlib\nfrom runners.store.applies import Claims, at_work\n"
        f"root = pathlib.Path({str(tmp_path)!r})\n"
        "claims = Claims(root)\n"
        f"with at_work(root, 'one', {ASKED!r}):\n"
        " claims.take('data-1'); print('held', flush=True); input()"
    )
    killed = subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with killed:
        assert killed.stdout is not None
        assert killed.stdout.readline() == "held\n"
        assert not Claims(tmp_path).take("data-1")
        assert len(alive(tmp_path)) == 1
        killed.send_signal(signal.SIGKILL)
        killed.wait()
    claims = Claims(tmp_path)
    assert claims.take("data-1")
    claims.drop_all()
    assert alive(tmp_path) == frozenset()
    with at_work(tmp_path, "two", OTHER) as applying:
        clear_killed(tmp_path)
        assert [path.name for path in (tmp_path / "applies").iterdir()] == [applying.name]
    with hold_store(tmp_path):
        pass


def test_a_lock_is_not_taken_on_a_file_that_was_just_dropped(tmp_path: Path) -> None:
    program = (
        "import os, pathlib\nfrom runners.store.locks import drop, take\n"
        f"path = pathlib.Path({str(tmp_path / 'step')!r})\n"
        "n = 0\n"
        "while n < 300:\n"
        "    if (handle := take(path)) is not None:\n"
        "        assert path.stat().st_ino == os.fstat(handle).st_ino\n"
        "        drop(handle, path); n += 1\n"
    )
    each = [subprocess.Popen([sys.executable, "-c", program], stderr=subprocess.PIPE) for _ in range(3)]
    assert [(process.communicate(timeout=HANG_SECONDS)[1], process.returncode) for process in each] == [
        (b"", 0)
    ] * 3


def test_a_store_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="cannot be written"), at_work(tmp_path / "file", "one", ASKED):
        pass


def test_what_a_killed_command_left_of_its_lock_is_settled_by_the_next_apply(tmp_path: Path) -> None:
    (tmp_path / "lock").write_text('{"pid": 1}')
    assert is_left(tmp_path)
    with at_work(tmp_path, "one", ASKED):
        pass
    assert not is_left(tmp_path)
