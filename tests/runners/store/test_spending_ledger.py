"""A ledger that several processes write, some of which are killed."""

import json
import multiprocessing
import os
import signal
from pathlib import Path

import pytest

from dsl.errors import StoreError
from dsl.spec.budget import Budget, Use
from runners.store.applies import at_work
from runners.store.spending_ledger import Entry, Ledger, exceeded


def reserve_all(path: Path, tokens: int, settled: bool) -> None:
    ledger = Ledger(path)
    while (request := ledger.reserve(Use(tokens=1), Budget(tokens=tokens))) is not None:
        if settled:
            ledger.settle(request, Use(tokens=1))


@pytest.mark.parametrize("settled", [True, False])
def test_two_processes_together_reserve_what_there_is_and_no_token_more(tmp_path: Path, settled: bool):
    path, spawn = tmp_path / "spending" / "a.jsonl", multiprocessing.get_context("spawn")
    processes = [spawn.Process(target=reserve_all, args=(path, 300, settled)) for _ in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    ledger = Ledger(path)
    ledger.look()
    assert ledger.spent.tokens == 300
    assert ledger.is_settled == settled
    assert len(path.read_bytes().splitlines()) == 600 if settled else 300


def reserve_and_die(path: Path) -> None:
    assert Ledger(path).reserve(Use(usd=0.25), Budget(usd=1))
    os.kill(os.getpid(), signal.SIGKILL)


def test_what_a_killed_process_had_reserved_counts_in_full_once_nobody_can_settle_it(tmp_path: Path):
    path = tmp_path / "a.jsonl"
    process = multiprocessing.get_context("spawn").Process(target=reserve_and_die, args=(path,))
    process.start()
    process.join()
    ledger = Ledger(path)
    ledger.look()
    assert (ledger.spent, ledger.is_settled) == (Use(usd=0.25), False)
    assert [ledger.settle_killed(), ledger.settle_killed()] == [1, 0]
    assert (ledger.spent, ledger.is_settled) == (Use(usd=0.25), True)
    assert ledger.reserve(Use(usd=0.76), Budget(usd=1)) is None
    assert ledger.reserve(Use(usd=0.75), Budget(usd=1)) is not None


def test_requests_of_an_apply_at_work_are_none_of_a_killed_one(tmp_path: Path):
    ledger, other = (Ledger(tmp_path / "spending" / "a.jsonl") for _ in range(2))
    with at_work(tmp_path, "a", "0" * 64) as applying:
        ledger.apply = applying.name
        assert ledger.reserve(Use(usd=0.25), Budget(usd=1))
        assert (other.settle_killed(), other.is_settled) == (0, False)
    assert (other.settle_killed(), other.is_settled) == (1, True)


def test_a_request_is_charged_what_it_took_and_once(tmp_path: Path):
    ledger, budget = Ledger(tmp_path / "a.jsonl"), Budget(tokens=100)
    request = ledger.reserve(Use(tokens=80), budget)
    assert request is not None
    assert ledger.reserve(Use(tokens=30), budget) is None
    ledger.settle(request, Use(tokens=10))
    ledger.settle(request, Use(tokens=10))
    ledger.add(Use(device_seconds=3.5))
    again = Ledger(ledger.path)
    again.look()
    assert again.spent == ledger.spent == Use(tokens=10, device_seconds=3.5)


def test_spending_is_read_where_nothing_may_be_written_and_half_a_line_waits_for_the_next_writer(
    tmp_path: Path,
):
    ledger = Ledger(tmp_path / "a.jsonl")
    ledger.add(Use(tokens=10))
    with ledger.path.open("ab") as file:
        file.write(b'{"is_over": true, "use": {"tok')
    before = ledger.path.read_bytes()
    ledger.path.chmod(0o444)
    reader = Ledger(ledger.path)
    reader.look()
    assert (reader.spent, ledger.path.read_bytes()) == (Use(tokens=10), before)
    ledger.path.chmod(0o644)
    reader.add(Use(tokens=5))
    again = Ledger(ledger.path)
    again.look()
    assert again.spent == Use(tokens=15)


def test_spending_is_read_while_another_thread_enters_requests(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    ledger, budget, add = Ledger(tmp_path / "a.jsonl"), Budget(tokens=100), Use.__add__
    ledger.reserve(Use(tokens=1), budget)
    ledger.reserve(Use(tokens=2), budget)

    def add_as_the_other_enters(use: Use, other: Use) -> Use:
        ledger._under_way["another"] = Entry(is_over=False, use=Use(tokens=4))
        return add(use, other)

    monkeypatch.setattr(Use, "__add__", add_as_the_other_enters)
    assert ledger.spent == Use(tokens=3)


def test_half_a_line_is_of_a_request_that_was_never_sent(tmp_path: Path):
    ledger = Ledger(tmp_path / "a.jsonl")
    ledger.add(Use(tokens=5))
    with ledger.path.open("ab") as file:
        file.write(b'{"request":"x","is_ov')
    again = Ledger(ledger.path)
    again.add(Use(tokens=2))
    ledger.look()
    assert ledger.spent == again.spent == Use(tokens=7)
    assert [json.loads(line)["use"]["tokens"] for line in ledger.path.read_text().splitlines()] == [5, 2]


def test_a_line_that_is_no_entry_is_no_spending_that_is_forgotten(tmp_path: Path):
    path = tmp_path / "a.jsonl"
    path.write_text("nonsense\n")
    with pytest.raises(StoreError, match=r"a\.jsonl: byte 0 begins a line that is no entry"):
        Ledger(path).look()


def test_limits_are_inclusive_and_those_that_are_not_named_are_none():
    budget = Budget(usd=1, device_hours=2)
    assert exceeded(Use(usd=1, tokens=10**12, device_seconds=7200), budget) is None
    assert exceeded(Use(usd=1.01), budget) == "usd"
    assert exceeded(Use(device_seconds=7201), budget) == "device_hours"
    assert exceeded(Use(tokens=3), Budget(tokens=2)) == "tokens"
