"""The rows of a batch, one after another in a single sequence: no token of padding is ever computed, and rows
come and go at any step.

Each row stands behind a kept stretch of prefix (`prefix_tree`) and has a line of its own for the keys and
values of its other tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from runners.inference.cpu.screened_lm_head import ScreenedHead
from runners.inference.prefix_attention import IMPLEMENTATION, IN_USE, Layout, Shared, attention
from runners.inference.prefix_cache import PrefixCache, PrefixNode

if TYPE_CHECKING:
    import torch
    from torch import Tensor
    from transformers import PreTrainedModel

MAX_TOKENS = 2048
"""Tokens of new rows read in one pass; a longer row is read by itself."""

_SPARE = 64
"""Columns by which the lines grow when one is full."""


class PackedModel:
    """A model whose attention is exchanged for `shared_attention`: it must be nobody else's."""

    def __init__(
        self, model: PreTrainedModel, max_prefix_bytes: int, head: ScreenedHead | None = None
    ) -> None:
        from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

        # Without a mask function of the same name, transformers makes no mask: what a token sees is the
        # layout's business.
        ALL_ATTENTION_FUNCTIONS.register(IMPLEMENTATION, attention)
        model.set_attn_implementation(IMPLEMENTATION)
        self._model, self._head = model, head
        self.tree = PrefixCache(self.stretch, max_prefix_bytes)

    def run(
        self,
        lines: KVCache,
        first: int,
        behind: Sequence[PrefixNode],
        lengths: Sequence[int],
        token_ids: Sequence[Sequence[int]],
        argmax_only: bool = False,
    ) -> Tensor:
        """Logits (rows, vocabulary) after the last of each row's new tokens; only the largest need be right
        if `argmax_only`.

        The rows lie in `lines` from line `first` on, `behind` a stretch each, with `lengths` tokens of their
        own before the new ones.
        """
        import torch

        if self._head is not None:
            self._head.is_on = argmax_only

        device = self._model.device
        steps = [len(ids) for ids in token_ids]
        layout = _layout(lines, first, behind, lengths, steps, device)
        ids = torch.tensor([[token for row in token_ids for token in row]], device=device)
        last = torch.tensor(steps, device=device).cumsum(0) - 1
        token = IN_USE.set(layout)
        try:
            return self._model(
                input_ids=ids, position_ids=layout.positions[None], use_cache=False, logits_to_keep=last
            ).logits[0]
        finally:
            IN_USE.reset(token)

    def stretch(self, below: PrefixNode, token_ids: tuple[int, ...]) -> PrefixNode:
        """Read tokens that come after a stretch."""
        lines = KVCache(spare=0)
        self.run(lines, 0, [below], [0], [token_ids])
        return PrefixNode(
            token_ids, below, [keys[0] for keys in lines.keys], [values[0] for values in lines.values]
        )


class PackedRows:
    """The rows of one batch."""

    refills = True

    def __init__(self, model: PackedModel, argmax_only: bool = False) -> None:
        self._model, self._argmax_only = model, argmax_only
        self._behind: list[PrefixNode] = []
        self._lengths: list[int] = []
        self._lines = KVCache(_SPARE)

    def add(self, rows: Sequence[tuple[PrefixNode, Sequence[int]]]) -> Tensor:
        """Logits (rows, vocabulary) after each new row: the stretch it stands behind, and its whole text so
        far."""
        import torch

        groups: list[list[tuple[PrefixNode, Sequence[int]]]] = []
        n_tokens = 0
        for below, ids in rows:
            n_tokens += len(ids) - below.end
            if not groups or n_tokens > MAX_TOKENS:
                groups.append([])
                n_tokens = len(ids) - below.end
            groups[-1].append((below, ids))
        return torch.cat([self._add(group) for group in groups])

    def step(self, token_ids: Sequence[int]) -> Tensor:
        """Logits (rows, vocabulary) after one more token of each row."""
        return self._extend(0, [(token,) for token in token_ids])

    def drop(self, rows: set[int]) -> list[int]:
        """Take rows out. Returns which row is now in each place: the last ones fill the holes."""
        order = list(range(len(self._behind)))
        for hole in sorted(rows, reverse=True):
            last = order.pop()
            if hole < len(order):
                order[hole] = last
                self._lines.move(len(order), hole, self._lengths[len(order)])
                self._behind[hole], self._lengths[hole] = self._behind[len(order)], self._lengths[len(order)]
        del self._behind[len(order) :], self._lengths[len(order) :]
        return order

    def _add(self, rows: Sequence[tuple[PrefixNode, Sequence[int]]]) -> Tensor:
        first = len(self._behind)
        self._behind += [below for below, _ in rows]
        self._lengths += [0] * len(rows)
        return self._extend(first, [ids[below.end :] for below, ids in rows])

    def _extend(self, first: int, token_ids: Sequence[Sequence[int]]) -> Tensor:
        logits = self._model.run(
            self._lines, first, self._behind[first:], self._lengths[first:], token_ids, self._argmax_only
        )
        self._lengths[first:] = [
            length + len(ids) for length, ids in zip(self._lengths[first:], token_ids, strict=True)
        ]
        return logits


