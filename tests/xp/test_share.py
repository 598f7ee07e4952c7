"""Stores that share steps through a bucket, here one in memory: each step is made once, whole ones are
fetched, and a bucket's trouble costs no result."""

import json
import threading
from pathlib import Path
from typing import Any

import pytest
from obstore.store import MemoryStore
from typer.testing import CliRunner

from dsl.data.records import Outcome, read_record
from dsl.values import StepId
from runners.execution.events import Awaited, Ended, Event
from runners.store import leases
from runners.store.bucket import Bucket, BucketError, open_bucket
from runners.store.digests import Checks, describe
from runners.store.leases import Leases
from runners.store.share import Share
from runners.store.step_io import write_json
from runners.store.store import Store
from tests.xp.small_study import (
    all_rows,
    diff_of,
    in_warehouse,
    plan_of,
    step_ids,
    write_study,
)
from xp import load
from xp.apply import apply
from xp.attempts import Applied, Watch, ignore
from xp.cli import app
from xp.studies import diff_for
from xp.verify import verify


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_study(tmp_path_factory.mktemp("study"), n_items=4)


@pytest.fixture
def bucket() -> Bucket:
    return Bucket("memory://", MemoryStore())


def apply_to(store: Path, spec: Path, bucket: Bucket, watch: Watch = ignore, *changes: str) -> Applied:
    found = diff_for(spec, list(changes), None, store)
    return apply(found, store, in_process=True, watch=watch, bucket=bucket)


def sentence(applied: Applied, begins: str) -> str:
    (found,) = [note for note in applied.notes if note.startswith(begins)]
    return found


def unreachable(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have nobody answer from now on."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_ALLOW_HTTP", "true")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setattr(bucket, "_objects", open_bucket("s3://bucket/x")._objects)


def objects(bucket: Bucket) -> Any:
    return bucket._objects


def test_what_one_store_has_made_another_fetches_with_its_attempts_and_their_tables_are_equal(
    spec: Path, bucket: Bucket, tmp_path: Path
) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    begun = Store(other).unfinished_folder(step_ids(plan_of(spec), "generate")[0])
    begun.mkdir(parents=True)
    (begun / "completions.jsonl").write_text('{"row_key":"')  # of an attempt that was killed
    first, second = apply_to(one, spec, bucket), apply_to(other, spec, bucket)
    assert (first.n_done, first.n_shared, second.n_done, second.n_shared) == (6, 0, 0, 6)
    assert sentence(second, "Shared through memory://") == "Shared through memory://: 0 sent, 6 fetched."
    assert all_rows(one) == all_rows(other)
    assert in_warehouse(one) == in_warehouse(other)
    assert {path.name for path in (one / "runs").iterdir()} == {
        path.name for path in (other / "runs").iterdir()
    }
    assert not verify(other).faults
    assert not begun.exists()
    assert bucket.names("leases") == bucket.names("checks") == []
    again = apply_to(other, spec, bucket)
    assert (again.n_done, again.n_shared) == (0, 0)
    assert sentence(again, "Shared through") == "Shared through memory://: 0 sent, 0 fetched."


def test_two_applies_at_once_make_each_step_once(tmp_path: Path, bucket: Bucket) -> None:
    spec = write_study(tmp_path / "study", n_items=4, seconds_per_row=0.02)
    stores, found = [tmp_path / "one", tmp_path / "other"], dict[Path, Applied]()

    def run(store: Path) -> None:
        found[store] = apply(diff_of(spec, store), store, in_process=True, bucket=bucket)

    threads = [threading.Thread(target=run, args=(store,)) for store in stores]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    one, other = (found[store] for store in stores)
    assert one.n_done + other.n_done == 6
    assert (one.n_shared, other.n_shared) == (other.n_done, one.n_done)
    assert all_rows(stores[0]) == all_rows(stores[1])
    assert in_warehouse(stores[0]) == in_warehouse(stores[1])
    assert bucket.names("leases") == []


