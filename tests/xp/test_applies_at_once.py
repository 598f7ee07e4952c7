"""Several applies into one store at once: each step is made once, and what is there is what one would have
made."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Generator
from pathlib import Path

import pytest

from dsl.errors import StoreLocked
from runners.execution.events import Awaited, Ended, Event, Shared, Started
from runners.store.applies import Claims, at_work
from runners.store.locks import turn
from runners.store.store import Store
from tests.xp.small_study import (
    HANG_SECONDS,
    all_rows,
    apply_here,
    begin_apply,
    diff_of,
    in_warehouse,
    plan_of,
    step_ids,
    unfinished_rows,
    wait_for,
    workers_of,
    write_study,
)
from xp.apply import apply
from xp.attempts import Applied
from xp.gc import remove_garbage
from xp.studies import applied_study, diff_for, rebuild

processes = pytest.mark.skipif(sys.platform != "linux", reason="kills processes")


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_study(tmp_path_factory.mktemp("study"), n_items=12, seconds_per_row=0.05)


@pytest.fixture(scope="module")
def alone(spec: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    store = tmp_path_factory.mktemp("alone") / "store"
    apply(diff_of(spec, store), store, in_process=True)
    return store


def renamed(spec: Path, experiment: str, **changes: object) -> Path:
    """Write a study of another name beside a spec."""
    study = json.loads(spec.read_text("utf-8")) | {"experiment": experiment, **changes}
    other = spec.with_name(f"{experiment}.yaml")
    other.write_text(json.dumps(study), "utf-8")
    return other


def times_done(store: Path) -> Counter[str]:
    """Step -> the attempts at it that were done."""
    runs = [json.loads(path.read_text("utf-8")) for path in (store / "runs").glob("*.json")]
    return Counter(run["step_id"] for run in runs if run["status"] == "done")


def loaded(store: Path) -> dict[str, list[tuple[object, ...]]]:
    """Return the warehouse's rows, once, however many studies have them in their cells."""
    return {table: list(dict.fromkeys(rows)) for table, rows in in_warehouse(store).items()}


def assert_as_alone(store: Path, alone: Path) -> None:
    assert all_rows(store) == all_rows(alone)
    assert loaded(store) == loaded(alone)
    assert set(times_done(store).values()) == {1}
    assert not list((store / "steps").glob("*.tmp"))
    assert not list((store / "claims").glob("*"))


@contextlib.contextmanager
def ended(*applies: subprocess.Popen[str]) -> Generator[None]:
    try:
        yield
    finally:
        for one in applies:
            one.kill()
            one.communicate()


@processes
def test_two_applies_of_one_study_share_its_steps_and_make_none_twice(
    spec: Path, alone: Path, tmp_path: Path
) -> None:
    store = tmp_path / "store"
    both = [begin_apply(spec, store) for _ in range(2)]
    said = [one.communicate(timeout=HANG_SECONDS) for one in both]
    assert [one.returncode for one in both] == [0, 0], said
    assert_as_alone(store, alone)
    assert times_done(store).keys() == Store(store).done()
    assert applied_study("small", store) is not None
    assert len(list((store / "experiments" / "ledger").iterdir())) == 1


@processes
def test_two_studies_with_cells_in_common_make_those_once(spec: Path, alone: Path, tmp_path: Path) -> None:
    store, other = tmp_path / "store", renamed(spec, "french", languages=["fr"])
    both = [begin_apply(spec, store), begin_apply(other, store)]
    said = [one.communicate(timeout=HANG_SECONDS) for one in both]
    assert [one.returncode for one in both] == [0, 0], said
    assert_as_alone(store, alone)
    before = in_warehouse(store)
    rebuild(store)
    assert in_warehouse(store) == before


