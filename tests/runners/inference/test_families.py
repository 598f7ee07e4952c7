"""Families whose rows cannot all be packed, or batched: greedy tokens are those of transformers for any batch
size, and the facts say why."""

import random
from typing import Any

import pytest
import torch
import transformers

from runners.inference.batch_model import BatchModel
from runners.inference.scheduler import Request, Sampling, generate
from tests.runners.checkpoints import llama, tokenizer
from tests.runners.inference.tiny_models import EOS, UNK, VOCABULARY, loaded, random_model

N_NEW = 16


def asked(*lengths: int) -> list[Request]:
    """Prompts of so many tokens, the first 30 of which they share."""
    draw = random.Random(0)
    ids = [draw.choices(range(3, VOCABULARY), k=length) for length in lengths]
    return [Request(f"row {at}", (*ids[0][:30], *one[30:])) for at, one in enumerate(ids)]


def of_transformers(model: Any, request: Request) -> tuple[int, ...]:
    prompt = torch.tensor([request.token_ids])
    config = transformers.GenerationConfig(
        do_sample=False, max_new_tokens=N_NEW, eos_token_id=EOS, pad_token_id=UNK
    )
    made = model.generate(input_ids=prompt, attention_mask=torch.ones_like(prompt), generation_config=config)
    return tuple(token for token in made[0, prompt.shape[1] :].tolist() if token != EOS)


@pytest.mark.parametrize(
    ("architecture", "not_shared", "one_by_one"),
    [
        ("qwen2_moe", "when a prefix is shared", None),
        ("phimoe", "when a prefix is shared", None),
        ("phi3", "rotary positions depend on the length", "beside a longer row"),
        ("recurrent_gemma", "its cache has layers of kind LinearAttentionLayer", "beside a longer row"),
        ("deepseek_v4", "its cache has layers of kind DeepseekV4", "beside a longer row"),
        ("minimax", "its cache has layers of kind LinearAttentionLayer", "cannot read padded rows"),
        ("gemma4", None, None),
        ("mistral", None, None),
    ],
)
@pytest.mark.parametrize("batch_size", [3, None])
def test_greedy_tokens_of_texts_beyond_the_window_are_those_of_transformers(
    architecture: str, not_shared: str | None, one_by_one: str | None, batch_size: int | None
) -> None:
    """Windows reach 24 tokens; LongRoPE turns to its long factors behind 64, which one row begins beyond and
    one crosses as it is written."""
    model, requests = random_model(architecture), asked(90, 34, 60, 41)
    batch_model = BatchModel(loaded(model))
    found = {row.key: row.token_ids for row in generate(batch_model, requests, Sampling(N_NEW), batch_size)}
    assert found == {request.key: of_transformers(model, request) for request in requests}
    assert len({token for ids in found.values() for token in ids}) > 10, (
        "a model that repeats itself shows nothing"
    )
    for reason, expected in (
        (batch_model.not_shared_because, not_shared),
        (batch_model.one_by_one_because, one_by_one),
    ):
        assert reason is None if expected is None else expected in str(reason), reason


def test_a_text_beyond_the_window_is_verified_when_the_first_one_is_prefilled() -> None:
    batch_model = BatchModel(loaded(random_model("qwen2_moe")))
    list(generate(batch_model, [Request("short", (5, 6, 7))], Sampling(4)))
    assert batch_model.not_shared_because is None
    list(generate(batch_model, [Request("long", (5, 6, 7) * 10)], Sampling(4)))
    assert "when a prefix is shared" in str(batch_model.not_shared_because)


@pytest.mark.parametrize("n_tokens", [5, 40])
def test_a_vocabulary_of_a_few_characters_is_decoded(n_tokens: int) -> None:
    model = llama(n_tokens, eos_token_id=EOS, initializer_range=0.3)
    batch_model = BatchModel(loaded(model, tokenizer("</s>", eos_token="</s>")))
    assert batch_model.not_shared_because is None
    requests = [Request(str(n), tuple((at * n) % n_tokens for at in range(3 + n))) for n in range(1, 4)]
    found = {row.key: row.token_ids for row in generate(batch_model, requests, Sampling(N_NEW), 3)}
    assert found == {request.key: of_transformers(model, request) for request in requests}


def test_the_cache_bytes_of_a_row_are_measured_on_its_model() -> None:
    """Per-layer widths (Gemma 4), states of one size (a linear layer): the configuration's attributes do not
    tell."""
    gemma = BatchModel(loaded(random_model("gemma4")))
    assert gemma._cache_bytes[1] == 2 * 2 * 4 * (16 + 32), (
        "keys and values, 2 heads, float32: 16 numbers in one layer, 32 in the other"
    )
    a_row, a_token = BatchModel(loaded(random_model("lfm2")))._cache_bytes
    assert a_row > 0
    assert a_token == 2 * 2 * 16 * 4
