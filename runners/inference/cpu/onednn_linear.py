"""Linear layers on a processor, through oneDNN with weights laid out for it beforehand.

torch multiplies float32 matrices with MKL, which on some processors takes twice as long as oneDNN for the few
rows of a decoding step (`benchmarks/`). The operator is the one that torch's compiler uses for frozen
weights; it computes in the same precision.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Linear


def is_plain(module: Any) -> bool:
    """Whether a module is a linear layer on a processor, and nothing wrapped around one."""
    import torch

    is_linear = type(module) is torch.nn.Linear and module.weight.device.type == "cpu"
    return is_linear and module.weight.dtype in (torch.float32, torch.bfloat16)


def fused_linear(layers: Sequence[Linear], copies: bool) -> partial[Tensor]:
    """The product of rows (…, in) with the weights of these layers, (…, what all give together); with one
    that is laid out if `copies`, else with a single layer's weights as they lie."""
    import torch

    weight = (
        layers[0].weight.detach()
        if len(layers) == 1
        else torch.cat([layer.weight.detach() for layer in layers])
    )
    bias = None if layers[0].bias is None else torch.cat([layer.bias.detach() for layer in layers])
    return partial(product, torch.ops.mkldnn._reorder_linear_weight(weight, None) if copies else weight, bias)


def product(weight: Tensor, bias: Tensor | None, rows: Tensor) -> Tensor:
    """Rows (…, in) times weights, laid out or (out, in) as they lie: (…, out)."""
    import torch

    return torch.ops.mkldnn._linear_pointwise.default(rows, weight, bias, "none", [], "")
