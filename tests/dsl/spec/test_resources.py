"""Execution settings: checked like the rest of a spec, and part of no identity."""

import json
from pathlib import Path

import pytest

from dsl.checks.load import load
from dsl.data.fingerprints import Fingerprints
from dsl.engines.vllm import Settings as Served
from dsl.errors import SpecError
from dsl.plan.compile import compile
from dsl.plan.study import Plan
from dsl.spec.resources import Resources, n_gpus
from tests.fixtures.tiny_study import TINY
from tests.xp.small_study import write_study


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    return write_study(tmp_path)


def planned(spec: Path, *overrides: str) -> Plan:
    loaded = load(spec, overrides)
    return compile(loaded.experiment, Fingerprints(), loaded.origin)


def problem(spec: Path, **settings: object) -> str:
    spec.write_text(json.dumps(json.loads(spec.read_text("utf-8")) | settings), "utf-8")
    with pytest.raises(SpecError) as caught:
        load(spec)
    (found,) = caught.value.problems
    return f"{found.path}: {found.message}"


def test_another_executor_and_other_resources_change_no_step(spec: Path) -> None:
    here, there = planned(spec), planned(spec, "executor=ray", "resources.generate.num_gpus=0.5")
    assert list(here.steps) == list(there.steps)
    assert here.execution.executor == "local"
    assert there.execution.executor == "ray"
    assert there.execution.resources["generate"].num_gpus == 0.5
    sharded = planned(spec, "resources.sft.num_gpus=2", "resources.sft.fsdp=true")
    assert list(here.steps) == list(sharded.steps)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"executor": "rai"}, "must be one of `local`, `ray`, `slurm`. Did you mean `ray`?"),
        ({"resources": {"sft": {"mem": 9}}}, "Memory is `memory`, in bytes."),
        ({"resources": {"sft": {"partition": "gpu --wrap=x"}}}, "resources.sft.partition: found"),
        ({"resources": {"sft": {"time": "1:30:00"}}}, "resources.sft.time: found"),
        (
            {"executor": "slurm", "resources": {"sft": {"num_gpus": 0.5}}},
            "resources.sft.num_gpus: found `0.5`; must be a whole number from 0 on with `executor: slurm`",
        ),
        (
            {"executor": "slurm", "resources": {"sft": {"num_cpus": 0}}},
            "resources.sft.num_cpus: found `0`; must be a whole number from 1 on with `executor: slurm`",
        ),
        (
            {"executor": "slurm", "resources": {"sft": {"resources": {"big_disk": 1}}}},
            "resources.sft.resources: `executor: slurm` has no such resource. Name a `partition` whose nodes",
        ),
        (
            {"executor": "ray", "resources": {"sft": {"time": 9}}},
            "resources.sft.time: `executor: ray` has no such resource. It is for `executor: slurm`",
        ),
        ({"resources": {"stf": {}}}, "resources.stf: there is no kind of step `stf`. Did you mean `sft`?"),
        ({"resources": {"sft": {"num_gpu": 1}}}, "Did you mean `num_gpus`?"),
        (
            {"resources": {"sft": {"num_gpus": 1.5}}},
            "resources.sft.num_gpus: found `1.5`; more than one GPU are whole ones",
        ),
        (
            {"resources": {"kto": {"num_gpus": 2}}},
            "resources.kto.num_gpus: found `2`; kto trains in one process alone, on 1",
        ),
        (
            {"resources": {"sft": {"fsdp": True}}},
            "resources.sft.fsdp: shards the weights of sft and dpo over their `num_gpus`, 2 or more",
        ),
        (
            {"resources": {"generate": {"num_gpus": 2, "fsdp": True}}},
            "resources.generate.fsdp: shards the weights of sft and dpo over their `num_gpus`, 2 or more",
        ),
        (
            {"resources": {"sft": {"num_cpus": True}}},
            "resources.sft.num_cpus: found `true`; must be a number",
        ),
        (
            {"resources": {"judge": {"shard_rows": 9}}},
            "resources.judge.shard_rows: only `generate` steps are split into shards",
        ),
    ],
)
def test_what_is_wrong_is_reported_with_its_place_and_what_was_meant(
    spec: Path, settings: dict[str, object], told: str
) -> None:
    assert told in problem(spec, **settings)


SERVED = {"path": str(TINY), "engine": "vllm", "args": {"tensor_parallel_size": 2}}


def planned_served(spec: Path, **settings: object) -> Plan:
    study = json.loads(spec.read_text("utf-8")) | settings
    study["models"] = {"m": {"base": SERVED}}
    judge = {"judge": "decision", "aspects": ["clarity"], "model": {**SERVED, "args": {"seed": 1}}}
    study["judges"] = {"empty": {"judge": "empty"}, "level": judge}
    spec.write_text(json.dumps(study), "utf-8")
    return planned(spec)


def test_a_served_step_sees_as_many_gpus_as_its_server_shares_the_model_out_to_or_it_is_given(
    spec: Path,
) -> None:
    plan = planned_served(spec)
    given = {"generate": Resources(num_gpus=4), "judge": Resources(num_gpus=3), "data": Resources(num_gpus=9)}
    seen = {
        (step.kind, bool(step.affinity), n_gpus(step, {}), n_gpus(step, given))
        for step in plan.steps.values()
    }
    assert seen == {
        ("data", False, 1, 1),
        ("generate", True, 2, 4),
        ("judge", False, 1, 1),
        ("judge", True, 1, 3),
    }
    args = dict.fromkeys(("tensor_parallel_size", "pipeline_parallel_size", "data_parallel_size"), 2)
    assert Served(path=str(TINY), args=args).n_gpus == 8


@pytest.mark.parametrize("executor", ["slurm", "ray"])
def test_a_cluster_that_gives_a_served_step_fewer_gpus_than_its_server_needs_is_refused(
    spec: Path, executor: str
) -> None:
    with pytest.raises(SpecError) as caught:
        planned_served(
            spec, executor=executor, resources={"generate": {"num_gpus": 1}, "judge": {"num_gpus": 1}}
        )
    (found,) = caught.value.problems
    assert f"{found.path}: {found.message}" == (
        "resources.generate.num_gpus: found `1`; `args` share the server of `m` out to 2 GPUs"
    )


def test_several_gpus_that_a_step_has_no_use_for_are_warned_of(spec: Path) -> None:
    (found,) = load(spec, ("resources.generate.num_gpus=2",)).warnings
    assert found.message.startswith("found `2`; generate steps use 1, unless a server is started for them")
