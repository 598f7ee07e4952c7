"""The rows of a batch, padded on the left, each reading its whole prompt: for models that cannot be asked
otherwise.

Padding takes no part in attention or positions. A batch is as it began until it ends: rows leave it, none
join.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from runners.inference.prefix_cache import PrefixNode

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel


class PaddedRows:
    """Rows on any causal language model that keeps a key-value cache."""

    refills = False

    def __init__(self, model: PreTrainedModel, pad_id: int) -> None:
        self._model, self._pad_id = model, pad_id
        longest_short = getattr(
            model.config.get_text_config(decoder=True), "original_max_position_embeddings", None
        )
        self._switch = None if longest_short is None else longest_short + 1

    def add(self, rows: Sequence[tuple[PrefixNode, Sequence[int]]]) -> Tensor:
        """Logits (rows, vocabulary) after each row's whole text so far; there must be no rows yet."""
        import torch

        longest = max(len(ids) for _, ids in rows)
        device = self._model.device
        token_ids = torch.tensor(
            [[self._pad_id] * (longest - len(ids)) + list(ids) for _, ids in rows], device=device
        )
        self._mask = torch.tensor(
            [[0] * (longest - len(ids)) + [1] * len(ids) for _, ids in rows], device=device
        )
        self._positions = (self._mask.cumsum(-1) - 1).clamp(min=0)
        self._token_ids, self._cache = token_ids, self._new_cache()
        return self._forward(token_ids)

    def step(self, token_ids: Sequence[int]) -> Tensor:
        """Logits (rows, vocabulary) after one more token of each row."""
        import torch

        new = torch.tensor(token_ids, device=self._model.device)[:, None]
        self._mask = torch.cat([self._mask, torch.ones_like(new)], dim=1)
        self._token_ids = torch.cat([self._token_ids, new], dim=1)
        if self._turns_stale():
            self._cache = self._new_cache()
            self._positions = (self._mask.cumsum(-1) - 1).clamp(min=0)
            return self._forward(self._token_ids)
        self._positions = self._positions[:, -1:] + 1
        return self._forward(new)

    def drop(self, rows: set[int]) -> list[int]:
        """Take rows out. Returns which row is now in each place."""
        import torch

        order = [at for at in range(len(self._mask)) if at not in rows]
        lines = torch.tensor(order, dtype=torch.long, device=self._model.device)
        self._mask, self._positions, self._token_ids = (
            self._mask[lines],
            self._positions[lines],
            self._token_ids[lines],
        )
        if order and self._cache is not None:
            self._cache.reorder_cache(lines)
        return order

    def n_cache_bytes(self) -> int:
        """Bytes of keys, values and states that are kept of the rows."""
        parts = [] if self._cache is None else [self._cache, *getattr(self._cache, "layers", ())]
        tensors = {id(tensor): tensor for part in parts for tensor in _tensors(list(vars(part).values()))}
        return sum(tensor.nbytes for tensor in tensors.values())

    def _new_cache(self) -> Any:
        """As transformers' `generate` has it: None where the model makes one of a kind of its own."""
        from transformers import DynamicCache

        return (
            DynamicCache(config=self._model.config) if self._model._supports_default_dynamic_cache() else None
        )

    def _turns_stale(self) -> bool:
        """Whether rotary positions become those of long texts with the newest token, as LongRoPE's do. Keys
        that were turned by the others are then read again, as in transformers' Phi-3
        (`prepare_inputs_for_generation`)."""
        return self._token_ids.shape[1] == self._switch

    def _forward(self, token_ids: Tensor) -> Tensor:
        output = self._model(
            input_ids=token_ids,
            attention_mask=self._mask,
            position_ids=self._positions,
            past_key_values=self._cache,
            use_cache=True,
            logits_to_keep=1,
        )
        self._cache = self._cache if self._cache is not None else output.past_key_values
        return output.logits[:, -1]


def _tensors(held: Any) -> Iterator[Tensor]:
    """The tensors in lists and dicts of them."""
    import torch

    if isinstance(held, torch.Tensor):
        yield held
    for value in held.values() if isinstance(held, dict) else held if isinstance(held, list | tuple) else ():
        yield from _tensors(value)
