"""Training around TRL's trainers: precision that the machine must have, and memory that is given back."""

import gc
import weakref
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from dsl.steps.training_settings import Adapter
from runners.models import memory
from runners.training import trainer


def test_bf16_is_used_where_it_is_asked_for_and_something_computes_in_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import torch

    monkeypatch.setattr(
        torch.cpu, "get_capabilities", lambda: {"avx2": True, "avx512_bf16": False, "amx_bf16": False}
    )
    assert not trainer.uses_bf16("cpu", wanted=True)
    monkeypatch.setattr(
        torch.cpu, "get_capabilities", lambda: {"avx2": True, "avx512_bf16": True, "amx_bf16": False}
    )
    assert trainer.uses_bf16("cpu", wanted=True)
    assert not trainer.uses_bf16("cpu", wanted=False)


def test_what_refers_to_itself_is_gone_when_memory_is_given_back() -> None:
    import torch

    class Trainer:
        """As trainers do, it refers to itself."""

        def __init__(self) -> None:
            self.model, self.callbacks = torch.zeros(10), [self]

    def train() -> weakref.ref[Trainer]:
        return weakref.ref(Trainer())

    gc.disable()
    try:
        with trainer.memory_given_back():
            left = train()
        assert left() is None
    finally:
        gc.enable()


def test_free_memory_is_what_is_there_to_be_used() -> None:
    total = next(
        int(line.split()[1]) * 1024
        for line in Path("/proc/meminfo").read_text().splitlines()
        if line.startswith("MemTotal:")
    )
    assert 0 < memory.free_bytes("cpu") <= total


def test_the_share_of_weights_that_moved_is_that_of_all_weights_though_large_tensors_are_sampled(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import torch

    monkeypatch.setattr(trainer, "_SAMPLED", 10)
    model: Any = torch.nn.Sequential(torch.nn.Linear(30, 30, bias=False), torch.nn.Linear(10, 10, bias=False))
    before = trainer.weights_of(model, "bfloat16")
    assert all(len(weights) <= 11 for weights in before.values())
    with torch.no_grad():
        model[1].weight += 1  # 100 of 1,000 weights
        model[0].weight *= 1 + 1e-5  # in bfloat16 as good as nothing
    assert trainer._share_moved(before, model) == pytest.approx(0.1, abs=0.02)


def test_of_several_processes_the_first_alone_saves_the_weights(tmp_path: Path) -> None:
    """The others' folders lie where a large model may not fit, once for each of them."""
    (tmp_path / trainer.CHECKPOINTS).mkdir()
    (tmp_path / "policy_step" / "adapter").mkdir(parents=True)
    before = sorted(tmp_path.rglob("*"))
    second: Any = SimpleNamespace(model=None, is_fsdp_enabled=False, is_world_process_zero=lambda: False)
    trainer.save(second, Adapter(), tmp_path, tmp_path / "policy_step")
    assert sorted(tmp_path.rglob("*")) == before
