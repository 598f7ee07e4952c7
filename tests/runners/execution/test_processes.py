"""Training in two processes on a processor, joined by gloo, beside the same training in one."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from dsl.errors import BudgetSpent, DataError, StepFailed
from dsl.steps.steps import AnyStep
from dsl.steps.training_settings import Training
from runners.execution import gpus
from runners.execution.events import Ended, Event
from runners.execution.executors import local
from runners.execution.processes import (
    Job,
    _error,  # pyright: ignore[reportPrivateUsage]
)
from runners.execution.shared_training import per_process
from runners.models.loading import load_to_train
from runners.store.store import Store
from runners.training.trainer import BatchTooLarge
from tests.fixtures.tiny_study import TINY, WEIGHTS
from tests.runners.execution.test_smaller_batches import evaluations, losses, run, study
from tests.xp.small_study import plan_of

# PEFT reads a property that transformers renamed
RENAMED = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")


@given(size=st.integers(1, 12), accumulated=st.integers(1, 12), n=st.integers(1, 12))
def test_processes_see_the_rows_of_an_optimiser_step_that_one_sees_or_are_refused(
    size: int, accumulated: int, n: int
) -> None:
    training = Training(per_device_train_batch_size=size, gradient_accumulation_steps=accumulated)
    if size * accumulated % n:
        with pytest.raises(DataError, match=f"{size} × `gradient_accumulation_steps` {accumulated}"):
            per_process(training, n)
        return
    each = per_process(training, n)
    assert each.per_device_train_batch_size * each.gradient_accumulation_steps * n == size * accumulated


def test_a_batch_that_the_processes_cannot_share_is_refused_with_the_arithmetic() -> None:
    with pytest.raises(
        DataError, match=r"of 6 rows .* 6 × `gradient_accumulation_steps` 1.*which 4 processes"
    ):
        per_process(Training(per_device_train_batch_size=6), 4)


@pytest.mark.parametrize(
    ("noted", "kind", "message"),
    [
        ({"kind": "BatchTooLarge", "message": "CUDA out of memory"}, BatchTooLarge, "CUDA out of memory"),
        ({"kind": "BudgetSpent", "message": "the budget is spent"}, BudgetSpent, "the budget is spent"),
        ({"kind": "StepFailed", "message": "the loss is nan"}, StepFailed, "the loss is nan"),
        (None, StepFailed, "a process of the training died: exit code 1, signal 9 (Killed)"),
    ],
)
def test_the_first_error_of_a_process_is_the_step_s_or_how_they_died(
    tmp_path: Path, noted: dict[str, str] | None, kind: type[Exception], message: str
) -> None:
    step, found = study(tmp_path, "sft")
    job = Job(
        step=cast("AnyStep", step),
        folders={**found.folders},
        cache=found.cache,
        out=tmp_path,
        scratch=tmp_path,
        store=tmp_path,
        charge=None,
        parent=1,
    )
    if noted is not None:
        job.error.write_text(json.dumps(noted), "utf-8")
    error = _error(job, [1, -9])
    assert (type(error), str(error)) == (kind, message)


@pytest.fixture
def two_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(gpus.VISIBLE, "0,1")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


@pytest.mark.slow
@RENAMED
@pytest.mark.usefixtures("two_processes")
@pytest.mark.parametrize(("kind", "n_validation_rows"), [("sft", 19), ("dpo", 11)])
def test_two_processes_train_and_evaluate_as_one_does(
    tmp_path: Path, kind: str, n_validation_rows: int
) -> None:
    """The same rows in each optimiser step: the same losses and weights, but for their rounding. The same
    batches in each evaluation, of 8 rows and one of 3: the same measures."""
    settings = {"per_device_train_batch_size": 4, "eval_steps": 2}
    step, found = study(tmp_path, kind, n_validation_rows, **settings)
    run(step, found, tmp_path / "one")
    told: list[tuple[int, int]] = []

    def report(done: int, total: int) -> None:
        told.append((done, total))

    shared = replace(found, n_processes=2, report=report)
    made = run(step, shared, tmp_path / "two")
    assert losses(tmp_path / "two") == pytest.approx(losses(tmp_path / "one"), rel=1e-4)
    measured, alone = (evaluations(tmp_path / name) for name in ("two", "one"))
    assert measured == {name: pytest.approx(values, rel=1e-5, abs=1e-6) for name, values in alone.items()}
    assert len(measured["eval_loss"]) == 2
    one, two = (
        load_to_train(WEIGHTS, tmp_path / name, tmp_path / "cache").model.state_dict()
        for name in ("one", "two")
    )
    assert all((one[name] - two[name]).abs().max() < 1e-3 for name in one)
    assert (made.facts["n_processes"], made.facts["per_device_train_batch_size"]) == (2, 2)
    assert {path.name for path in (tmp_path / "two").iterdir()} == {
        path.name for path in (tmp_path / "one").iterdir()
    }
    assert told
    assert told[-1][1] == 4
    assert made.peak_memory_bytes > 0


def spec_of_sft(**more: Any) -> dict[str, Any]:
    """A spec that trains once, on a few rows."""
    settings = {"max_steps": 2, "per_device_train_batch_size": 4, "max_length": 96}
    return {
        "experiment": "shared",
        "languages": ["en"],
        "models": {"tiny": {"base": {"path": str(TINY)}}},
        "data": {
            "questions": {
                "rows": {"path": str(TINY / "questions_en.jsonl")},
                "columns": {"item": "item", "instruction": "instruction"},
            },
            "rows": {
                "rows": {"path": str(TINY / "instructions_en.jsonl")},
                "columns": {"item": "item", "instruction": "instruction", "response": "response"},
            },
        },
        "evaluate": ["questions"],
        "methods": {"sft": {"method": "sft", "train": "rows", "training": settings}},
        "decoding": {"max_new_tokens": 8},
        **more,
    }


@pytest.mark.slow
@pytest.mark.usefixtures("two_processes")
def test_a_spec_gives_a_training_two_processes_and_no_other_id(tmp_path: Path) -> None:
    """By a worker, as `xp apply` starts it."""
    specs = {"alone": spec_of_sft(), "shared": spec_of_sft(resources={"sft": {"num_gpus": 2}})}
    for name, spec in specs.items():
        (tmp_path / f"{name}.yaml").write_text(yaml.safe_dump(spec), "utf-8")
    alone, plan = (plan_of(tmp_path / f"{name}.yaml") for name in specs)
    assert plan.steps.keys() == alone.steps.keys()
    todo = {step_id: step for step_id, step in plan.steps.items() if step.kind in {"data", "sft"}}
    events: list[Event] = []
    local.run(todo, (), Store(tmp_path / "store"), events.append, None, plan.execution.resources)
    facts = {
        event.step_id.split("-")[0]: event.outcome.facts
        for event in events
        if isinstance(event, Ended) and event.outcome is not None
    }
    assert (facts["sft"]["n_processes"], facts["sft"]["per_device_train_batch_size"]) == (2, 2)