@processes
@pytest.mark.parametrize("at_row", [1, 6])
def test_what_a_killed_apply_was_making_the_other_makes_and_reuses_its_rows(
    spec: Path, alone: Path, tmp_path: Path, at_row: int
) -> None:
    store = tmp_path / "store"
    killed = begin_apply(spec, store)
    with ended(killed):
        wait_for(lambda: any(n >= at_row for _, n in unfinished_rows(store)))
        for worker in workers_of(store):
            os.kill(worker, signal.SIGSTOP)
        kept = sum(n for _, n in unfinished_rows(store))
        other = begin_apply(spec, store)
        with ended(other):
            assert other.stdout is not None
            said = iter(other.stdout.readline, "")
            assert any(f"being made by another apply, process {killed.pid} on" in line for line in said)
            os.kill(killed.pid, signal.SIGKILL)
            out, error = other.communicate(timeout=HANG_SECONDS)
    assert other.returncode == 0, out + error
    assert_as_alone(store, alone)
    outcomes = [json.loads((store / "steps" / s / "outcome.json").read_bytes()) for s in Store(store).done()]
    assert sum(outcome["n_reused"] for outcome in outcomes) == kept >= at_row
    again = apply_here(spec, store)
    assert "Nothing to run" in again.stdout
    assert not list((store / "runs").glob("*.begun"))


def test_a_step_that_another_apply_makes_is_waited_for_and_not_made(tmp_path: Path) -> None:
    spec, made, store = write_study(tmp_path / "study"), tmp_path / "made", tmp_path / "store"
    apply(diff_of(spec, made), made, in_process=True)
    theirs, events = step_ids(plan_of(spec), "generate")[0], list[Event]()
    claims = Claims(store)
    assert claims.take(theirs)

    def watch(event: Event) -> None:
        events.append(event)
        if isinstance(event, Awaited):
            threading.Timer(0.3, finish).start()

    def finish() -> None:
        (made / "steps" / theirs).rename(store / "steps" / theirs)
        claims.drop(theirs)

    applied = apply(diff_of(spec, store), store, in_process=True, watch=watch)
    assert (applied.n_done, applied.n_shared, applied.failures) == (5, 1, ())
    assert [event for event in events if isinstance(event, Shared)] == [Shared(theirs)]
    assert str(os.getpid()) in next(event.by for event in events if isinstance(event, Awaited))
    assert theirs not in {event.step_id for event in events if isinstance(event, Started)}
    assert len(in_warehouse(store)["completions"]) == 40


@pytest.mark.parametrize("in_process", [True, False])
def test_a_step_that_another_apply_lets_go_of_unfinished_is_made(tmp_path: Path, in_process: bool) -> None:
    spec, store = write_study(tmp_path / "study", n_items=3), tmp_path / "store"
    theirs = step_ids(plan_of(spec), "judge")
    claims = Claims(store)
    assert all(claims.take(step_id) for step_id in theirs)

    def watch(event: Event) -> None:
        if isinstance(event, Awaited):
            claims.drop(event.step_id)

    applied = apply(diff_of(spec, store), store, in_process=in_process, watch=watch)
    assert (applied.n_done, applied.n_shared) == (6, 0)


def test_an_apply_inside_an_apply_makes_what_is_left_and_both_know_all(tmp_path: Path) -> None:
    spec, store = write_study(tmp_path / "study"), tmp_path / "store"
    inner, planned = list[Applied](), diff_of(renamed(spec, "inner", languages=["fr"]), store)

    def again(event: Event) -> None:
        if isinstance(event, Ended) and not inner:
            inner.append(apply(planned, store, in_process=True))

    outer = apply(diff_of(spec, store), store, in_process=True, watch=again)
    (within,) = inner
    assert outer.n_done + within.n_done == 6
    assert outer.n_shared == within.n_done > 0
    assert len(loaded(store)["completions"]) == 40


