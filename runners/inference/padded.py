"""Left-padded batches without shared prefixes, for models that packed attention does not fit.

Padding takes no part in attention or positions. Rows may leave a batch while others are decoded; none join.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, cast

from runners.inference.prefix_cache import PrefixNode
from runners.models.load_checks import text_config

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel


class PaddedRows:
    """The rows of one batch, on any causal language model with a KV cache."""

    is_continuous = False
    """Rows may join while others are decoded."""

    def __init__(self, model: PreTrainedModel, pad_id: int) -> None:
        self._model, self._pad_id = model, pad_id
        short = getattr(text_config(model), "original_max_position_embeddings", None)
        self._rope_switch = None if short is None else short + 1

    def prefill(self, rows: Sequence[tuple[PrefixNode, Sequence[int]]]) -> Tensor:
        """Start the batch with each row's whole text so far; return the logits (rows, vocabulary) after
        it."""
        import torch

        longest = max(len(ids) for _, ids in rows)
        device = self._model.device
        token_ids = torch.tensor(
            [[self._pad_id] * (longest - len(ids)) + list(ids) for _, ids in rows], device=device
        )
        mask = [[0] * (longest - len(ids)) + [1] * len(ids) for _, ids in rows]
        self._mask = torch.tensor(mask, device=device)
        self._positions = (self._mask.cumsum(-1) - 1).clamp(min=0)
        self._token_ids, self._cache = token_ids, self._new_cache()
        return self._forward(token_ids)

    def decode(self, token_ids: Sequence[int]) -> Tensor:
        """Return the logits (rows, vocabulary) after one more token of each row."""
        import torch

        new = torch.tensor(token_ids, device=self._model.device)[:, None]
        self._mask = torch.cat([self._mask, torch.ones_like(new)], dim=1)
        self._token_ids = torch.cat([self._token_ids, new], dim=1)
        if self._rope_switches():
            self._cache = self._new_cache()
            self._positions = (self._mask.cumsum(-1) - 1).clamp(min=0)
            return self._forward(self._token_ids)
        self._positions = self._positions[:, -1:] + 1
        return self._forward(new)

    def release(self, rows: set[int]) -> list[int]:
        """Remove rows and return which row is now in each slot."""
        import torch

        order = [at for at in range(len(self._mask)) if at not in rows]
        kept = torch.tensor(order, dtype=torch.long, device=self._model.device)
        self._mask, self._positions = self._mask[kept], self._positions[kept]
        self._token_ids = self._token_ids[kept]
        if order and self._cache is not None:
            self._cache.reorder_cache(kept)
        return order

    def n_cache_bytes(self) -> int:
        """Return the bytes of the rows' cached keys, values and states."""
        parts: list[Any] = [] if self._cache is None else [self._cache, *getattr(self._cache, "layers", ())]
        tensors = {id(tensor): tensor for part in parts for tensor in _tensors(vars(part))}
        return sum(tensor.nbytes for tensor in tensors.values())

    def _new_cache(self) -> Any:
        """Make a cache as transformers' `generate` does; None where the model makes one of its own kind."""
        from transformers import DynamicCache

        model: Any = self._model
        return DynamicCache(config=model.config) if model._supports_default_dynamic_cache() else None

    def _rope_switches(self) -> bool:
        """Test whether the newest token is the first with LongRoPE's factors for long texts.

        Keys cached with the short factors are then computed again, as in transformers' Phi-3
        (`prepare_inputs_for_generation`).
        """
        return self._token_ids.shape[1] == self._rope_switch

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
    """Yield the tensors in nested lists and dicts."""
    import torch

    if isinstance(held, torch.Tensor):
        yield held
    elif isinstance(held, dict):
        yield from _tensors(list(cast("dict[Any, Any]", held).values()))
    elif isinstance(held, list | tuple):
        for value in cast("Sequence[Any]", held):
            yield from _tensors(value)
