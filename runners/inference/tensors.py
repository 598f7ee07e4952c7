"""Tensor operations that torch has in no fast, or no typed, form."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from torch import Tensor

BLOCK = 256
"""Tokens of a vocabulary in one block: a reduction over blocks finds the block that is searched."""


def in_blocks(each: Tensor, fill: float) -> Tensor:
    """Reshape (rows, vocabulary) to (rows, blocks, BLOCK), the last block padded with `fill`."""
    import torch

    n_missing = -each.shape[-1] % BLOCK
    padded = torch.nn.functional.pad(each, (0, n_missing), value=fill) if n_missing else each
    return cast("Any", padded).unflatten(-1, (-1, BLOCK))


def row_norms(rows: Tensor) -> Tensor:
    """Return the Euclidean norm of each row (…, width), as (…, 1)."""
    import torch

    return cast("Any", torch.linalg).vector_norm(rows, dim=-1, keepdim=True)


def as_ints(tensor: Tensor) -> list[int]:
    """Return a tensor (n,) of integers as a list."""
    return cast("Any", tensor).tolist()
