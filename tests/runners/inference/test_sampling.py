"""Decoding as the spec has it, or as the model was published with."""

from typing import Any

import pytest
from transformers import GenerationConfig

from dsl.engines.contract import Decoding
from dsl.errors import DataError
from runners.inference.next_token import Sampling
from runners.inference.sampling import sampling_of
from tests.runners.inference.tiny_models import random_model


def sampled(decoding: dict[str, Any], **published: Any) -> Sampling:
    model = random_model("llama")
    model.generation_config = GenerationConfig(**published)
    return sampling_of(Decoding.model_validate(decoding), model)


def test_a_models_own_settings_count_where_the_spec_asks_for_them_and_nowhere_else() -> None:
    qwen = {
        "do_sample": True,
        "temperature": 0.7,
        "top_p": 0.8,
        "top_k": 20,
        "repetition_penalty": 1.05,
        "eos_token_id": [2],
    }
    assert sampled({"max_new_tokens": 9}, **qwen) == Sampling(9)
    assert sampled({"from": "model", "max_new_tokens": 9}, **qwen) == Sampling(9, 0.7, 0.8, 20, 1.05)
    assert sampled({"from": "model"}, do_sample=True) == Sampling(256, 1.0, 1.0, 50), (
        "transformers' own defaults"
    )
    assert sampled({"from": "model"}, temperature=0.6, repetition_penalty=1.2) == Sampling(
        256, repetition_penalty=1.2
    ), "do_sample is off"


@pytest.mark.parametrize(
    "setting", [{"no_repeat_ngram_size": 3}, {"min_p": 0.05}, {"num_beams": 4}, {"suppress_tokens": [5]}]
)
def test_settings_of_a_model_that_cannot_be_followed_are_refused_by_name(setting: dict[str, Any]) -> None:
    with pytest.raises(
        DataError, match=f"generation_config has {next(iter(setting))}, which cannot be followed"
    ):
        sampled({"from": "model"}, do_sample=True, **setting)


def test_a_spec_names_its_own_decoding_or_the_models() -> None:
    with pytest.raises(ValueError, match="`from: model` takes temperature from the model"):
        Decoding.model_validate({"from": "model", "temperature": 0.5})
    again = Decoding.model_validate_json(Decoding.model_validate({"from": "model"}).model_dump_json())
    assert again.source == "model"
    assert again.is_sampled
