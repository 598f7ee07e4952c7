"""Packed (varlen) attention over a shared-prefix KV cache; partial results are merged by log-sum-exp.

The rows of a batch are packed into one sequence. A token attends to the cached prefix of its row and to the
row's own tokens up to itself. The queries of all rows with a common prefix node attend to it in one matrix
product for each head, so its keys are read once for all of them and never copied. Attention to a node gives
its output and its lse, the logarithm of its sum of exp(score) (Hydragen, arXiv 2402.05099), and in the
softmax over a row's own tokens it counts as one token more:

    weights = softmax([lse_a, lse_b, …, own scores])
    out     = weights_a · out_a + weights_b · out_b + … + weights_own · own values
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, cast

from runners.inference.tensors import as_ints

if TYPE_CHECKING:
    import torch
    from torch import Tensor

IMPLEMENTATION = "shared_prefix"
"""The name under which the attention is registered with transformers."""

_UNSUPPORTED = ("softcap", "s_aux", "position_bias", "head_mask")
"""Arguments of a model's attention that change the scores and are not implemented here."""

MAX_SCORES = 2**26
"""Attention scores held in memory (256 MB in float32) where torch has no fused attention; more queries are
computed in slices."""

_BLOCK_TOKENS = {"cpu": 64, "cuda": 1024}
"""Queries of one block in prefill, by device."""


class UnsupportedAttention(Exception):
    """The model's attention does something that is not implemented here."""


