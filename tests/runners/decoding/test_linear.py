import pytest
import torch

from runners.decoding import linear
from runners.decoding.linear import lay_out
from runners.models import twin
from tests.runners.decoding.tiny_models import random_model

IDS = torch.tensor([[5, 9, 200, 17]])


@pytest.mark.parametrize("architecture", ["llama", "qwen2", "gemma3"])
@pytest.mark.parametrize("free_bytes", [0, 2**40])
def test_layers_laid_out_compute_the_same_and_the_model_below_stays(architecture: str, free_bytes: int):
    model = random_model(architecture)
    changed = twin(model)
    lay_out(changed, free_bytes)
    with torch.inference_mode():
        expected = model(IDS).logits
        torch.testing.assert_close(changed(IDS).logits, expected, rtol=1e-5, atol=1e-5)
        assert torch.equal(model(IDS).logits, expected)
    assert all("forward" not in vars(module) for module in model.modules())
    assert "forward" in vars(changed.lm_head)


def test_where_memory_is_short_weights_are_not_copied():
    for free_bytes, is_copied in ((0, False), (2**40, True)):
        model = random_model("llama")
        lay_out(model, free_bytes)
        assert (model.lm_head.forward.args[0].is_mkldnn) == is_copied


def test_low_precision_is_laid_out_too():
    model = random_model("llama").to(torch.bfloat16)
    changed = twin(model)
    lay_out(changed, 2**40)
    with torch.inference_mode():
        expected = model(IDS).logits.float()
        assert (changed(IDS).logits.float() - expected).norm() < 0.02 * expected.norm()


def test_layers_that_are_asked_alike_are_one_product_and_keep_nothing_of_it(monkeypatch: pytest.MonkeyPatch):
    products: list[int] = []
    multiply = linear.product
    monkeypatch.setattr(linear, "product", lambda weight, bias, rows: products.append(len(rows)) or multiply(weight, bias, rows))
    model = random_model("llama")
    lay_out(model, 2**40)
    with torch.inference_mode():
        model(IDS)
    assert len(products) == 4 * model.config.num_hidden_layers + 1, "q k v, o, gate up, down; and the vocabulary"
    together = model.model.layers[0].self_attn.q_proj.forward.func.__self__
    assert (together._rows, together._waiting) == (None, {})


def test_a_layer_that_is_asked_by_itself_gives_its_own():
    model = random_model("llama")
    layer = model.model.layers[0].self_attn
    first, second = torch.randn(2, 1, 3, layer.k_proj.in_features)
    expected = [layer.k_proj(first), layer.q_proj(second), layer.q_proj(first)]
    lay_out(model, 2**40)
    with torch.inference_mode():
        for found, wanted in zip([layer.k_proj(first), layer.q_proj(second), layer.q_proj(first)], expected, strict=True):
            torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-5)
