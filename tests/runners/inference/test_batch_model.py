import gc
import weakref

import pytest
import torch
import transformers

from runners.inference.batch_model import BatchModel, batch_model_of, forget_batch_models
from runners.training.trainer import memory_given_back
from tests.runners.inference.tiny_models import loaded, random_model


@pytest.mark.parametrize(
    ("architecture", "reason"),
    [
        ("llama", None),
        ("mistral", None),
        ("qwen2", None),
        ("qwen3", None),
        ("granite", None),
        ("gpt2", None),
        ("gemma3", None),
        ("gemma2", "its attention uses softcap"),
        ("gpt_oss", "its attention uses s_aux"),
        ("bloom", "its attention cannot be exchanged"),
        ("lfm2", "its cache has layers of kind LinearAttentionLayer"),
        ("phi3", "its rotary positions depend on the length of the whole text (longrope)"),
    ],
)
def test_a_model_that_cannot_share_a_prefix_says_why_and_stays_as_it_was(
    architecture: str, reason: str | None
):
    model = random_model(architecture)
    before, ids = model.config._attn_implementation, torch.tensor([[5, 9, 200]])
    logits = model(ids).logits
    batch_model = BatchModel(loaded(model))
    assert batch_model.not_shared_because == reason
    assert model.config._attn_implementation == before
    assert torch.equal(model(ids).logits, logits)
    if reason is not None:
        assert batch_model.model.config._attn_implementation == before


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_low_precision_alone_does_not_stop_a_prefix_from_being_shared(dtype: torch.dtype):
    assert BatchModel(loaded(random_model("llama").to(dtype))).not_shared_because is None


def test_a_model_that_depends_on_the_number_of_tokens_shares_no_prefix():
    model = random_model("llama")

    def by_length(module: object, args: tuple[object, ...], kwargs: dict[str, torch.Tensor]):
        kwargs["hidden_states"] = kwargs["hidden_states"] * (1 + kwargs["hidden_states"].shape[1] / 10)
        return args, kwargs

    # The norm before hides a scale, so it is the attention's own input that is scaled.
    model.model.layers[1].self_attn.register_forward_pre_hook(by_length, with_kwargs=True)
    assert "when a prefix is shared" in str(BatchModel(loaded(model)).not_shared_because)


def test_a_model_that_requires_a_cache_shares_no_prefix():
    model = random_model("llama")

    def needs_cache(module: object, args: tuple[object, ...], kwargs: dict[str, torch.Tensor]) -> None:
        kwargs["past_key_values"].get_seq_length()

    model.model.layers[1].self_attn.register_forward_pre_hook(needs_cache, with_kwargs=True)
    assert "cannot read packed rows" in str(BatchModel(loaded(model)).not_shared_because)


def test_a_model_without_key_value_cache_is_refused():
    with pytest.raises(TypeError, match="MambaForCausalLM keeps no key-value cache"):
        BatchModel(loaded(random_model("mamba")))


def test_a_model_that_attends_ahead_is_refused():
    config = transformers.BertConfig(
        vocab_size=300,
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        initializer_range=0.2,
    )
    with pytest.raises(TypeError, match="BertLMHeadModel is not causal as it is configured"):
        BatchModel(loaded(transformers.BertLMHeadModel(config).eval()))
    assert BatchModel(
        loaded(
            transformers.BertLMHeadModel(
                transformers.BertConfig(**{**config.to_dict(), "is_decoder": True})
            ).eval()
        )
    )


def test_a_batch_model_is_kept_as_long_as_its_model():
    model = random_model("llama")
    assert batch_model_of(loaded(model)) is batch_model_of(loaded(model))
    kept = weakref.ref(batch_model_of(loaded(model)))
    del model
    gc.collect()
    assert kept() is None


def test_training_frees_batch_models():
    model = random_model("llama")
    kept = weakref.ref(batch_model_of(loaded(model)))
    with memory_given_back():
        gc.collect()
        assert kept() is None
    assert batch_model_of(loaded(model)).not_shared_because is None
    forget_batch_models()


def test_a_batch_has_as_many_rows_as_fit_into_half_of_the_free_memory(
    monkeypatch: pytest.MonkeyPatch,
):
    batch_model = BatchModel(loaded(random_model("llama")))
    # keys and values, 2 layers of 2 heads of 16 numbers, 100 tokens; logits of 300 tokens
    a_row = 2 * 2 * 2 * 16 * 4 * 100 + 4 * 300 * 4
    for free, expected in ((2 * 10 * a_row, 10), (2 * 10 * a_row - 2, 9), (0, 1), (2**40, 128)):
        monkeypatch.setattr("runners.models.memory.free_bytes", lambda device, free=free: free)
        assert batch_model.batch_size(100) == expected
