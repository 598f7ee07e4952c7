"""Training whose weights are sharded over two processes on a processor (FSDP2 over gloo), beside the same
training in one."""

import contextlib
import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml
from safetensors import safe_open

from dsl.errors import DataError, StepFailed
from dsl.steps.training_settings import Adapter
from dsl.steps.training_steps import DpoStep, ReferenceLogpsStep, TuningStep
from runners.execution import gpus
from runners.execution.events import Ended, Event
from runners.execution.executors import local
from runners.models.loading import load_to_train
from runners.steps import reference_logps
from runners.store.step_io import StepContext
from runners.store.store import Store
from runners.training import sharding
from runners.training.recorder import WHOLE
from runners.training.trainer import CHECKPOINTS, last_checkpoint
from tests.fixtures import shards_on_a_processor
from tests.fixtures.tiny_study import WEIGHTS
from tests.runners.execution.test_processes import RENAMED, spec_of_sft
from tests.runners.execution.test_smaller_batches import evaluations, losses, run, study
from tests.xp.small_study import plan_of

pytestmark = pytest.mark.filterwarnings(
    "ignore:`gradient_checkpointing_(en|dis)able` is deprecated:FutureWarning"
)
REFERENCE = "reference_logps-0123456789ab89ab"


@pytest.fixture
def two_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two of which there is none: weights are sharded on a processor."""
    monkeypatch.setenv(gpus.VISIBLE, "0,1")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


@pytest.fixture
def _on_a_processor(two_gpus: None, monkeypatch: pytest.MonkeyPatch) -> None:
    from torch.distributed.launcher import api

    start = api.elastic_launch

    def launch(config: Any, entrypoint: Any) -> Any:
        started = start(config, entrypoint)
        return lambda *arguments: started("-P", shards_on_a_processor.__file__, arguments[-1])

    monkeypatch.setattr(api, "elastic_launch", launch)


def held_to_known_logps(folder: Path) -> tuple[TuningStep, StepContext]:
    """All weights are trained, and the reference's log-probabilities were computed before."""
    step, found = study(folder, "dpo", per_device_train_batch_size=4, gradient_checkpointing=True)
    assert isinstance(step, DpoStep)
    known = ReferenceLogpsStep(
        weights=WEIGHTS,
        pairs=step.pairs,
        prompts=step.prompts,
        max_length=step.training.max_length,
        bf16=False,
    )
    (folder / "known").mkdir()
    reference_logps.run(known, found, folder / "known")
    changes = {"adapter": None, "ref_logps": REFERENCE}
    return step.model_copy(update=changes), replace(
        found, folders={**found.folders, REFERENCE: folder / "known"}
    )


def tensors(folder: Path) -> Iterator[tuple[str, str, tuple[int, ...]]]:
    """Name, dtype and shape of each in the files of an adapter or of weights."""
    for path in sorted(folder.glob("*.safetensors")):
        with safe_open(path, "pt") as file:
            for name in sorted(file.keys()):
                tensor = file.get_slice(name)
                yield name, tensor.get_dtype(), tuple(tensor.get_shape())


@pytest.mark.slow
@RENAMED
@pytest.mark.usefixtures("_on_a_processor")
@pytest.mark.parametrize("name", ["sft, all weights", "dpo, adapter", "dpo, known logps"])
def test_sharded_weights_are_trained_as_whole_ones_are(tmp_path: Path, name: str) -> None:
    """The same losses, but for their rounding, and the same files. The model's embeddings are tied."""
    if name == "dpo, known logps":
        step, found = held_to_known_logps(tmp_path)
    else:
        settings = {"per_device_train_batch_size": 4, "eval_steps": 2}
        step, found = study(tmp_path, name[:3], {"sft": 5, "dpo": 11}[name[:3]], **settings)
    if name == "sft, all weights":
        changes = {"gradient_accumulation_steps": 2, "padding_free": True}
        training = step.training.model_copy(update=changes)
        step = step.model_copy(update={"adapter": None, "training": training})
    run(step, found, tmp_path / "one")
    made = run(step, replace(found, n_processes=2, fsdp=True), tmp_path / "two")
    assert losses(tmp_path / "two") == pytest.approx(losses(tmp_path / "one"), rel=1e-4)
    measured, alone = (evaluations(tmp_path / folder) for folder in ("two", "one"))
    assert measured == {name: pytest.approx(values, rel=1e-5, abs=1e-6) for name, values in alone.items()}
    assert len(measured.get("eval_loss", ())) == (0 if step.validation is None else 2)
    weights = step.training.weights(step.weights, step.adapter)
    one, two = (
        load_to_train(weights, tmp_path / folder, tmp_path / "cache").model.state_dict()
        for folder in ("one", "two")
    )
    assert all((one[name] - two[name]).abs().max() < 1e-3 for name in one)
    part = "adapter" if step.adapter else "model"
    assert list(tensors(tmp_path / "two" / part)) == list(tensors(tmp_path / "one" / part)) != []
    for folder in ("", part):
        files = [{path.name for path in (tmp_path / way / folder).iterdir()} for way in ("one", "two")]
        assert files[0] == files[1]
    if not step.adapter:  # PEFT writes `target_modules` in the order of a set
        configs = [(tmp_path / folder / part / "config.json").read_text() for folder in ("one", "two")]
        assert configs[0] == configs[1]
    assert (made.facts["fsdp"], made.facts["n_processes"]) == (True, 2)
    assert made.facts["share_moved"] == (None if step.adapter else pytest.approx(1.0, abs=0.01))


