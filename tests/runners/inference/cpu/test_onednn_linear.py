import pytest
import torch

from runners.inference.cpu.onednn_linear import fused_linear, multiplies_bfloat16

NO_BFLOAT16 = pytest.mark.skipif(not multiplies_bfloat16(), reason="oneDNN has no bfloat16 here")


@pytest.mark.parametrize(
    ("dtype", "tolerance"),
    [(torch.float32, 1e-6), pytest.param(torch.bfloat16, 0.005, marks=NO_BFLOAT16)],
)
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(("sizes", "copies"), [([5], False), ([5], True), ([5, 12, 3], True)])
def test_a_fused_product_is_that_of_each_layer(
    dtype: torch.dtype, tolerance: float, bias: bool, sizes: list[int], copies: bool
):
    torch.manual_seed(0)
    layers = [torch.nn.Linear(64, size, bias=bias, dtype=dtype) for size in sizes]
    rows = torch.randn(1, 7, 64, dtype=dtype)
    with torch.inference_mode():
        expected = torch.cat([layer(rows) for layer in layers], -1).float()
        found = fused_linear(layers, copies)(rows)
    assert found.dtype == dtype
    assert (found.float() - expected).norm() < tolerance * expected.norm()
