"""Fused CPU modules make generation faster and change no token."""

import sys

import pytest
import torch

from runners.inference.batch_model import CPU_SWITCH, BatchModel
from runners.inference.scheduler import Request, Sampling, generate
from tests.runners.inference.tiny_models import loaded, random_model

PREFIX = tuple(range(20, 60))
REQUESTS = [Request(str(at), (1, *PREFIX, 60 + at, 7 * at), seed=at) for at in range(6)]


def patched_and_tokens(architecture: str) -> tuple[int, list[tuple[str, tuple[int, ...]]]]:
    """Return the number of modules with another forward function than their class's, and each row's
    tokens."""
    batch_model = BatchModel(loaded(random_model(architecture)))
    tokens = [
        (row.key, row.token_ids)
        for sampling in (Sampling(12), Sampling(12, temperature=0.8))
        for row in sorted(generate(batch_model, REQUESTS, sampling, 4), key=lambda row: row.key)
    ]
    return sum("forward" in vars(module) for module in batch_model.model.modules()), tokens


@pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="without oneDNN nothing is fused")
@pytest.mark.parametrize("architecture", ["llama", "gemma3", "qwen3"])
@pytest.mark.parametrize("is_installed", [True, False], ids=["switched off", "package missing"])
def test_without_fused_cpu_modules_the_tokens_are_the_same(
    architecture: str, is_installed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    n_fused, tokens = patched_and_tokens(architecture)
    assert n_fused > 0
    if is_installed:
        monkeypatch.setenv(CPU_SWITCH, "0")
    else:
        for name in [name for name in sys.modules if name.startswith("runners.inference.cpu")]:
            monkeypatch.delitem(sys.modules, name)
        monkeypatch.setitem(sys.modules, "runners.inference.cpu", None)
    assert patched_and_tokens(architecture) == (0, tokens)
