"""A served model beside the same weights loaded here, in float32 and greedy: the same texts, but for near
ties of logits, and the same decisions."""

import json
from pathlib import Path
from typing import Any

import pytest

from dsl.data.fingerprints import PROMPT_TEXTS
from dsl.data.records import Example
from dsl.engines.contract import Decoding, EngineSettings
from dsl.engines.transformers import Weights
from dsl.steps.prompt_forms import TextPrompt
from runners.engines import find_engine
from runners.engines.contract import EngineAnswer, EngineRequest
from runners.inference.answer_text import Detokenizer
from runners.judges._model_judges.decide import Question, decide
from runners.judges.contract import Tools
from runners.models.loading import Loaded, load
from runners.prompting.prompts import Prompter
from runners.prompting.tokens import token_ids
from runners.store.step_io import StepContext
from tests.fixtures.tiny_study import chat_form, text_at
from tests.runners.judges.answers import no_model

ROOT = Path(__file__).parents[3]
N_EACH = 12
N_NEW = 32
NEAR_TIE = 1e-3
"""Difference of two logits whose order another order of summation may turn."""


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


def check_same(
    here: Weights, there: EngineSettings, prompts: list[EngineRequest], cache: Path, tuned: Path | None
) -> int:
    """Compare the answers of weights loaded here and there; return the number of texts that near ties make
    others."""
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
    return len(unlike)


def check_decisions(here: Weights, there: Any, cache: Path) -> None:
    """Compare the probabilities of decisions of weights loaded here and there."""
    levels, choice = ("rude", "fair", "polite"), {"first": "It is short.", "second": "It is long."}
    questions = [
        Question({"answer": text}, "How polite is it?", criteria)
        for text in ("Go away.", "Thank you for asking, and come back soon.")
        for criteria in (levels, choice, None)
    ]
    served, loaded_here = (
        {one.place: one.probabilities for one in decide(model, questions, Tools(no_model, cache))}
        for model in (there, here)
    )
    assert served.keys() == loaded_here.keys() == set(range(len(questions)))
    for place, found in served.items():
        assert found == pytest.approx(loaded_here[place], abs=1e-4)
