"""The vocabulary's layer where only the most likely token of each row is asked: screened in bfloat16, then
exact for the few it can be.

A small model of many languages is mostly vocabulary, and so is a decoding step. A processor with instructions
for bfloat16 needs half the time for a screening, whose error has a bound. For a row x and a token's weights
w, rounded to x' and w',

    |x·w - x'·w'| ≤ |x - x'|·|w| + |x'|·|w - w'|        (Cauchy and Schwarz)

and a token that screens further below the largest than twice the bound is not the most likely one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from runners.inference.cpu.onednn_linear import product
from runners.inference.next_token import BLOCK, in_blocks

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Linear
    from transformers import PreTrainedModel

MIN_WEIGHTS = 2**23
"""A smaller layer takes about as long as the choice of the tokens to make exact."""

_MOST_EACH = 128
"""Tokens of a row, on average, that may be made exact; where more are left, as with weights of very unlike
length, the whole product is faster."""

_AT_ONCE = 2**13
"""Tokens whose weights are measured at once."""


def screened_head(model: PreTrainedModel, free_bytes: int) -> ScreenedHead | None:
    """Exchange the vocabulary's layer of a model, or None where that gains nothing: it is small, not in
    float32, or the device has no faster products in bfloat16; or where the rounded copy would take more than
    a quarter of `free_bytes`."""
    import torch

    head = model.get_output_embeddings()
    if type(head) is not torch.nn.Linear or head.bias is not None:
        return None
    weight = head.weight
    is_fast = weight.device.type == "cpu" and torch.cpu.get_capabilities().get("avx512_bf16", False)
    is_worth = (
        weight.dtype == torch.float32
        and weight.numel() >= MIN_WEIGHTS
        and weight.numel() * 2 <= free_bytes / 4
    )
    return ScreenedHead(head) if is_fast and is_worth else None


class ScreenedHead:
    """Takes the place of a layer's product."""

    def __init__(self, head: Linear) -> None:
        import torch

        self.is_on = False
        """Whether logits are asked for the most likely token alone: the others' are then about right."""
        self._weight = head.weight.detach()
        self._exact = head.forward
        rounded = self._weight.bfloat16()
        self._rounded = torch.ops.mkldnn._reorder_linear_weight(rounded, None)
        parts = list(zip(self._weight.split(_AT_ONCE), rounded.split(_AT_ONCE), strict=True))
        self._norm = torch.stack([part.norm(dim=-1).max() for part, _ in parts]).max()
        self._error = torch.stack([(part - low).norm(dim=-1).max() for part, low in parts]).max()
        head.forward = self._logits

    def _logits(self, rows: Tensor) -> Tensor:
        """(…, hidden size) to (…, vocabulary)."""
        return (
            self._screened(rows.flatten(0, -2)).unflatten(0, rows.shape[:-1])
            if self.is_on
            else self._exact(rows)
        )

    def _screened(self, rows: Tensor) -> Tensor:
        import torch

        low = rows.bfloat16()
        logits = product(self._rounded, None, low).float()
        blocks = in_blocks(logits, -torch.inf)
        best = blocks.amax(-1)
        top = best.amax(-1, keepdim=True)
        least = top - 2 * self._bound(rows, low.float(), top)
        row, block = (best >= least).nonzero(as_tuple=True)
        hit, place = (blocks[row, block] >= least[row]).nonzero(as_tuple=True)
        if len(hit) > _MOST_EACH * len(rows):
            return self._exact(rows)
        row, token = row[hit], block[hit] * BLOCK + place
        logits[row, token] = (rows[row] * self._weight[token]).sum(-1)
        return logits

    def _bound(self, rows: Tensor, low: Tensor, top: Tensor) -> Tensor:
        """(rows, 1): how far a logit near `top` can be from the exact one. Each sum in float32 adds an error
        of its own (Higham 2002, Accuracy and Stability of Numerical Algorithms, 3.5), and so does rounding
        the logit, at most half of what is counted here."""
        length = low.norm(dim=-1, keepdim=True)
        rounding = (rows - low).norm(dim=-1, keepdim=True) * self._norm + length * self._error
        return rounding + rows.shape[-1] * 2.0**-23 * length * self._norm + 2.0**-8 * top.abs()
