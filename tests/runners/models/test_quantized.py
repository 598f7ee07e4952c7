"""Weights in 4 bits: refused where they cannot be trained on. Training on them needs a GPU."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from dsl.engines.transformers import Weights
from dsl.errors import DataError
from dsl.methods.dpo import Dpo
from dsl.steps.training_settings import Adapter
from runners.models import quantized
from runners.models.loading import load_to_train


def test_weights_in_4_bits_are_refused_without_a_gpu_before_anything_is_read(tmp_path: Path) -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    with pytest.raises(DataError, match="for the memory of a GPU, and this machine has none"):
        load_to_train(Weights(path=str(tmp_path / "gone")), None, tmp_path, is_quantized=True)


def test_the_package_they_need_is_named_with_the_command_that_installs_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)

    def nothing(name: str) -> None:
        assert name == "bitsandbytes"

    monkeypatch.setattr(quantized, "find_spec", nothing)
    with pytest.raises(DataError, match=r"needs the package bitsandbytes: pip install 'xp-lab\[qlora\]'"):
        quantized.check_quantizable()


def test_modules_that_are_trained_whole_are_not_in_4_bits() -> None:
    with pytest.raises(ValidationError, match="small updates of whole modules are rounded away"):
        Adapter(quantization="nf4", modules_to_save=("lm_head",))


def test_dpo_on_weights_in_4_bits_starts_from_them_and_reads_its_reference_as_it_goes() -> None:
    adapter = Adapter(quantization="nf4")
    with pytest.raises(ValidationError, match="`precompute_ref_log_probs: false`"):
        Dpo(pairs="pairs", adapter=adapter)
    with pytest.raises(ValidationError, match="cannot be merged into weights in 4 bits"):
        Dpo(pairs="pairs", policy="sft", precompute_ref_log_probs=False, adapter=adapter)
    assert Dpo(pairs="pairs", precompute_ref_log_probs=False, adapter=adapter).lora == adapter
