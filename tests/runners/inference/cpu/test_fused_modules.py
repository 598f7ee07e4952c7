from typing import Any

import pytest
import torch

from runners.inference.cpu import onednn_linear as linear
from runners.inference.cpu.fused_modules import _Attention, _GatedMLP, _Layer, _Norm, patch_modules
from runners.inference.packed import PackedModel, PackedRows
from runners.inference.prefix_cache import PrefixNode
from runners.models.loading import sharing_copy
from tests.runners.inference.tiny_models import random_model

TEXT = (5, 9, 200, 17, 31, 8)
ROOMY = 2**40
LIKE_LLAMA = ["llama", "mistral", "qwen2", "qwen3", "gemma3", "granite"]


def patched(model: Any, free_bytes: int = ROOMY) -> PackedModel:
    """Return a patched copy after its first forward pass."""
    changed = sharing_copy(model)
    patch_modules(changed, free_bytes)
    packed = PackedModel(changed, 2**30)
    logits(packed)
    return packed


def logits(packed: PackedModel) -> torch.Tensor:
    """Return the logits after a text alone."""
    with torch.inference_mode():
        return PackedRows(packed).prefill([(PrefixNode(), TEXT)])[0]


def plain(model: Any) -> torch.Tensor:
    with torch.inference_mode():
        return model(torch.tensor([TEXT])).logits[0, -1]


def forwards(packed: PackedModel, part: str) -> list[type]:
    """Return the types of the forward functions of modules whose name ends so."""
    return [type(module.forward) for name, module in packed._model.named_modules() if name.endswith(part)]


@pytest.mark.parametrize("architecture", LIKE_LLAMA)
def test_a_decoders_modules_are_fused_in_a_copy_and_the_model_stays_as_it_was(architecture: str):
    model = random_model(architecture)
    expected = plain(model)
    packed = patched(model)
    assert (logits(packed) - expected).norm() < 1e-5 * expected.norm()
    assert forwards(packed, ".self_attn") == [_Attention] * 2
    assert forwards(packed, ".mlp") == [_GatedMLP] * 2
    is_whole = architecture not in ("gemma3", "granite")
    assert [type(layer.forward) is _Layer for layer in packed._model.model.layers] == [is_whole] * 2
    norms = forwards(packed, "layernorm") + forwards(packed, "model.norm")
    assert norms == [_Norm] * (9 if architecture == "gemma3" else 5)
    assert all("forward" not in vars(module) for module in model.modules())
    assert torch.equal(plain(model), expected)


@pytest.mark.parametrize("architecture", ["gpt2", "gemma2", "phi3"])
def test_attention_unlike_llamas_is_not_fused(architecture: str):
    model = sharing_copy(random_model(architecture))
    patch_modules(model, ROOMY)
    assert all(
        "forward" not in vars(module)
        for name, module in model.named_modules()
        if name.endswith(("attn", "self_attn"))
    )


@pytest.mark.skipif(not linear.multiplies_bfloat16(), reason="oneDNN has no bfloat16 on this processor")
@pytest.mark.parametrize("architecture", LIKE_LLAMA)
def test_modules_in_low_precision_are_fused_too(architecture: str):
    model = random_model(architecture).to(torch.bfloat16)
    packed, expected = patched(model), plain(random_model(architecture)).float()
    assert forwards(packed, ".self_attn") == [_Attention] * 2
    error, its_own = ((each.float() - expected).norm() for each in (logits(packed), plain(model)))
    assert error < 2 * its_own, "about as far from float32 as the model in bfloat16 is"


@pytest.mark.parametrize("architecture", LIKE_LLAMA)
def test_a_model_in_bfloat16_runs_where_the_processor_has_no_instructions_for_it(
    architecture: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(linear, "multiplies_bfloat16", lambda: False)
    monkeypatch.delattr(linear, "product")
    model = random_model(architecture).to(torch.bfloat16)
    packed, expected = patched(model), plain(random_model(architecture)).float()
    assert _Attention not in forwards(packed, ".self_attn")
    error, its_own = ((each.float() - expected).norm() for each in (logits(packed), plain(model)))
    assert error < 2 * its_own


@pytest.mark.parametrize("architecture", LIKE_LLAMA)
def test_weights_are_not_prepacked_where_memory_is_short(architecture: str):
    model = random_model(architecture)
    for free_bytes, is_copied in ((0, False), (ROOMY, True)):
        packed = patched(model, free_bytes)
        assert packed._model.lm_head.forward.args[0].is_mkldnn == is_copied
        assert (forwards(packed, ".mlp") == [_GatedMLP] * 2) == is_copied
        assert set(forwards(packed, "layernorm")) == {_Norm}, "it keeps no weights of its own"
        torch.testing.assert_close(logits(packed), plain(model), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("part", ["", ".self_attn", ".mlp", ".input_layernorm"])
def test_a_module_whose_output_differs_is_not_fused(part: str):
    model = random_model("llama")
    for at in range(2):
        module = model.model.get_submodule(f"layers.{at}{part}")
        module.register_forward_hook(lambda module, given, answer: answer)  # hooks stay
        module.forward = Scaled(module.forward)
    expected = plain(model)
    packed = patched(model)
    assert (logits(packed) - expected).norm() < 1e-5 * expected.norm()
    assert [forwards(packed, f"layers.{at}{part}") for at in range(2)] == [[Scaled]] * 2
    assert _Layer not in forwards(packed, ""), "it would not call its part"
    layers = [each for each in packed._model.modules() if type(each) is torch.nn.Linear]
    held = [each for each in layers if "forward" in vars(each)]
    assert (
        len(held)
        == {"": 1 + 2 * 2, ".self_attn": 1 + 2 * 5, ".mlp": 1 + 2 * 4, ".input_layernorm": 1 + 2 * 2}[part]
    ), "its layers are prepacked one by one"


class Scaled:
    """A forward function unlike any that is fused."""

    def __init__(self, forward: Any) -> None:
        self.forward = forward

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        found = self.forward(*args, **kwargs)
        return (found[0] * 1.1, found[1]) if isinstance(found, tuple) else found * 1.1


def test_linear_layers_with_the_same_input_are_one_product(monkeypatch: pytest.MonkeyPatch):
    products: list[int] = []
    multiply = linear.product
    monkeypatch.setattr(
        linear,
        "product",
        lambda weight, bias, rows: products.append(len(rows)) or multiply(weight, bias, rows),
    )
    packed = patched(random_model("llama"))
    products.clear()
    logits(packed)
    assert len(products) == 4 * 2 + 1, "q k v, o, gate up, down; and the vocabulary"


def test_in_prefill_the_last_layer_is_computed_for_last_tokens_alone(monkeypatch: pytest.MonkeyPatch):
    products: list[int] = []
    multiply = linear.product
    monkeypatch.setattr(
        linear,
        "product",
        lambda weight, bias, rows: products.append(rows.shape[-2]) or multiply(weight, bias, rows),
    )
    packed = patched(random_model("llama"))
    rows = [(5, 9, 200), (17, 31, 8, 40, 41)]
    products.clear()
    with torch.inference_mode():
        PackedRows(packed).prefill([(PrefixNode(), row) for row in rows])
    assert products == [8, 8, 8, 8, 8, 2, 2, 2, 2], "its queries, keys and values are one product"