class RowCache(Protocol):
    """KV cache of the rows' own tokens."""

    def update(self, layer: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Write the new tokens' keys and values, (tokens, heads_kv, head_dim), and return those of all tokens
        of their rows, (rows · heads_kv, columns, head_dim)."""
        ...


@dataclass(frozen=True)
class SharedPrefix:
    """A prefix node and the tokens that attend to it."""

    start: int
    """Position of its first token in the text."""
    keys: Sequence[Tensor]
    """One for each layer: (heads_kv, tokens, head_dim)."""
    values: Sequence[Tensor]
    queries: Tensor | None
    """Indices of the tokens that attend to it; None: all do."""


@dataclass(frozen=True)
class QueryBlock:
    """A block of queries and the range of keys that any of them attends to."""

    queries: slice
    keys: slice
    hidden: Tensor
    """(queries, keys): True where a query does not attend to a key."""


@dataclass(frozen=True)
class Layout:
    """Attention metadata of one forward pass: how its tokens are packed into rows."""

    cache: RowCache
    positions: Tensor
    """(tokens,) from the beginning of the text."""
    columns: Tensor
    """(tokens,): the index of each among its row's own tokens."""
    prefixes: Sequence[SharedPrefix]
    is_prefill: bool
    """All rows begin with this pass; else each decodes one token."""
    last_tokens: tuple[Tensor, Layout] | None = None
    """In prefill: the index of each row's last token among the tokens, and the layout in which these alone
    attend to all others."""
    attention_args: dict[int, tuple[float, int | None]] = field(
        default_factory=dict[int, tuple[float, int | None]]
    )
    """Arguments of each layer, as transformers passed them: the scale of the scores, and the tokens of its
    sliding window (None: all)."""
    _bias: dict[tuple[int, int, int | None], Tensor] = field(
        default_factory=dict[tuple[int, int, int | None], "Tensor"]
    )
    _query_blocks: dict[int | None, list[QueryBlock]] = field(
        default_factory=dict[int | None, list[QueryBlock]]
    )
    _rotary: dict[int, tuple[Tensor, Tensor, Tensor]] = field(
        default_factory=dict[int, tuple["Tensor", "Tensor", "Tensor"]]
    )

    def bias(
        self, heads_kv: int, group: int, n_columns: int, window: int | None, dtype: torch.dtype
    ) -> Tensor:
        """Return (rows · heads_kv, group, columns) to add to scores: minus infinity where a token does not
        attend to a column of its row, else 0."""
        import torch

        if (heads_kv, group, window) not in self._bias:
            column, last = torch.arange(n_columns, device=self.columns.device), self.columns[:, None]
            hidden = column > last if window is None else (column > last) | (column <= last - window)
            bias = torch.zeros_like(hidden, dtype=dtype).masked_fill_(hidden, -torch.inf)[:, None, None]
            self._bias[heads_kv, group, window] = bias.expand(-1, heads_kv, group, -1).flatten(0, 1)
        return self._bias[heads_kv, group, window]

    def query_blocks(self, window: int | None) -> list[QueryBlock]:
        """Return the blocks of a prefill's queries."""
        if window not in self._query_blocks:
            self._query_blocks[window] = list(query_blocks(self.columns, window))
        return self._query_blocks[window]

    def rotary(self, cos: Tensor, sin: Tensor) -> tuple[Tensor, Tensor]:
        """Return cos and sin (tokens, 1, head_dim) of transformers' rotary embeddings (1, tokens, head_dim),
        signed so that x (tokens, heads, head_dim) becomes x · cos + roll(x, head_dim / 2) · sin."""
        if id(cos) not in self._rotary:
            signed = sin[0, :, None].clone()
            signed[..., : signed.shape[-1] // 2].neg_()
            self._rotary[id(cos)] = cos, cos[0, :, None], signed
        return self._rotary[id(cos)][1:]


CURRENT_LAYOUT: ContextVar[Layout] = ContextVar("layout of the current forward pass")


def attention_forward(
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    **kwargs: Any,
) -> tuple[Tensor, None]:
    """Implement transformers' attention interface.

    `query` (1, heads, tokens, head_dim), `key` and `value` (1, heads_kv, tokens, head_dim); returns (1,
    tokens, heads, head_dim). Raises UnsupportedAttention for arguments that change the scores in another way.
    """
    if unsupported := [name for name in _UNSUPPORTED if kwargs.get(name) is not None]:
        raise UnsupportedAttention(f"its attention uses {', '.join(unsupported)}")
    layout = CURRENT_LAYOUT.get()
    args = query.shape[-1] ** -0.5 if scaling is None else scaling, kwargs.get("sliding_window")
    layout.attention_args[module.layer_idx] = args
    query, key, value = (each[0].transpose(0, 1) for each in (query, key, value))
    return packed_attention(layout, module.layer_idx, query, key, value, *args)[None], None


def packed_attention(
    layout: Layout, layer: int, query: Tensor, key: Tensor, value: Tensor, scaling: float, window: int | None
) -> Tensor:
    """Return the attention (tokens, heads, head_dim) of new tokens, whose keys and values are cached.

    `query` (tokens, heads, head_dim), `key` and `value` (tokens, heads_kv, head_dim).
    """
    import torch

    keys, values = layout.cache.update(layer, key, value)
    if not layout.is_prefill:
        return decode_attention(layout, layer, query, keys, values, scaling, window)
    parts = [
        _prefix_attention(prefix, layer, query, scaling, layout.positions, window)
        for prefix in layout.prefixes
    ]
    blocks = layout.query_blocks(window)
    parts.append(_prefill_attention(query, key.transpose(0, 1), value.transpose(0, 1), scaling, blocks))
    out, lse = zip(*parts, strict=True)
    return _weighted_sum(out, torch.cat(lse, -1).softmax(-1)).to(value.dtype)


def decode_attention(
    layout: Layout,
    layer: int,
    query: Tensor,
    keys: Tensor,
    values: Tensor,
    scaling: float,
    window: int | None,
) -> Tensor:
    """Return the attention (rows, heads, head_dim) of one token of each row to its prefix and its row.

    `query` (rows, heads, head_dim), `keys` and `values` (rows · heads_kv, columns, head_dim) as cached.
    """
    n_rows, heads, width = query.shape
    heads_kv = len(keys) // n_rows
    parts = [
        _prefix_attention(prefix, layer, query, scaling, layout.positions, window)
        for prefix in layout.prefixes
    ]
    out, lse = ([part[which].reshape(len(keys), heads // heads_kv, -1) for part in parts] for which in (0, 1))
    bias = layout.bias(heads_kv, heads // heads_kv, keys.shape[1], window, query.dtype)
    found = _merged_with_own(out, lse, query.reshape(len(keys), -1, width), keys, values, scaling, bias)
    return found.view(n_rows, heads, -1).to(values.dtype)


def _merged_with_own(
    out: Sequence[Tensor],
    lse: Sequence[Tensor],
    query: Tensor,
    keys: Tensor,
    values: Tensor,
    scaling: float,
    bias: Tensor,
) -> Tensor:
    """Return the attention (rows · heads_kv, group, head_dim) of rows to their own tokens, merged with
    partial results `out` and their `lse`."""
    import torch

    scores = torch.baddbmm(bias, query, keys.transpose(1, 2), alpha=scaling).float()
    weights = torch.cat([*lse, scores], -1).softmax(-1)
    own = torch.bmm(weights[..., len(lse) :].to(values.dtype), values).float()
    return _weighted_sum(out, weights, own)


def _weighted_sum(out: Sequence[Tensor], weights: Tensor, total: Tensor | None = None) -> Tensor:
    """Add each partial result times its weight to `total`."""
    for at, part in enumerate(out):
        weight = weights[..., at : at + 1]
        total = part * weight if total is None else total.addcmul_(part, weight)
    assert total is not None
    return total


# The functions below return a partial result: the attention output (tokens, heads, head_dim) and its
# log-sum-exp # (tokens, heads, 1), both in float32. Queries are (tokens, heads, head_dim), keys and values
# (heads_kv, columns, # head_dim).


def _prefix_attention(
    prefix: SharedPrefix, layer: int, query: Tensor, scaling: float, positions: Tensor, window: int | None
) -> tuple[Tensor, Tensor]:
    """Attend to a prefix node; tokens of rows without it get the lowest finite log-sum-exp."""
    import torch

    keys, values, at = prefix.keys[layer], prefix.values[layer], prefix.queries
    hidden = None
    if window is not None:
        position = torch.arange(prefix.start, prefix.start + keys.shape[1], device=positions.device)
        hidden = position <= (positions if at is None else positions[at])[:, None] - window
    if at is None:
        return _attention(query, keys, values, scaling, hidden)
    found, lse_found = _attention(query[at], keys, values, scaling, hidden)
    out = found.new_zeros(*query.shape[:2], found.shape[-1])
    lse = torch.full_like(out[..., :1], torch.finfo(torch.float32).min)
    out[at], lse[at] = found, lse_found
    return out, lse


def _prefill_attention(
    query: Tensor, keys: Tensor, values: Tensor, scaling: float, blocks: Sequence[QueryBlock]
) -> tuple[Tensor, Tensor]:
    """Attend to the new rows' own tokens, causally within each row."""
    import torch

    found = [
        _attention(query[one.queries], keys[:, one.keys], values[:, one.keys], scaling, one.hidden)
        for one in blocks
    ]
    out, lse = zip(*found, strict=True)
    return torch.cat(out), torch.cat(lse)


def query_blocks(columns: Tensor, window: int | None) -> Iterator[QueryBlock]:
    """Split the packed tokens of new rows into blocks, each with the keys that its causal mask allows.

    Asked for causal attention, torch's fused kernel computes nearly all scores of a text of some hundred
    tokens; small blocks leave most of them out.
    """
    import torch

    index, size = (
        torch.arange(len(columns), device=columns.device),
        _BLOCK_TOKENS.get(columns.device.type, 64),
    )
    row_start = index - columns
    row_starts = as_ints(row_start)
    for first in range(0, len(index), size):
        queries = slice(first, first + size)
        start = row_starts[first] if window is None else max(row_starts[first], first - window + 1)
        keys = slice(start, first + size)
        last = index[queries, None]
        hidden = (index[keys] > last) | (index[keys] < row_start[queries, None])
        yield QueryBlock(queries, keys, hidden if window is None else hidden | (index[keys] <= last - window))


def _attention(
    query: Tensor, keys: Tensor, values: Tensor, scaling: float, hidden: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Attend to all columns but the hidden ones (tokens, columns)."""
    return (_fused if _is_fused(query, values) else _unfused)(query, keys, values, scaling, hidden)


def _is_fused(query: Tensor, values: Tensor) -> bool:
    """torch's fused attention returns the log-sum-exp on a CPU; on a GPU only for some layouts."""
    return query.device.type == "cpu" and query.shape[-1] == values.shape[-1]


# Hidden scores are the lowest finite number: minus infinity would give NaN where a token attends to nothing.


def _fused(
    query: Tensor, keys: Tensor, values: Tensor, scaling: float, hidden: Tensor | None
) -> tuple[Tensor, Tensor]:
    import torch

    mask = None
    if hidden is not None:
        lowest = torch.finfo(query.dtype).min
        mask = torch.zeros_like(hidden, dtype=query.dtype).masked_fill_(hidden, lowest)[None, None]
    queries = query.transpose(0, 1).unsqueeze(0)
    flash = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu.default
    out, lse = flash(queries, keys.unsqueeze(0), values.unsqueeze(0), attn_mask=mask, scale=scaling)
    return out.squeeze(0).transpose(0, 1).float(), lse.squeeze(0).T.unsqueeze(-1).float()


def _unfused(
    query: Tensor, keys: Tensor, values: Tensor, scaling: float, hidden: Tensor | None
) -> tuple[Tensor, Tensor]:
    import torch

    at_once = max(1, MAX_SCORES // (query.shape[1] * keys.shape[1]))
    if len(query) > at_once:
        slices = [slice(start, start + at_once) for start in range(0, len(query), at_once)]
        found = [
            _unfused(query[at], keys, values, scaling, None if hidden is None else hidden[at])
            for at in slices
        ]
        out, lse = zip(*found, strict=True)
        return torch.cat(out), torch.cat(lse)
    grouped = cast("Any", query).unflatten(1, (len(keys), -1))
    grouped = grouped.permute(1, 2, 0, 3)  # (heads_kv, group, tokens, head_dim)
    scores = torch.matmul(grouped * scaling, keys[:, None].transpose(-1, -2)).float()
    if hidden is not None:
        scores.masked_fill_(hidden, torch.finfo(torch.float32).min)
    top = scores.amax(-1, keepdim=True)
    weights = scores.sub_(top).exp_()
    total = weights.sum(-1, keepdim=True)
    out = torch.matmul(weights.to(values.dtype), values[:, None]).float().div_(total)
    lse = total.log_().add_(top)
    return out.permute(2, 0, 1, 3).flatten(1, 2), lse.permute(2, 0, 1, 3).flatten(1, 2)
