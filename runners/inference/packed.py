"""Packed batches with continuous batching: rows are packed into one sequence, without padding, and join or
leave the batch at any step.

A row attends to its cached prefix (`prefix_cache`) and has a slot of the KV cache for its other tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

from runners.inference.prefix_attention import (
    CURRENT_LAYOUT,
    IMPLEMENTATION,
    Layout,
    SharedPrefix,
    attention_forward,
)
from runners.inference.prefix_cache import PrefixCache, PrefixNode

if TYPE_CHECKING:
    import torch
    from torch import Tensor
    from transformers import PreTrainedModel

MAX_TOKENS = 2048
"""Tokens of new rows in one prefill pass; a longer row has a pass of its own."""

_SPARE_COLUMNS = 64
"""Columns by which the KV cache grows when a row is full."""


class ArgmaxHead(Protocol):
    """LM head that is faster where only each row's largest logit must be exact."""

    argmax_only: bool


class PackedModel:
    """A model with packed attention over shared prefixes; it must be its caller's alone."""

    def __init__(self, model: PreTrainedModel, max_prefix_bytes: int, head: ArgmaxHead | None = None) -> None:
        from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

        # No mask function of the same name is registered, so transformers makes no mask: the layout says
        # which tokens a token attends to.
        registry: Any = ALL_ATTENTION_FUNCTIONS
        registry.register(IMPLEMENTATION, attention_forward)
        self._model: Any = model
        self._model.set_attn_implementation(IMPLEMENTATION)
        self._head = head
        self.prefix_cache = PrefixCache(self.prefill_prefix, max_prefix_bytes)

    def forward(
        self,
        cache: KVCache,
        first: int,
        prefixes: Sequence[PrefixNode],
        lengths: Sequence[int],
        token_ids: Sequence[Sequence[int]],
        argmax_only: bool = False,
    ) -> Tensor:
        """Return the logits (rows, vocabulary) after the last of each row's new tokens; only the largest is
        exact if `argmax_only`.

        The rows have the slots of `cache` from `first` on, a prefix each, and `lengths` own tokens cached.
        """
        import torch

        if self._head is not None:
            self._head.argmax_only = argmax_only

        device = self._model.device
        n_new = [len(ids) for ids in token_ids]
        layout = _layout(cache, first, prefixes, lengths, n_new, device)
        ids = torch.tensor([[token for row in token_ids for token in row]], device=device)
        last = torch.tensor(n_new, device=device).cumsum(0) - 1
        token = CURRENT_LAYOUT.set(layout)
        try:
            return self._model(
                input_ids=ids, position_ids=layout.positions[None], use_cache=False, logits_to_keep=last
            ).logits[0]
        finally:
            CURRENT_LAYOUT.reset(token)

    def prefill_prefix(self, prefix: PrefixNode, token_ids: tuple[int, ...]) -> PrefixNode:
        """Prefill tokens after a prefix and return their node."""
        cache = KVCache(spare_columns=0)
        self.forward(cache, 0, [prefix], [0], [token_ids])
        return PrefixNode(
            token_ids, prefix, [keys[0] for keys in cache.keys], [values[0] for values in cache.values]
        )


class PackedRows:
    """The rows of one batch."""

    is_continuous = True
    """Rows may join while others are decoded."""

    def __init__(self, model: PackedModel, argmax_only: bool = False) -> None:
        self._model, self._argmax_only = model, argmax_only
        self._prefixes: list[PrefixNode] = []
        self._lengths: list[int] = []
        self._cache = KVCache(_SPARE_COLUMNS)

    def prefill(self, rows: Sequence[tuple[PrefixNode, Sequence[int]]]) -> Tensor:
        """Add rows, each with its cached prefix and its whole text so far; return the logits (rows,
        vocabulary) after each."""
        import torch

        passes: list[list[tuple[PrefixNode, Sequence[int]]]] = []
        n_tokens = 0
        for prefix, ids in rows:
            n_tokens += len(ids) - prefix.end
            if not passes or n_tokens > MAX_TOKENS:
                passes.append([])
                n_tokens = len(ids) - prefix.end
            passes[-1].append((prefix, ids))
        return torch.cat([self._prefill(group) for group in passes])

    def decode(self, token_ids: Sequence[int]) -> Tensor:
        """Return the logits (rows, vocabulary) after one more token of each row."""
        return self._forward(0, [(token,) for token in token_ids])

    def release(self, rows: set[int]) -> list[int]:
        """Remove rows and return which row is now in each slot: the last ones fill the holes."""
        order = list(range(len(self._prefixes)))
        for hole in sorted(rows, reverse=True):
            last = order.pop()
            if hole < len(order):
                order[hole] = last
                self._cache.move(len(order), hole, self._lengths[len(order)])
                self._prefixes[hole] = self._prefixes[len(order)]
                self._lengths[hole] = self._lengths[len(order)]
        del self._prefixes[len(order) :], self._lengths[len(order) :]
        return order

    def _prefill(self, rows: Sequence[tuple[PrefixNode, Sequence[int]]]) -> Tensor:
        first = len(self._prefixes)
        self._prefixes += [prefix for prefix, _ in rows]
        self._lengths += [0] * len(rows)
        return self._forward(first, [ids[prefix.end :] for prefix, ids in rows])

    def _forward(self, first: int, token_ids: Sequence[Sequence[int]]) -> Tensor:
        logits = self._model.forward(
            self._cache, first, self._prefixes[first:], self._lengths[first:], token_ids, self._argmax_only
        )
        self._lengths[first:] = [
            length + len(ids) for length, ids in zip(self._lengths[first:], token_ids, strict=True)
        ]
        return logits