def test_a_step_that_another_store_makes_is_waited_for_and_made_here_once_its_lease_expires(
    spec: Path, bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leases, "BEAT_SECONDS", 0.5)
    monkeypatch.setattr(Leases, "_beat_on", lambda leases: leases._is_over.wait())
    theirs, events = step_ids(plan_of(spec), "judge")[0], list[Event]()

    def watch(event: Event) -> None:
        if not events:
            assert Leases(bucket, "killed", ()).take(theirs) is None
        events.append(event)

    applied = apply_to(tmp_path / "store", spec, bucket, watch)
    assert applied.n_done == 6
    assert [event.step_id for event in events if isinstance(event, Awaited)] == [theirs]
    assert bucket.names("leases") == []


def test_the_leases_of_a_killed_apply_of_the_same_store_are_free_at_once(
    spec: Path, bucket: Bucket, tmp_path: Path
) -> None:
    store = tmp_path / "store"
    (store / "applies").mkdir(parents=True)
    (store / "applies" / "killed").write_text('{"pid": 1}')
    bucket.check()
    killed = Leases(bucket, "killed", ())
    assert killed.take(step_ids(plan_of(spec), "generate")[0]) is None
    killed._is_over.set()
    events = list[Event]()
    assert apply_to(store, spec, bucket, events.append).n_done == 6
    assert not [event for event in events if isinstance(event, Awaited)]


