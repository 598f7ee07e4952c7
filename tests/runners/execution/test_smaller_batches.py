"""Training that runs out of memory, and goes on with smaller batches."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsl.data.records import TrainMetric
from dsl.errors import DataError
from dsl.steps.training_settings import Adapter, Training
from dsl.steps.training_steps import DpoStep, SftStep, TuningStep
from runners.execution.smaller_batches import smaller, train_with_batches_that_fit
from runners.models.loading import load_to_train
from runners.store.step_io import StepContext, StepResult, read_rows
from runners.store.store import Store
from tests.fixtures.tiny_study import WEIGHTS, chat_form, inputs, rows

# PEFT reads a property that transformers renamed
RENAMED = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")


@given(size=st.integers(1, 60), accumulated=st.integers(1, 8), times=st.integers(0, 7))
def test_an_optimiser_step_sees_as_many_rows_however_often_its_batches_are_split(
    size: int, accumulated: int, times: int
) -> None:
    training = Training(per_device_train_batch_size=size, gradient_accumulation_steps=accumulated)
    split = smaller(training, times)
    assert split.per_device_train_batch_size * split.gradient_accumulation_steps == size * accumulated
    assert split.per_device_train_batch_size <= max(1, size // 2**times)


@pytest.mark.parametrize(("size", "sizes"), [(8, [4, 2, 1, 1]), (6, [3, 1, 1, 1]), (5, [1, 1, 1, 1])])
def test_batches_are_halved_and_odd_ones_split_as_they_can_be(size: int, sizes: list[int]) -> None:
    training = Training(per_device_train_batch_size=size)
    assert [smaller(training, times).per_device_train_batch_size for times in range(1, 5)] == sizes


def study(
    folder: Path, kind: str, n_validation_rows: int = 0, **training: Any
) -> tuple[TuningStep, StepContext]:
    english_rows = rows({"sft": "instructions", "dpo": "preferences"}[kind], "en")
    found, (english, evaluated) = inputs(
        folder / "data", en=english_rows, evaluated=english_rows[:n_validation_rows]
    )
    arguments: dict[str, Any] = {"max_steps": 4, "learning_rate": 5e-3, **training}
    settings: dict[str, Any] = {
        "weights": WEIGHTS,
        "prompts": (chat_form(),),
        "adapter": Adapter(r=8, lora_alpha=16),
        "training": Training(**arguments),
        "validation": (evaluated,) if n_validation_rows else None,
        "seed": 0,
    }
    step = SftStep(train=(english,), **settings) if kind == "sft" else DpoStep(pairs=(english,), **settings)
    return step, found


def run(step: TuningStep, found: StepContext, out: Path) -> StepResult:
    out.mkdir(exist_ok=True)
    return train_with_batches_that_fit(step, found, out, Store(out.parent / "store"))


def losses(out: Path) -> list[float]:
    return [row.value for row in read_rows(out / "metrics.jsonl", TrainMetric) if row.name == "loss"]


def evaluations(out: Path) -> dict[str, list[float]]:
    """Measures of the rows that a training is evaluated on, at each evaluation."""
    found = dict[str, list[float]]()
    for row in read_rows(out / "metrics.jsonl", TrainMetric):
        if row.name.startswith("eval_"):
            found.setdefault(row.name, []).append(row.value)
    return found


def has_equal_weights(folder: Path, one: str, other: str) -> bool:
    found = [
        load_to_train(WEIGHTS, folder / name, folder / "cache").model.state_dict() for name in (one, other)
    ]
    return all((found[0][name] == found[1][name]).all() for name in found[0])


def short_of_memory(monkeypatch: pytest.MonkeyPatch, n_rows: int, n_before: int = 0) -> None:
    """Raise torch's error in forward passes of more rows, after so many that still had room."""
    import torch
    from transformers import LlamaModel

    whole, n_done = LlamaModel.forward, iter(range(1_000))

    def forward(self: Any, input_ids: Any = None, **kwargs: Any) -> Any:
        if len(input_ids) > n_rows and next(n_done) >= n_before:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB.")
        return whole(self, input_ids, **kwargs)

    monkeypatch.setattr(LlamaModel, "forward", forward)


