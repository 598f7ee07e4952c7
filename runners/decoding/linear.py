"""Linear layers on a processor, through oneDNN with weights laid out for it beforehand.

torch multiplies float32 matrices with MKL, which on some processors takes twice as long as oneDNN for the few rows of a decoding step
(`benchmarks/`). The operator is the one that torch's compiler uses for frozen weights; it computes in the same precision.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel


def lay_out(model: PreTrainedModel, free_bytes: int) -> None:
    """Have the linear layers of a model that lies on a processor multiply that way, for inference alone.

    Laid-out weights are copies: where they would take more than a quarter of `free_bytes`, the model's own are used as they lie, which gains
    about half as much. The modules' weights are not to be changed afterwards.
    """
    import torch

    layers = [module for module in model.modules() if type(module) is torch.nn.Linear and module.weight.device.type == "cpu"]
    layers = [layer for layer in layers if layer.weight.dtype in (torch.float32, torch.bfloat16)]
    if not torch.backends.mkldnn.is_available():
        return
    copies = sum(layer.weight.nbytes for layer in layers) <= free_bytes / 4
    for layer in layers:
        weight = layer.weight.detach()
        laid_out = torch.ops.mkldnn._reorder_linear_weight(weight, None) if copies else weight
        layer.forward = partial(_linear, laid_out, layer.bias)


def _linear(weight: Tensor, bias: Tensor | None, rows: Tensor) -> Tensor:
    import torch

    return torch.ops.mkldnn._linear_pointwise(rows, weight, bias, "none", [], "")