def test_a_step_that_another_has_finished_just_before_its_lease_was_taken_is_fetched(
    spec: Path, bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    take = Leases.take

    def late(self: Leases, step_id: StepId) -> str | None:
        monkeypatch.setattr(Leases, "take", take)
        assert apply_to(tmp_path / "other", spec, bucket).n_done == 6
        return take(self, step_id)

    monkeypatch.setattr(Leases, "take", late)
    applied = apply_to(tmp_path / "one", spec, bucket)
    assert (applied.n_done, applied.n_shared) == (0, 6)
    assert bucket.names("leases") == []


def test_what_a_cut_upload_left_is_no_result_and_the_next_apply_sends_the_step(
    spec: Path, bucket: Bucket, tmp_path: Path
) -> None:
    one = tmp_path / "one"
    apply_to(one, spec, bucket)
    judge = step_ids(plan_of(spec), "judge")[0]
    outcome = f"steps/{judge}/outcome.json"
    bucket.delete(outcome)
    assert apply_to(tmp_path / "other", spec, bucket).n_done == 1
    bucket.delete(outcome)
    assert sentence(apply_to(one, spec, bucket), "Shared through").endswith("1 sent, 0 fetched.")
    assert bucket.read(outcome) is not None


@pytest.mark.parametrize("how", ["changed", "cut", "gone", "outcome"])
def test_a_damaged_object_is_named_and_its_step_made_here(
    spec: Path, bucket: Bucket, tmp_path: Path, how: str
) -> None:
    apply_to(tmp_path / "one", spec, bucket)
    step_id = step_ids(plan_of(spec), "generate")[0]
    outcome = read_record(Store(tmp_path / "one").step_folder(step_id) / "outcome.json", Outcome)
    path = f"files/{outcome.files['completions.jsonl'].sha256}"
    if how == "outcome":
        path = f"steps/{step_id}/outcome.json"
    found = bucket.read(path)
    assert found is not None
    bucket.delete(path)
    if how == "changed":
        bucket.create(path, found.content.replace(b"q3", b"q9"))
    if how in ("cut", "outcome"):
        bucket.create(path, found.content[:100])
    applied = apply_to(tmp_path / "other", spec, bucket)
    note = sentence(applied, f"{step_id} of memory:// was not fetched, and was made here")
    assert {"changed": "holds other bytes", "outcome": "outcome.json cannot be read"}.get(how, path) in note
    assert applied.n_done == 1
    assert all_rows(tmp_path / "one") == all_rows(tmp_path / "other")
    assert not list((tmp_path / "other" / "steps").glob("*.tmp"))


def test_a_step_of_other_settings_is_refused(spec: Path, bucket: Bucket, tmp_path: Path) -> None:
    one = tmp_path / "one"
    apply_to(one, spec, bucket)
    step_id = step_ids(plan_of(spec), "generate")[0]
    folder = Store(one).step_folder(step_id)
    settings = json.loads((folder / "step.json").read_bytes())
    (folder / "step.json").write_text(json.dumps(settings | {"seed": 7}))
    outcome = read_record(folder / "outcome.json", Outcome)
    write_json(folder / "outcome.json", outcome.model_copy(update={"files": describe(folder)}))
    bucket.delete(f"steps/{step_id}/outcome.json")
    apply_to(one, spec, bucket)
    applied = apply_to(tmp_path / "other", spec, bucket)
    assert "its settings are those of another step" in sentence(applied, f"{step_id} of memory://")
    assert applied.n_done == 1


def test_a_bucket_that_is_gone_costs_no_result_and_the_next_apply_shares_them(
    spec: Path, bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = tmp_path / "store"

    def watch(event: Event) -> None:
        if isinstance(event, Ended) and event.step_id.startswith("generate"):
            unreachable(bucket, patched)

    with monkeypatch.context() as patched:
        applied = apply_to(store, spec, bucket, watch)
    assert (applied.n_done, applied.failures) == (6, ())
    note = sentence(applied, "Not shared, since memory:// cannot be used: ")
    assert "generate-" in note
    assert note.endswith(" more. Their results are here, and the next `xp apply` with --share sends them.")
    assert "secret" not in "".join(applied.notes)
    assert not [note for note in apply_to(store, spec, bucket).notes if note.startswith("Not shared")]
    assert apply_to(tmp_path / "other", spec, bucket).n_shared == 6


def test_a_bucket_that_cannot_be_used_as_an_apply_begins_ends_it(
    spec: Path, bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unreachable(bucket, monkeypatch)
    with pytest.raises(BucketError, match="memory:// cannot be used"):
        apply_to(tmp_path / "store", spec, bucket)
    assert not Store(tmp_path / "store").done()


def test_of_two_results_of_a_step_the_first_is_the_bucket_s_and_either_store_keeps_its_own(
    spec: Path, bucket: Bucket, tmp_path: Path
) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    apply_to(other, spec, Bucket("memory://", MemoryStore()))
    apply_to(one, spec, bucket)
    kept = {path: path.read_bytes() for path in (other / "steps").rglob("outcome.json")}
    before = {name: bucket.read(f"steps/{name}") for name in bucket.names("steps")}
    assert sentence(apply_to(other, spec, bucket), "Shared through").endswith("0 sent, 0 fetched.")
    assert {path: path.read_bytes() for path in kept} == kept
    assert {name: bucket.read(f"steps/{name}") for name in bucket.names("steps")} == before
    assert apply_to(tmp_path / "third", spec, bucket).n_shared == 6


def test_a_step_made_from_other_rows_than_the_bucket_s_is_neither_sent_nor_fetched(
    spec: Path, bucket: Bucket, tmp_path: Path
) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    answers, judge = step_ids(plan_of(spec), "generate")[0], step_ids(plan_of(spec), "judge")[0]
    apply_to(other, spec, Bucket("memory://", MemoryStore()))
    rows = Store(other).step_folder(answers) / "completions.jsonl"
    rows.write_text(rows.read_text("utf-8").replace("Wie", "Was"))
    outcome = read_record(rows.with_name("outcome.json"), Outcome)
    write_json(rows.with_name("outcome.json"), outcome.model_copy(update={"files": describe(rows.parent)}))
    load(spec, store=other).apply(in_process=True, report=False)  # the judge's rows, of other answers
    apply_to(one, spec, bucket)
    bucket.delete(f"steps/{judge}/outcome.json")
    applied = apply_to(other, spec, bucket)
    assert judge in sentence(applied, "Not shared, since an input is another there")
    assert bucket.read(f"steps/{judge}/outcome.json") is None
    apply_to(one, spec, bucket)
    Store(other).set_aside(judge)
    refused = apply_to(other, spec, bucket)
    assert "made from other rows of its input" in sentence(refused, f"{judge} of memory://")
    assert refused.n_done == 1


def test_a_step_with_rows_to_ask_again_and_all_that_hangs_on_it_stay_here(
    spec: Path, bucket: Bucket, tmp_path: Path
) -> None:
    store = tmp_path / "store"
    apply(diff_of(spec, store), store, in_process=True)
    share = Share(bucket, Store(store), Checks())
    answers, judge = step_ids(plan_of(spec), "generate")[0], step_ids(plan_of(spec), "judge")[0]
    folder = Store(store).step_folder(answers)
    outcome = read_record(folder / "outcome.json", Outcome)
    write_json(folder / "outcome.json", outcome.model_copy(update={"n_open": 1}))
    share.offer([*step_ids(plan_of(spec), "data"), answers, judge])
    notes = share.finish()
    share.close()
    assert {name.partition("-")[0] for name in bucket.names("steps")} == {"data"}
    assert any(judge in note for note in notes)


def test_where_rows_of_other_code_are_made_again_such_a_step_is_not_fetched(
    spec: Path, bucket: Bucket, tmp_path: Path
) -> None:
    one = tmp_path / "one"
    apply_to(one, spec, bucket)
    step_id = step_ids(plan_of(spec), "generate")[0]
    found = bucket.read(f"steps/{step_id}/outcome.json")
    assert found is not None
    bucket.delete(f"steps/{step_id}/outcome.json")
    other_code = Outcome.model_validate_json(found.content).model_copy(update={"code": "0" * 16})
    bucket.create(f"steps/{step_id}/outcome.json", other_code.model_dump_json().encode())
    applied = apply_to(tmp_path / "other", spec, bucket, ignore, "reuse=same_fingerprint")
    assert "other code made it" in sentence(applied, f"{step_id} of memory://")
    assert apply_to(tmp_path / "third", spec, bucket).n_shared == 6


def test_a_step_that_failed_is_let_go_of(tmp_path: Path, spec: Path, bucket: Bucket) -> None:
    bucket.check()
    store = Store(tmp_path / "store")
    share, step = Share(bucket, store, Checks()), next(iter(plan_of(spec).steps.items()))
    assert share.take(*step) is None
    assert bucket.names("leases") == [step[0]]
    share.end(step[0], is_done=False)
    assert bucket.names("leases") == []
    share.close()


def test_an_address_without_a_bucket_ends_plan_and_apply_with_a_sentence(spec: Path, tmp_path: Path) -> None:
    for command in ("plan", "apply"):
        result = CliRunner().invoke(
            app, [command, str(spec), "--share", "/srv/share", "--store", str(tmp_path / "store")]
        )
        assert result.exit_code == 2
        assert "it takes a bucket, as s3://bucket/prefix" in result.output


def test_a_plan_counts_the_steps_to_run_that_a_bucket_holds(
    spec: Path, bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    apply_to(tmp_path / "one", spec, bucket)
    bucket.delete(f"steps/{step_ids(plan_of(spec), 'judge')[0]}/outcome.json")
    monkeypatch.setattr("runners.store.bucket.open_bucket", lambda _: bucket)
    monkeypatch.setenv("XP_SHARE", "memory://")
    result = CliRunner().invoke(app, ["plan", str(spec), "--store", str(tmp_path / "other")])
    assert "memory:// holds 5 of the 6 steps to run: those are fetched." in result.output
    assert "budget" not in result.output
    result = CliRunner().invoke(
        app, ["plan", str(spec), "--set", "budget.tokens=1000", "--store", str(tmp_path / "other")]
    )
    assert "The budget is this store's: each store that shares the bucket may spend as much" in result.output
    assert not (tmp_path / "other").exists()
