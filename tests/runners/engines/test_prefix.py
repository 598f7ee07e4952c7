import pytest
import torch
from transformers import DynamicCache

from runners.engines import _prefix
from runners.engines._prefix import next_logits, pad_left, prefix_support, read_prefix, sharing
from tests.runners.engines.tiny_models import random_model

PREFIX = [3 + 7 * at % 290 for at in range(40)]
ROWS = [[5, 9, 200, 17, 80, 41, 3], [77, 12], [250, 6, 99]]


def logits(architecture: str, prefix_ids: list[int], rows: list[list[int]]) -> torch.Tensor:
    model = random_model(architecture)
    with torch.inference_mode():
        prefix = read_prefix(model, prefix_ids) if prefix_ids else None
        with sharing(model, prefix):
            return next_logits(model, prefix, *pad_left(rows, 0, len(prefix_ids), "cpu"), DynamicCache(config=model.config))


@pytest.mark.parametrize("architecture", ["llama", "qwen2", "gpt2", "gemma3"])
@pytest.mark.parametrize("slice_", [1, 2**26])
def test_rows_behind_a_shared_prefix_get_the_logits_they_get_alone(architecture: str, slice_: int, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(_prefix, "_MAX_SCORES", slice_)  # 1: each query by itself
    alone = torch.cat([logits(architecture, [], [[*PREFIX, *row]]) for row in ROWS])
    torch.testing.assert_close(logits(architecture, PREFIX, ROWS), alone, rtol=1e-4, atol=1e-4)


def test_a_sliding_window_keeps_the_last_tokens_of_the_prefix_only():
    with torch.inference_mode():
        sliding, full = read_prefix(random_model("gemma3"), PREFIX).layers
    assert (sliding.window, sliding.keys.shape[-1], sliding.first) == (24, 23, 17)
    assert (full.window, full.keys.shape[-1], full.first) == (None, 40, 0)


def test_rows_that_have_left_the_prefix_behind_do_not_see_it():
    row = [3 + 11 * at % 290 for at in range(60)]  # more than two windows long
    torch.testing.assert_close(logits("gemma3", PREFIX, [row, row[:4]])[:1], logits("gemma3", [], [[*PREFIX, *row]]), rtol=1e-4, atol=1e-4)


def test_padding_has_a_position_and_no_place_in_the_mask():
    ids, mask, positions = pad_left([[7, 8, 9], [5]], pad_id=1, offset=10, device="cpu")
    assert ids.tolist() == [[7, 8, 9], [1, 1, 5]]
    assert mask.tolist() == [[1, 1, 1], [0, 0, 1]]
    assert positions.tolist() == [[10, 11, 12], [10, 10, 10]]


@pytest.mark.parametrize(
    ("architecture", "reason"),
    [
        ("llama", None),
        ("qwen2", None),
        ("gpt2", None),
        ("gemma3", None),
        ("gemma2", "its attention uses softcap"),
        ("gpt_oss", "its attention uses s_aux"),
        ("bloom", "its attention cannot be exchanged"),
        ("lfm2", "its cache has layers of kind LinearAttentionLayer"),
        ("phi3", "its rotary positions depend on the length of the whole text (longrope)"),
    ],
)
def test_a_model_that_cannot_share_a_prefix_says_why(architecture: str, reason: str | None):
    model = random_model(architecture)
    before = model.config._attn_implementation
    assert prefix_support(model) == reason
    assert model.config._attn_implementation == before


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_low_precision_alone_does_not_stop_a_prefix_from_being_shared(dtype: torch.dtype):
    assert prefix_support(random_model("llama").to(dtype)) is None


def test_a_model_that_looks_at_the_length_of_its_cache_is_found_out():
    model = random_model("llama")

    def by_length(module: object, args: tuple[object, ...], kwargs: dict[str, object]):
        kwargs["hidden_states"] = kwargs["hidden_states"] * (1 + kwargs["past_key_values"].get_seq_length() / 10)
        return args, kwargs

    # The norm before hides a scale, so it is the attention's own input that is scaled.
    model.model.layers[1].self_attn.register_forward_pre_hook(by_length, with_kwargs=True)
    assert "when a prefix is shared" in str(prefix_support(model))


def test_the_model_attends_as_before_even_after_an_error():
    model = random_model("llama")
    with torch.inference_mode():
        prefix = read_prefix(model, PREFIX)

    def fail() -> None:
        with sharing(model, prefix):
            assert model.config._attn_implementation == _prefix.IMPLEMENTATION
            raise InterruptedError

    with pytest.raises(InterruptedError):
        fail()
    assert model.config._attn_implementation == "sdpa"
