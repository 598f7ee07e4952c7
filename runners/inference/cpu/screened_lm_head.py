"""Screened LM head: logits in bfloat16, recomputed exactly for the tokens that can be the argmax.

A small model of many languages is mostly vocabulary, and so is its decode step. A CPU with bfloat16
instructions needs half the time for logits in bfloat16, whose error has a bound. For a row x and a token's
weights w, rounded to x' and w',

    |x·w - x'·w'| ≤ |x - x'|·|w| + |x'|·|w - w'|        (Cauchy and Schwarz)

and a token whose rounded logit is below the largest by more than twice the bound is not the argmax.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from runners.inference.cpu.onednn_linear import product
from runners.inference.tensors import BLOCK, in_blocks, row_norms

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Linear
    from transformers import PreTrainedModel

MIN_WEIGHTS = 2**23
"""A smaller head takes about as long as choosing the tokens to recompute."""

_MAX_EXACT = 128
"""Tokens of a row, on average, that may be recomputed; where more are left, as with weights of very different
norms, the whole product is faster."""

_CHUNK = 2**13
"""Tokens whose weight norms are computed at once."""


def screened_head(model: PreTrainedModel, free_bytes: int) -> ScreenedHead | None:
    """Screen a model's LM head; None where that gains nothing (it is small, not in float32, or the device is
    no faster in bfloat16) or where the rounded copy would take more than a quarter of `free_bytes`."""
    import torch

    head = cast("Any", model).get_output_embeddings()
    if type(head) is not torch.nn.Linear or cast("Any", head).bias is not None:
        return None
    weight = head.weight
    is_fast = weight.device.type == "cpu" and torch.cpu.get_capabilities().get("avx512_bf16", False)
    pays = (
        weight.dtype == torch.float32
        and weight.numel() >= MIN_WEIGHTS
        and weight.numel() * 2 <= free_bytes / 4
    )
    return ScreenedHead(head) if is_fast and pays else None


class ScreenedHead:
    """Replaces the forward function of a linear layer."""

    def __init__(self, head: Linear) -> None:
        import torch

        self.argmax_only = False
        """Only the largest logit must be exact; the others are then rounded to bfloat16."""
        self._weight = head.weight.detach()
        self._exact = head.forward
        rounded = self._weight.bfloat16()
        self._rounded = torch.ops.mkldnn._reorder_linear_weight(rounded, None)
        chunks = [slice(start, start + _CHUNK) for start in range(0, len(rounded), _CHUNK)]
        self._norm = torch.stack([row_norms(self._weight[at]).max() for at in chunks]).max()
        errors = [row_norms(self._weight[at] - rounded[at]).max() for at in chunks]
        self._error = torch.stack(errors).max()
        patched: Any = head
        patched.forward = self._logits

    def _logits(self, rows: Tensor) -> Tensor:
        """Map (…, hidden size) to (…, vocabulary)."""
        if not self.argmax_only:
            return self._exact(rows)
        logits: Any = self._screened(rows.flatten(0, -2))
        return logits.unflatten(0, rows.shape[:-1])

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
        if len(hit) > _MAX_EXACT * len(rows):
            return self._exact(rows)
        row, token = row[hit], block[hit] * BLOCK + place
        logits[row, token] = (rows[row] * self._weight[token]).sum(-1)
        return logits

    def _bound(self, rows: Tensor, low: Tensor, top: Tensor) -> Tensor:
        """Return (rows, 1), the error bound of a logit near `top`.

        Each sum in float32 adds an error of its own (Higham 2002, Accuracy and Stability of Numerical
        Algorithms, 3.5), and so does rounding the logit, at most half of what is counted here.
        """
        length = row_norms(low)
        rounding = row_norms(rows - low) * self._norm + length * self._error
        return rounding + rows.shape[-1] * 2.0**-23 * length * self._norm + 2.0**-8 * top.abs()
