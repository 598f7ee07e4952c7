"""A short part of `python -m tests.kills`."""

import sys
from pathlib import Path

import pytest

from tests.kills.rounds import Rounds, left_beside, write_small_study

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc"),
]


def test_every_round_of_kills_ends_with_the_rows_of_an_undisturbed_run(tmp_path: Path) -> None:
    # a seed of few kills: one of each kind of round takes as long as 25 starts of `xp` and more
    with Rounds(tmp_path, seed=5, seconds=60.0, write=write_small_study) as rounds:
        found = [rounds.run(number) for number in (0, 1, 2)]
    assert [one.faults for one in found] == [()] * 3
    assert [one.is_aimed for one in found] == [True, False, False]
    assert sum(one.n_kills for one in found) >= 3


def test_what_is_left_beside_a_spec_and_in_its_store_is_found(tmp_path: Path) -> None:
    left = [
        "killed.yaml.lock.tmp",
        "killed.zip.tmp",
        "plan.json.tmp",
        "undisturbed/experiments/killed.json.tmp",
    ]
    for name in (*left, "killed.zip", "undisturbed/experiments/killed.json"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    found = left_beside(tmp_path / "killed.yaml", tmp_path / "undisturbed")
    assert found == sorted(name.rpartition("/")[2] for name in left)
