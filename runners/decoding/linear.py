"""Linear layers on a processor, through oneDNN with weights laid out for it beforehand.

torch multiplies float32 matrices with MKL, which on some processors takes twice as long as oneDNN for the few rows of a decoding step
(`benchmarks/`). The operator is the one that torch's compiler uses for frozen weights; it computes in the same precision.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Linear
    from transformers import PreTrainedModel

_ASKED_ALIKE = (("q_proj", "k_proj", "v_proj"), ("gate_proj", "up_proj"))
"""Layers that transformers' decoders ask one after another for the same rows: as one product they take a tenth less."""


def lay_out(model: PreTrainedModel, free_bytes: int) -> None:
    """Have the linear layers of a model that lies on a processor multiply that way, for inference alone.

    Laid-out weights are copies: where they would take more than a quarter of `free_bytes`, the model's own are used as they lie, which gains
    about half as much. The modules' weights are not to be changed afterwards.
    """
    import torch

    if not torch.backends.mkldnn.is_available():
        return
    layers = [module for module in model.modules() if _is_plain(module)]
    copies = sum(layer.weight.nbytes for layer in layers) <= free_bytes / 4
    for module in model.modules() if copies else ():
        for names in _ASKED_ALIKE:
            alike = [getattr(module, name, None) for name in names]
            if not all(_is_plain(layer) for layer in alike):
                continue
            if len({(layer.in_features, layer.weight.dtype, layer.bias is None) for layer in alike}) == 1:
                together = _Together(alike)
                for at, layer in enumerate(alike):
                    layer.forward = partial(together.asked, at)
                layers = [layer for layer in layers if layer not in alike]
    for layer in layers:
        layer.forward = _multiplied([layer], copies)


class _Together:
    """Layers that are asked for the same rows: what the first computes for all of them waits until each has taken its own."""

    def __init__(self, layers: Sequence[Linear]) -> None:
        self._sizes = [layer.out_features for layer in layers]
        self._multiply = _multiplied(layers, copies=True)
        self._rows: Tensor | None = None
        self._waiting: dict[int, Tensor] = {}

    def asked(self, at: int, rows: Tensor) -> Tensor:
        """What the layer in this place gives."""
        if rows is not self._rows or at not in self._waiting:
            self._rows, self._waiting = rows, dict(enumerate(self._multiply(rows).split(self._sizes, -1)))
        found = self._waiting.pop(at)
        if not self._waiting:
            self._rows = None
        return found


def _is_plain(module: object) -> bool:
    import torch

    is_linear = type(module) is torch.nn.Linear and module.weight.device.type == "cpu"
    return is_linear and module.weight.dtype in (torch.float32, torch.bfloat16)


def _multiplied(layers: Sequence[Linear], copies: bool) -> partial[Tensor]:
    """The product of rows with the weights of these layers, side by side."""
    import torch

    weight = layers[0].weight.detach() if len(layers) == 1 else torch.cat([layer.weight.detach() for layer in layers])
    bias = None if layers[0].bias is None else torch.cat([layer.bias.detach() for layer in layers])
    return partial(product, torch.ops.mkldnn._reorder_linear_weight(weight, None) if copies else weight, bias)


def product(weight: Tensor, bias: Tensor | None, rows: Tensor) -> Tensor:
    """Rows (…, in) times weights, laid out or (out, in) as they lie: (…, out)."""
    import torch

    return torch.ops.mkldnn._linear_pointwise.default(rows, weight, bias, "none", [], "")