@pytest.mark.slow
@RENAMED
@pytest.mark.usefixtures("_on_a_processor")
def test_a_killed_training_goes_on_from_its_checkpoint(tmp_path: Path) -> None:
    step, found = study(tmp_path, "sft", per_device_train_batch_size=4, max_steps=12, save_steps=2)
    run(step, found, tmp_path / "whole")

    def kill(done: int, total: int) -> None:
        if done >= 3:
            for process in psutil.Process().children(recursive=True):
                with contextlib.suppress(psutil.NoSuchProcess):  # since it has ended meanwhile
                    if str(shards_on_a_processor.__file__) in process.cmdline():
                        process.kill()

    shared = replace(found, n_processes=2, fsdp=True)
    with pytest.raises(StepFailed, match="a process of the training died"):
        run(step, replace(shared, report=kill), tmp_path / "out")
    made = run(step, shared, tmp_path / "out")
    resumed_from_step = made.facts["resumed_from_step"]
    assert isinstance(resumed_from_step, int)
    assert 2 <= resumed_from_step < 12
    assert losses(tmp_path / "out") == pytest.approx(losses(tmp_path / "whole"), rel=1e-3)


@pytest.mark.parametrize("fsdp", [True, False])
def test_checkpoints_of_weights_that_were_held_otherwise_are_not_resumed_from(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, fsdp: bool
) -> None:
    for number in (2, 4):
        folder = tmp_path / CHECKPOINTS / f"checkpoint-{number}"
        folder.mkdir(parents=True)
        (folder / WHOLE).touch()
        if fsdp:
            (folder / sharding.CHECKPOINT).touch()
    assert last_checkpoint(tmp_path, fsdp=fsdp)[1] == 4
    with caplog.at_level(logging.WARNING):
        assert last_checkpoint(tmp_path, fsdp=not fsdp) == (None, 0)
    told = f"checkpoint-4 was made {'with' if fsdp else 'without'} `fsdp`: not resumed from"
    assert told in caplog.messages
    assert not any((tmp_path / CHECKPOINTS).iterdir())


def test_weights_in_4_bits_are_not_sharded(tmp_path: Path) -> None:
    step, found = study(tmp_path, "sft")
    step = step.model_copy(update={"adapter": Adapter(quantization="nf4")})
    with pytest.raises(DataError, match=r"`resources\.sft\.fsdp`: weights in 4 bits are not sharded"):
        run(step, replace(found, n_processes=2, fsdp=True), tmp_path / "out")


@pytest.mark.slow
@pytest.mark.usefixtures("two_gpus")
def test_a_spec_shards_weights_and_is_told_where_accelerate_would_not(tmp_path: Path) -> None:
    """By a worker, as `xp apply` starts it, on a machine without a GPU: accelerate would train with DDP."""
    spec = tmp_path / "shared.yaml"
    spec.write_text(yaml.safe_dump(spec_of_sft(resources={"sft": {"num_gpus": 2, "fsdp": True}})), "utf-8")
    plan = plan_of(spec)
    todo = {step_id: step for step_id, step in plan.steps.items() if step.kind in {"data", "sft"}}
    events: list[Event] = []
    local.run(todo, (), Store(tmp_path / "store"), events.append, None, plan.execution.resources)
    failed = [event.error for event in events if isinstance(event, Ended) and event.status == "failed"]
    assert failed == [
        "`fsdp`: accelerate shards weights on GPUs alone, and there is none here. Leave `fsdp` out, or"
        " run the study where there are some"
    ]
