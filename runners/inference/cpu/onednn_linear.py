"""Linear layers on a CPU through oneDNN with prepacked weights.

torch multiplies float32 matrices with MKL, which on some CPUs takes twice as long as oneDNN for the few rows
of a decode step (`benchmarks/`). The operator is the one that torch's compiler uses for frozen weights; it
computes in the same precision.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, TypeGuard

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Linear


def is_plain(module: Any) -> TypeGuard[Linear]:
    """Test whether a module is a linear layer on a CPU, not a subclass, in float32 or, where oneDNN has the
    processor's instructions for it, in bfloat16."""
    import torch

    is_linear = type(module) is torch.nn.Linear and module.weight.device.type == "cpu"
    return is_linear and (
        module.weight.dtype == torch.float32
        or (module.weight.dtype == torch.bfloat16 and multiplies_bfloat16())
    )


def multiplies_bfloat16() -> bool:
    """Test whether oneDNN multiplies bfloat16 on this processor: with AVX2 alone its operators raise."""
    import torch

    return torch.ops.mkldnn._is_mkldnn_bf16_supported()


def fused_linear(layers: Sequence[Linear], copies: bool) -> partial[Tensor]:
    """Fuse layers with the same input into one product from (…, in) to (…, sum of out).

    The weights are a prepacked copy if `copies`, else those of a single layer itself.
    """
    import torch

    weights = [layer.weight.detach() for layer in layers]
    biases: list[Any] = [layer.bias for layer in layers]
    weight = weights[0] if len(weights) == 1 else torch.cat(weights)
    bias = None if biases[0] is None else torch.cat([one.detach() for one in biases])
    return partial(product, torch.ops.mkldnn._reorder_linear_weight(weight, None) if copies else weight, bias)


def product(weight: Tensor, bias: Tensor | None, rows: Tensor) -> Tensor:
    """Multiply rows (…, in) by weights, prepacked or (out, in), to (…, out)."""
    import torch

    return torch.ops.mkldnn._linear_pointwise.default(rows, weight, bias, "none", [], "")