class KVCache:
    """Keys and values of rows, each layer's in one tensor (lines, heads_kv, columns, head_dim), made when the
    first are written."""

    def __init__(self, spare: int) -> None:
        self.keys: list[Tensor] = []
        self.values: list[Tensor] = []
        self._spare = spare
        self._at: Tensor
        self._flat: dict[tuple[int, int], Tensor] = {}
        self._shape = (0, 0)
        self._used = (slice(0), slice(0))

    def write_at(self, at: Tensor, rows: slice, n_columns: int) -> None:
        """Where the next forward pass writes: `at` (tokens, 2) holds lines and columns, `rows` and
        `n_columns` what is used afterwards."""
        lines, columns = self._shape
        if rows.stop > lines or n_columns > columns:
            self._shape = (max(lines, rows.stop), n_columns + self._spare if n_columns > columns else columns)
            self.keys = [_larger(tensor, *self._shape) for tensor in self.keys]
            self.values = [_larger(tensor, *self._shape) for tensor in self.values]
        self._at, self._used, self._flat = at, (rows, slice(n_columns)), {}

    def write(self, layer: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """See `shared_attention.Own`."""
        rows, columns = self._used
        found: list[Tensor] = []
        for held, new in ((self.keys, keys), (self.values, values)):
            n_tokens, heads_kv, width = new.shape
            while len(held) <= layer:
                held.append(new.new_zeros(*self._shape[:1], heads_kv, self._shape[1], width))
            flat = self._rows_of(heads_kv, new)
            held[layer].view(-1, width).index_copy_(0, flat, new.reshape(n_tokens * heads_kv, width))
            found.append(
                held[layer].view(-1, self._shape[1], width)[
                    rows.start * heads_kv : rows.stop * heads_kv, columns
                ]
            )
        return found[0], found[1]

    def move(self, source: int, target: int, n_columns: int) -> None:
        """Put a line in another's place."""
        for tensor in (*self.keys, *self.values):
            tensor[target, :, :n_columns] = tensor[source, :, :n_columns]

    def _rows_of(self, heads_kv: int, like: Tensor) -> Tensor:
        """Where keys of all tokens and heads lie in a layer's tensor seen as (lines · heads_kv · columns,
        head_dim)."""
        import torch

        key = (heads_kv, self._shape[1])
        if key not in self._flat:
            line, column = self._at.unbind(1)
            head = torch.arange(heads_kv, device=like.device)
            self._flat[key] = ((line[:, None] * heads_kv + head) * self._shape[1] + column[:, None]).flatten()
        return self._flat[key]


def _larger(tensor: Tensor, lines: int, columns: int) -> Tensor:
    grown = tensor.new_zeros(lines, tensor.shape[1], columns, tensor.shape[3])
    grown[: tensor.shape[0], :, : tensor.shape[2]] = tensor
    return grown


def _layout(
    lines: KVCache,
    first: int,
    behind: Sequence[PrefixNode],
    lengths: Sequence[int],
    steps: Sequence[int],
    device: torch.device,
) -> Layout:
    import torch

    row = torch.tensor([at for at, n in enumerate(steps) for _ in range(n)])
    column = torch.tensor(
        [length + step for length, n in zip(lengths, steps, strict=True) for step in range(n)]
    )
    lines.write_at(
        torch.stack([row + first, column], 1).to(device),
        slice(first, first + len(steps)),
        int(column.max()) + 1,
    )
    is_new = not any(lengths)
    assert is_new or set(steps) == {1}, "rows begin together, or go on by a token each"
    position = torch.tensor([below.end for below in behind])[row] + column

    def layout(at: Tensor | slice, is_new: bool, ends: tuple[Tensor, Layout] | None = None) -> Layout:
        return Layout(
            lines,
            position[at].to(device),
            column[at].to(device),
            _shared(behind, row[at], device),
            is_new,
            ends,
        )

    last = torch.tensor(steps).cumsum(0) - 1
    return layout(slice(None), is_new, (last.to(device), layout(last, is_new=False)) if is_new else None)


def _shared(behind: Sequence[PrefixNode], row: Tensor, device: torch.device) -> list[Shared]:
    """The stretches that any row stands behind, each with the tokens that see it."""
    import torch

    rows: dict[PrefixNode, list[int]] = {}
    for at, below in enumerate(behind):
        for stretch in below.chain():
            rows.setdefault(stretch, []).append(at)
    found: list[Shared] = []
    for stretch, seen_by in rows.items():
        tokens = (
            None
            if len(seen_by) == len(behind)
            else torch.isin(row, torch.tensor(seen_by)).nonzero().flatten().to(device)
        )
        found.append(Shared(stretch.start, stretch.keys, stretch.values, tokens))
    return found