@pytest.mark.slow
@RENAMED
@pytest.mark.parametrize(("kind", "n_rows"), [("sft", 2), ("dpo", 2 * 2)])
def test_without_a_checkpoint_the_losses_are_those_of_a_run_with_the_smaller_batch_from_the_start(
    tmp_path: Path, kind: str, n_rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After two optimiser steps; DPO reads each pair as two rows."""
    small = {"per_device_train_batch_size": 2, "gradient_accumulation_steps": 2}
    run(*study(tmp_path, kind, **small), tmp_path / "small")
    short_of_memory(monkeypatch, n_rows, n_before=2)
    made = run(*study(tmp_path, kind, per_device_train_batch_size=4), tmp_path / "out")
    assert losses(tmp_path / "out") == losses(tmp_path / "small")
    assert len(losses(tmp_path / "out")) == 4
    assert has_equal_weights(tmp_path, "out", "small")
    assert {name: made.facts[name] for name in small} == small
    assert (made.facts["n_out_of_memory"], made.facts["resumed_from_step"]) == (1, 0)


@pytest.mark.slow
@RENAMED
def test_pairs_that_are_sorted_in_their_batch_are_not_split_into_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Alignment by optimal transport: the size of a batch is a setting of the loss."""
    import torch

    step, found = study(tmp_path, "dpo", per_device_train_batch_size=4)
    sorting = step.model_copy(update={"loss_type": ("sigmoid", "aot_unpaired")})
    short_of_memory(monkeypatch, 2 * 2)
    with pytest.raises(torch.OutOfMemoryError):
        run(sorting, found, tmp_path / "out")
    with pytest.raises(DataError, match="dpo, whose loss is of a whole batch, trains in one process alone"):
        run(sorting, replace(found, n_processes=2), tmp_path / "shared")


class Killed(BaseException):
    """Stands for a kill: nothing in the project catches it."""


@pytest.mark.slow
@RENAMED
def test_it_goes_on_from_the_last_checkpoint_and_a_kill_after_that_forgets_no_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Memory runs out in the fourth step of six, and the run is killed in the sixth."""
    settings = {"per_device_train_batch_size": 4, "max_steps": 6, "save_steps": 2}
    step, found = study(tmp_path, "sft", **settings)
    whole = run(step, found, tmp_path / "whole")
    assert whole.facts["n_out_of_memory"] is None

    def report(done: int, total: int) -> None:
        if done == 6:
            raise Killed

    short_of_memory(monkeypatch, 2, n_before=3)
    with pytest.raises(Killed):
        run(step, replace(found, report=report), tmp_path / "out")
    monkeypatch.undo()
    made = run(step, found, tmp_path / "out")
    assert (made.facts["n_out_of_memory"], made.facts["resumed_from_step"]) == (1, 4)
    assert made.facts["per_device_train_batch_size"] == 2
    # the rows of each step are the same, in whatever batches: so are its losses, but for their rounding
    assert losses(tmp_path / "out")[:2] == losses(tmp_path / "whole")[:2]
    assert losses(tmp_path / "out") == pytest.approx(losses(tmp_path / "whole"), rel=1e-3)
    assert not (tmp_path / "out" / "trainer").exists()


@pytest.mark.slow
@RENAMED
def test_a_single_row_that_does_not_fit_fails_as_it_did(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    short_of_memory(monkeypatch, 0)
    step, found = study(tmp_path, "sft", per_device_train_batch_size=3)
    with pytest.raises(torch.OutOfMemoryError, match="CUDA out of memory"):
        run(step, found, tmp_path / "out")
    assert json.loads((tmp_path / "out" / "trainer" / "out_of_memory.json").read_text()) == {"n": 1}


@pytest.mark.slow
@RENAMED
@pytest.mark.filterwarnings("ignore:`gradient_checkpointing_(en|dis)able` is deprecated:FutureWarning")
@pytest.mark.parametrize("kind", ["sft", "dpo"])
def test_accumulation_and_gradient_checkpointing_give_the_losses_of_a_plain_run(
    tmp_path: Path, kind: str
) -> None:
    run(*study(tmp_path, kind, per_device_train_batch_size=4), tmp_path / "plain")
    changes: dict[str, dict[str, Any]] = {
        "accumulated": {"per_device_train_batch_size": 1, "gradient_accumulation_steps": 4},
        "checkpointed": {"per_device_train_batch_size": 4, "gradient_checkpointing": True},
    }
    for name, settings in changes.items():
        run(*study(tmp_path, kind, **settings), tmp_path / name)
        assert losses(tmp_path / name) == pytest.approx(losses(tmp_path / "plain"), rel=1e-3), name