def test_finished_steps_are_not_made_again_beside_another_apply(tmp_path: Path) -> None:
    spec, store = write_study(tmp_path / "study", n_items=5), tmp_path / "store"
    apply(diff_of(spec, store), store, in_process=True)
    damaged = step_ids(plan_of(spec), "generate")[0]
    file = store / "steps" / damaged / "completions.jsonl"
    file.write_bytes(file.read_bytes().replace(b"q3", b"q9"))
    with (
        at_work(store, "another", "0" * 64),
        pytest.raises(StoreLocked, match=rf"is in use: process .*as {damaged}, and others may be reading"),
    ):
        apply(diff_for(spec, ["question=Another?"], None, store), store, in_process=True)
    assert (store / "steps" / damaged).is_dir()
    recorded = applied_study("small", store)
    assert recorded is not None
    assert recorded.overrides == (), "a refused study takes no other one's place"
    assert apply(diff_for(spec, None, None, store), store, in_process=True).n_done == 1


def test_requests_that_failed_are_left_beside_another_apply_and_asked_by_the_next(tmp_path: Path) -> None:
    spec, store = write_study(tmp_path / "study", n_items=5), tmp_path / "store"
    apply(diff_of(spec, store), store, in_process=True)
    (store / "steps" / step_ids(plan_of(spec), "generate")[0] / "open").touch()
    more = renamed(spec, "more", judges={"correct": {"judge": "contains"}, "short": {"judge": "length"}})
    with at_work(store, "another", "0" * 64):
        beside = apply(diff_for(more, None, None, store), store, in_process=True)
    assert beside.failures == ()
    assert any(note.startswith("Finished steps stay as they are beside others") for note in beside.notes)
    assert (store / "steps" / step_ids(plan_of(spec), "generate")[0] / "open").exists()
    assert apply(diff_for(spec, None, None, store), store, in_process=True).n_done > 0


def test_while_one_makes_steps_again_no_other_begins(tmp_path: Path) -> None:
    spec, store = write_study(tmp_path / "study", n_items=5), tmp_path / "store"
    apply(diff_of(spec, store), store, in_process=True)
    file = store / "steps" / step_ids(plan_of(spec), "judge")[0] / "verdicts.jsonl"
    file.write_bytes(file.read_bytes().replace(b"q3", b"q9"))

    def begin(event: Event) -> None:
        with pytest.raises(StoreLocked, match="is in use: process"):
            apply(diff_of(spec, store), store, in_process=True)

    assert apply(diff_for(spec, None, None, store), store, in_process=True, watch=begin).n_done == 1
    assert Store(store).holder() is None


def test_another_study_of_the_same_name_is_refused_while_one_is_applied(tmp_path: Path) -> None:
    spec, store = write_study(tmp_path / "study", n_items=3), tmp_path / "store"
    other = write_study(tmp_path / "other", n_items=4)

    def begin(event: Event) -> None:
        with pytest.raises(StoreLocked, match="another study named small is being applied"):
            apply(diff_of(other, store), store, in_process=True)

    assert apply(diff_of(spec, store), store, in_process=True, watch=begin).n_done == 6
    assert apply(diff_of(other, store), store, in_process=True).n_done == 6


def test_nothing_is_removed_beside_an_apply(tmp_path: Path) -> None:
    spec, store = write_study(tmp_path / "study", n_items=3), tmp_path / "store"

    def remove(event: Event) -> None:
        with pytest.raises(StoreLocked, match="is in use: process"):
            remove_garbage(store, [spec])

    assert apply(diff_of(spec, store), store, in_process=True, watch=remove).n_done == 6


def test_steps_wait_to_be_loaded_while_another_apply_loads(tmp_path: Path) -> None:
    spec, store = write_study(tmp_path / "study", n_items=3), tmp_path / "store"
    store.mkdir()
    with contextlib.ExitStack() as loading:
        loading.enter_context(turn(store / "loading.lock", 0.0))

        def watch(event: Event) -> None:
            if isinstance(event, Ended) and len(Store(store).done()) == 6:
                loading.close()

        assert apply(diff_of(spec, store), store, in_process=True, watch=watch).notes == ()
    assert len(in_warehouse(store)["completions"]) == 6