class KVCache:
    """Keys and values of rows, each layer's in one tensor (slots, heads_kv, columns, head_dim), allocated
    when the first are written."""

    def __init__(self, spare_columns: int) -> None:
        self.keys: list[Tensor] = []
        self.values: list[Tensor] = []
        self._spare = spare_columns
        self._at: Tensor
        self._flat: dict[tuple[int, int], Tensor] = {}
        self._shape = (0, 0)
        self._used = (slice(0), slice(0))

    def prepare(self, at: Tensor, slots: slice, n_columns: int) -> None:
        """Set where the next forward pass writes, `at` (tokens, 2) with slot and column, and what it attends
        to: the first `n_columns` of `slots`."""
        n_slots, columns = self._shape
        if slots.stop > n_slots or n_columns > columns:
            columns = n_columns + self._spare if n_columns > columns else columns
            self._shape = max(n_slots, slots.stop), columns
            self.keys = [_larger(tensor, *self._shape) for tensor in self.keys]
            self.values = [_larger(tensor, *self._shape) for tensor in self.values]
        self._at, self._used, self._flat = at, (slots, slice(n_columns)), {}

    def update(self, layer: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """See `prefix_attention.RowCache`."""
        slots, columns = self._used
        found: list[Tensor] = []
        for held, new in ((self.keys, keys), (self.values, values)):
            n_tokens, heads_kv, width = new.shape
            while len(held) <= layer:
                held.append(new.new_zeros(*self._shape[:1], heads_kv, self._shape[1], width))
            flat = self._flat_indices(heads_kv, new)
            held[layer].view(-1, width).index_copy_(0, flat, new.reshape(n_tokens * heads_kv, width))
            by_head = held[layer].view(-1, self._shape[1], width)
            found.append(by_head[slots.start * heads_kv : slots.stop * heads_kv, columns])
        return found[0], found[1]

    def move(self, source: int, target: int, n_columns: int) -> None:
        """Copy the first columns of a slot to another slot."""
        for tensor in (*self.keys, *self.values):
            tensor[target, :, :n_columns] = tensor[source, :, :n_columns]

    def _flat_indices(self, heads_kv: int, like: Tensor) -> Tensor:
        """Return the indices of all new tokens and heads in a layer's tensor seen as (slots · heads_kv ·
        columns, head_dim)."""
        import torch

        key = (heads_kv, self._shape[1])
        if key not in self._flat:
            slot, column = self._at.unbind(1)
            head = torch.arange(heads_kv, device=like.device)
            self._flat[key] = ((slot[:, None] * heads_kv + head) * self._shape[1] + column[:, None]).flatten()
        return self._flat[key]


def _larger(tensor: Tensor, slots: int, columns: int) -> Tensor:
    grown = tensor.new_zeros(slots, tensor.shape[1], columns, tensor.shape[3])
    grown[: tensor.shape[0], :, : tensor.shape[2]] = tensor
    return grown


def _layout(
    cache: KVCache,
    first: int,
    prefixes: Sequence[PrefixNode],
    lengths: Sequence[int],
    n_new: Sequence[int],
    device: torch.device,
) -> Layout:
    import torch

    row = torch.tensor([at for at, n in enumerate(n_new) for _ in range(n)])
    column = torch.tensor(
        [length + step for length, n in zip(lengths, n_new, strict=True) for step in range(n)]
    )
    cache.prepare(
        torch.stack([row + first, column], 1).to(device),
        slice(first, first + len(n_new)),
        int(column.max()) + 1,
    )
    is_prefill = not any(lengths)
    assert is_prefill or set(n_new) == {1}, "a pass prefills all its rows, or decodes one token of each"
    position = torch.tensor([prefix.end for prefix in prefixes])[row] + column

    def layout(
        at: Tensor | slice, is_prefill: bool, last_tokens: tuple[Tensor, Layout] | None = None
    ) -> Layout:
        return Layout(
            cache,
            position[at].to(device),
            column[at].to(device),
            _shared_prefixes(prefixes, row[at], device),
            is_prefill,
            last_tokens,
        )

    if not is_prefill:
        return layout(slice(None), is_prefill=False)
    last = torch.tensor(n_new).cumsum(0) - 1
    return layout(slice(None), True, (last.to(device), layout(last, is_prefill=False)))


def _shared_prefixes(prefixes: Sequence[PrefixNode], row: Tensor, device: torch.device) -> list[SharedPrefix]:
    """Return the nodes of any row's prefix, each with the tokens that attend to it; `row` (tokens,)."""
    import torch

    rows: dict[PrefixNode, list[int]] = {}
    for at, prefix in enumerate(prefixes):
        for node in prefix.path():
            rows.setdefault(node, []).append(at)
    found: list[SharedPrefix] = []
    for node, its_rows in rows.items():
        queries = None
        if len(its_rows) < len(prefixes):
            queries = torch.isin(row, torch.tensor(its_rows)).nonzero().flatten().to(device)
        found.append(SharedPrefix(node.start, node.keys, node.values, queries))
    return found
