"""A step in shards has the rows of a step in one piece, whoever has made some of them before."""

import json
from pathlib import Path

import pytest

from dsl.data.code_fingerprint import fingerprint
from dsl.data.records import Outcome
from dsl.engines.transformers import Weights
from dsl.plan.study import Plan
from runners.execution import shards
from runners.execution.attempt import attempt
from runners.store.store import Store
from tests.xp.small_study import all_rows, plan_of, rows_of, step_ids, write_study


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    return plan_of(write_study(tmp_path / "study", languages=("en",), n_items=20, seconds_per_row=0.001))


def make(plan: Plan, step_id: str, store: Path, part: range | None = None) -> Outcome:
    return attempt(
        step_id, plan.steps[step_id], Store(store), (), lambda done, total: None, to_log=True, part=part
    )


def prepared(plan: Plan, store: Path) -> str:
    """The generate step of a store in which its examples are."""
    (data,), (generate,) = step_ids(plan, "data"), step_ids(plan, "generate")
    make(plan, data, store)
    return generate


def rows_in_order(store: Path, step_id: str) -> list[dict[str, object]]:
    lines = (store / "steps" / step_id / "completions.jsonl").read_text("utf-8").splitlines()
    return [{key: value for key, value in json.loads(line).items() if key != "seconds"} for line in lines]


def test_shards_put_together_are_the_step_in_one_piece(plan: Plan, tmp_path: Path) -> None:
    store = tmp_path / "store"
    generate = prepared(plan, store)
    parts = shards.parts_of(plan.steps[generate], Store(store), 8)
    assert parts == (range(8), range(8, 16), range(16, 20))
    outcomes = {part: make(plan, generate, store, part) for part in reversed(parts)}
    whole = shards.combine(
        generate, plan.steps[generate], Store(store), parts, [outcomes[part] for part in parts]
    )
    assert (whole.n_rows, whole.n_reused, whole.facts["n_shards"]) == (20, 0, 3)
    assert (whole.code, whole.n_of_other_code) == (fingerprint(*plan.steps[generate].code), 0)
    assert whole.seconds == pytest.approx(sum(outcome.seconds for outcome in outcomes.values()))
    prepared(plan, tmp_path / "other")
    make(plan, generate, tmp_path / "other")
    assert rows_in_order(store, generate) == rows_in_order(tmp_path / "other", generate)
    assert Store(store).is_done(generate)
    assert not (store / "steps" / generate / "shards").exists()


def test_a_step_in_one_piece_reuses_what_shards_have_with_the_time_it_took(
    plan: Plan, tmp_path: Path
) -> None:
    generate = prepared(plan, tmp_path)
    make(plan, generate, tmp_path, range(5, 12))
    outcome = make(plan, generate, tmp_path)
    assert (outcome.n_rows, outcome.n_reused) == (20, 7)
    lines = (tmp_path / "steps" / generate / "completions.jsonl").read_text("utf-8").splitlines()
    assert all(json.loads(line)["seconds"] > 0 for line in lines)
    assert not (tmp_path / "steps" / generate / "shards").exists()


def test_shards_reuse_rows_of_the_whole_step_and_of_shards_of_another_size(
    plan: Plan, tmp_path: Path
) -> None:
    generate = prepared(plan, tmp_path)
    make(plan, generate, tmp_path)
    Store(tmp_path).reopen(generate)
    rows = tmp_path / "steps" / f"{generate}.tmp" / "completions.jsonl"
    rows.write_bytes(b"".join(rows.read_bytes().splitlines(keepends=True)[:6]))
    make(plan, generate, tmp_path, range(10, 14))
    assert make(plan, generate, tmp_path, range(10)).n_reused == 6
    assert make(plan, generate, tmp_path, range(10, 20)).n_reused == 4


def test_a_killed_shard_resumes_after_its_last_whole_row(plan: Plan, tmp_path: Path) -> None:
    generate = prepared(plan, tmp_path)
    make(plan, generate, tmp_path, range(10))
    place = shards.place_of(Store(tmp_path), generate)
    place.reopen("00000000-00000010")
    rows = place.unfinished_folder("00000000-00000010") / "completions.jsonl"
    whole = rows.read_bytes().splitlines(keepends=True)
    rows.write_bytes(b"".join(whole[:4]) + whole[4][:30])
    assert make(plan, generate, tmp_path, range(10)).n_reused == 4
    assert len(rows_of(tmp_path / "steps" / generate)) == 0
    assert generate not in all_rows(tmp_path)


def test_a_step_is_split_where_it_is_large_and_loads_its_model_or_a_size_is_asked_for(
    plan: Plan, tmp_path: Path
) -> None:
    store = Store(tmp_path)
    generate = prepared(plan, tmp_path)
    step = plan.steps[generate]
    assert shards.parts_of(step, store, None) == ()
    assert shards.parts_of(step, store, 20) == ()
    loads = step.model_copy(update={"model": Weights(path="tiny", sha256="0" * 64)})
    assert shards.parts_of(loads, store, None) == ()
    examples = tmp_path / "steps" / plan.steps[generate].inputs[0] / "examples.jsonl"
    examples.write_bytes(examples.read_bytes() * 30)
    assert shards.parts_of(step, store, None) == (), "a server has its own limit"
    assert [len(part) for part in shards.parts_of(loads, store, None)] == [256, 256, 88]


def test_a_shard_looks_for_rows_only_where_they_can_be(plan: Plan, tmp_path: Path) -> None:
    generate = prepared(plan, tmp_path)
    for part in (range(5), range(5, 10), range(10, 20)):
        make(plan, generate, tmp_path, part)
    where = shards.earlier(Store(tmp_path), generate, range(4, 10))
    assert [folder.name for folder in where] == [f"{generate}.tmp", "00000000-00000005", "00000005-00000010"]
    assert len(shards.earlier(Store(tmp_path), generate, None)) == 3
