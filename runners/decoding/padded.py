"""The rows of a batch, padded on the left, each reading its whole prompt: for models that cannot be asked otherwise.

Padding takes no part in attention or positions. A batch is as it began until it ends: rows leave it, none join.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from runners.decoding.prefix_tree import Stretch

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel


class PaddedRows:
    """Rows on any causal language model that keeps a key-value cache."""

    refills = False

    def __init__(self, model: PreTrainedModel, pad_id: int) -> None:
        self._model, self._pad_id = model, pad_id

    def add(self, rows: Sequence[tuple[Stretch, Sequence[int]]]) -> Tensor:
        """Logits (rows, vocabulary) after each row's whole text so far; there must be no rows yet."""
        import torch
        from transformers import DynamicCache

        longest = max(len(ids) for _, ids in rows)
        device = self._model.device
        token_ids = torch.tensor([[self._pad_id] * (longest - len(ids)) + list(ids) for _, ids in rows], device=device)
        self._mask = torch.tensor([[0] * (longest - len(ids)) + [1] * len(ids) for _, ids in rows], device=device)
        self._positions = (self._mask.cumsum(-1) - 1).clamp(min=0)
        self._cache = DynamicCache(config=self._model.config)
        return self._forward(token_ids)

    def step(self, token_ids: Sequence[int]) -> Tensor:
        """Logits (rows, vocabulary) after one more token of each row."""
        import torch

        self._mask = torch.cat([self._mask, self._mask.new_ones(len(token_ids), 1)], dim=1)
        self._positions = self._positions[:, -1:] + 1
        return self._forward(torch.tensor(token_ids, device=self._model.device)[:, None])

    def drop(self, rows: set[int]) -> list[int]:
        """Take rows out. Returns which row is now in each place."""
        import torch

        order = [at for at in range(len(self._mask)) if at not in rows]
        lines = torch.tensor(order, dtype=torch.long, device=self._model.device)
        self._mask, self._positions = self._mask[lines], self._positions[lines]
        if order:
            self._cache.reorder_cache(lines)
        return order

    def _forward(self, token_ids: Tensor) -> Tensor:
        output = self._model(
            input_ids=token_ids,
            attention_mask=self._mask,
            position_ids=self._positions,
            past_key_values=self._cache,
            use_cache=True,
            logits_to_keep=1,
        )
        return output.logits[:, -1]
