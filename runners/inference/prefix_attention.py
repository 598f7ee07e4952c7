"""Attention of rows that lie one after another in a single sequence, each behind a prefix whose keys and
values it shares with others.

A token sees the prefix of its row and the row's own tokens up to itself. The queries of all rows that share a
stretch of prefix meet it in one product for each head, so its keys are read once for all of them and never
copied. A stretch's attention comes as its output and its lse, the logarithm of its sum of exp(score)
(Hydragen, arXiv 2402.05099), and in the softmax over a row's own tokens it is one token more:

    weights = softmax([lse_a, lse_b, …, own scores]),    out = weights_a · out_a + weights_b · out_b + … +
    weights_own · own values
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import torch
    from torch import Tensor

IMPLEMENTATION = "shared_prefix"
"""The name under which the attention is registered with transformers."""

_ALTERING = ("softcap", "s_aux", "position_bias", "head_mask")
"""What a model may hand to its attention that changes the scores, and that is not computed here."""

MAX_SCORES = 2**26
"""Attention scores held at once (256 MB in float32) where torch has no fused attention; if there are more,
queries are taken in slices."""

_AT_ONCE = {"cpu": 64, "cuda": 1024}
"""Tokens of new rows that meet their rows' tokens together, by device."""


class NotShareable(Exception):
    """The model's attention does something that attention to a shared prefix does not."""


class Own(Protocol):
    """Where the rows' own keys and values are kept."""

    def write(self, layer: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Take those of the tokens under way, (tokens, heads_kv, head_dim); all of their rows, (rows ·
        heads_kv, columns, head_dim)."""
        ...


@dataclass(frozen=True)
class Shared:
    """A stretch of prefix and the tokens behind it."""

    start: int
    """Its first token's place in the text."""
    keys: Sequence[Tensor]
    """One for each layer: (heads_kv, stretch, head_dim)."""
    values: Sequence[Tensor]
    behind: Tensor | None
    """Indices of the tokens that see it; None: all do."""


@dataclass(frozen=True)
class QueryBlock:
    """Tokens that meet those before them together."""

    asking: slice
    seen: slice
    """All that any of them sees."""
    hidden: Tensor
    """(asking, seen): whom each does not see."""


@dataclass(frozen=True)
class Layout:
    """How the tokens of one forward pass lie in rows."""

    own: Own
    positions: Tensor
    """(tokens,) from the beginning of the text."""
    columns: Tensor
    """(tokens,): the place of each among its row's own."""
    shared: Sequence[Shared]
    is_new: bool
    """Whether all rows begin with this pass; else each goes on by one token."""
    ends: tuple[Tensor, Layout] | None = None
    """Where rows begin: the place of each row's last token among the tokens, and how these tokens alone go on
    behind the others."""
    asked: dict[int, tuple[float, int | None]] = field(default_factory=dict)
    """What transformers' attention of a layer came with: the scale of its scores, and how many tokens back it
    sees (None: all)."""
    _bias: dict[tuple[int, int, int | None], Tensor] = field(default_factory=dict)
    _together: dict[int | None, list[QueryBlock]] = field(default_factory=dict)
    _turns: dict[int, tuple[Tensor, Tensor, Tensor]] = field(default_factory=dict)

    def bias(
        self, heads_kv: int, group: int, n_columns: int, window: int | None, dtype: torch.dtype
    ) -> Tensor:
        """(rows · heads_kv, group, columns), added to scores: minus infinity where a token does not see a
        column of its row, else 0."""
        import torch

        if (heads_kv, group, window) not in self._bias:
            column, last = torch.arange(n_columns, device=self.columns.device), self.columns[:, None]
            hidden = column > last if window is None else (column > last) | (column <= last - window)
            bias = torch.zeros_like(hidden, dtype=dtype).masked_fill_(hidden, -torch.inf)[:, None, None]
            self._bias[heads_kv, group, window] = bias.expand(-1, heads_kv, group, -1).flatten(0, 1)
        return self._bias[heads_kv, group, window]

    def together(self, window: int | None) -> list[QueryBlock]:
        """Who sees whom among the tokens of rows that are all new."""
        if window not in self._together:
            self._together[window] = list(together(self.columns, window))
        return self._together[window]

    def turns(self, cos: Tensor, sin: Tensor) -> tuple[Tensor, Tensor]:
        """Rotary positions (1, tokens, head_dim) as transformers' decoders hand them on: cos and sin (tokens,
        1, head_dim), with which each half of x (tokens, heads, head_dim) is turned by the other as x · cos +
        roll(x, head_dim / 2) · sin."""
        if id(cos) not in self._turns:
            turned = sin[0, :, None].clone()
            turned[..., : turned.shape[-1] // 2].neg_()
            self._turns[id(cos)] = cos, cos[0, :, None], turned
        return self._turns[id(cos)][1:]


IN_USE: ContextVar[Layout] = ContextVar("layout of the forward pass under way")


def attention(
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    **kwargs: Any,
) -> tuple[Tensor, None]:
    """transformers' attention interface: query (1, heads, tokens, head_dim), key and value (1, heads_kv,
    tokens, head_dim); returns (1, tokens, heads, head_dim). Raises NotShareable where the model asks for
    something else."""
    if altering := [name for name in _ALTERING if kwargs.get(name) is not None]:
        raise NotShareable(f"its attention uses {', '.join(altering)}")
    layout = IN_USE.get()
    asked = query.shape[-1] ** -0.5 if scaling is None else scaling, kwargs.get("sliding_window")
    layout.asked[module.layer_idx] = asked
    query, key, value = (each[0].transpose(0, 1) for each in (query, key, value))
    return attend(layout, module.layer_idx, query, key, value, *asked)[None], None


def attend(
    layout: Layout, layer: int, query: Tensor, key: Tensor, value: Tensor, scaling: float, window: int | None
) -> Tensor:
    """query (tokens, heads, head_dim), key and value (tokens, heads_kv, head_dim) of the tokens under way;
    returns (tokens, heads, head_dim)."""
    import torch

    keys, values = layout.own.write(layer, key, value)
    if not layout.is_new:
        return going_on(layout, layer, query, keys, values, scaling, window)
    parts = [_behind(part, layer, query, scaling, layout.positions, window) for part in layout.shared]
    parts.append(
        _new_rows(query, key.transpose(0, 1), value.transpose(0, 1), scaling, layout.together(window))
    )
    out, lse = zip(*parts, strict=True)
    return _sum(out, torch.cat(lse, -1).softmax(-1)).to(value.dtype)


def going_on(
    layout: Layout,
    layer: int,
    query: Tensor,
    keys: Tensor,
    values: Tensor,
    scaling: float,
    window: int | None,
) -> Tensor:
    """Of one token of each row, query (rows, heads, head_dim), to its row's keys and values, (rows ·
    heads_kv, columns, head_dim), as they are written; returns (rows, heads, head_dim)."""
    n_rows, heads, width = query.shape
    heads_kv = len(keys) // n_rows
    parts = [_behind(part, layer, query, scaling, layout.positions, window) for part in layout.shared]
    out, lse = ([part[which].reshape(len(keys), heads // heads_kv, -1) for part in parts] for which in (0, 1))
    bias = layout.bias(heads_kv, heads // heads_kv, keys.shape[1], window, query.dtype)
    found = _with_own(out, lse, query.reshape(len(keys), -1, width), keys, values, scaling, bias)
    return found.view(n_rows, heads, -1).to(values.dtype)


def _with_own(
    out: Sequence[Tensor],
    lse: Sequence[Tensor],
    query: Tensor,
    keys: Tensor,
    values: Tensor,
    scaling: float,
    bias: Tensor,
) -> Tensor:
    """Attention (rows · heads_kv, group, head_dim) of rows to their own and to the parts whose `out` and
    `lse` they come with."""
    import torch

    scores = torch.baddbmm(bias, query, keys.transpose(1, 2), alpha=scaling).float()
    weights = torch.cat([*lse, scores], -1).softmax(-1)
    return _sum(out, weights, torch.bmm(weights[..., len(lse) :].to(values.dtype), values).float())


def _sum(out: Sequence[Tensor], weights: Tensor, total: Tensor | None = None) -> Tensor:
    """What each part gives, times the part's weight."""
    for at, part in enumerate(out):
        weight = weights[..., at : at + 1]
        total = part * weight if total is None else total.addcmul_(part, weight)
    assert total is not None
    return total


# These give what each token sees of a part, (tokens, heads, head_dim), and the logarithm of its sum of
# exponentials, (tokens, heads, 1), both in float32. Queries are (tokens, heads, head_dim), keys and values
# (heads_kv, columns, head_dim).


def _behind(
    part: Shared, layer: int, query: Tensor, scaling: float, positions: Tensor, window: int | None
) -> tuple[Tensor, Tensor]:
    """Of a stretch of prefix; a token that does not stand behind it sees nothing there."""
    import torch

    keys, values, at = part.keys[layer], part.values[layer], part.behind
    hidden = None
    if window is not None:
        place = torch.arange(part.start, part.start + keys.shape[1], device=positions.device)
        hidden = place <= (positions if at is None else positions[at])[:, None] - window
    if at is None:
        return _attend(query, keys, values, scaling, hidden)
    found, lse_found = _attend(query[at], keys, values, scaling, hidden)
    out = found.new_zeros(*query.shape[:2], found.shape[-1])
    lse = torch.full_like(out[..., :1], torch.finfo(torch.float32).min)
    out[at], lse[at] = found, lse_found
    return out, lse


def _new_rows(
    query: Tensor, keys: Tensor, values: Tensor, scaling: float, each: Sequence[QueryBlock]
) -> tuple[Tensor, Tensor]:
    """Of rows that are all new, whose keys and values these are."""
    import torch

    found = [
        _attend(query[some.asking], keys[:, some.seen], values[:, some.seen], scaling, some.hidden)
        for some in each
    ]
    out, lse = zip(*found, strict=True)
    return torch.cat(out), torch.cat(lse)


def together(columns: Tensor, window: int | None) -> Iterator[QueryBlock]:
    """Tokens of new rows, in these columns of them, see those of their row up to themselves. Some at a time
    meet those that any of them sees: asked for causal attention, torch's fused one computes nearly all scores
    of a text of some hundred tokens."""
    import torch

    place, at_once = torch.arange(len(columns), device=columns.device), _AT_ONCE.get(columns.device.type, 64)
    begin = place - columns
    begins = begin.tolist()
    for first in range(0, len(place), at_once):
        asking = slice(first, first + at_once)
        seen = slice(
            begins[first] if window is None else max(begins[first], first - window + 1), first + at_once
        )
        last = place[asking, None]
        hidden = (place[seen] > last) | (place[seen] < begin[asking, None])
        yield QueryBlock(asking, seen, hidden if window is None else hidden | (place[seen] <= last - window))


def _attend(
    query: Tensor, keys: Tensor, values: Tensor, scaling: float, hidden: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Of all columns but the hidden ones (tokens, columns)."""
    return (_fused if _is_fused(query, values) else _products)(query, keys, values, scaling, hidden)


def _is_fused(query: Tensor, values: Tensor) -> bool:
    """torch's fused attention for processors gives the log-sum-exp too; that for GPUs does so for some
    layouts only."""
    return query.device.type == "cpu" and query.shape[-1] == values.shape[-1]


# What is hidden gets the lowest finite number, as minus infinity would give NaN where nothing of a part is
# seen.


def _fused(
    query: Tensor, keys: Tensor, values: Tensor, scaling: float, hidden: Tensor | None
) -> tuple[Tensor, Tensor]:
    import torch

    mask = None
    if hidden is not None:
        mask = torch.zeros_like(hidden, dtype=query.dtype).masked_fill_(hidden, torch.finfo(query.dtype).min)[
            None, None
        ]
    queries = query.transpose(0, 1).unsqueeze(0)
    flash = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu.default
    out, lse = flash(queries, keys.unsqueeze(0), values.unsqueeze(0), attn_mask=mask, scale=scaling)
    return out.squeeze(0).transpose(0, 1).float(), lse.squeeze(0).T.unsqueeze(-1).float()


def _products(
    query: Tensor, keys: Tensor, values: Tensor, scaling: float, hidden: Tensor | None
) -> tuple[Tensor, Tensor]:
    import torch

    at_once = max(1, MAX_SCORES // (query.shape[1] * keys.shape[1]))
    if len(query) > at_once:
        slices = [slice(start, start + at_once) for start in range(0, len(query), at_once)]
        found = [
            _products(query[at], keys, values, scaling, None if hidden is None else hidden[at])
            for at in slices
        ]
        out, lse = zip(*found, strict=True)
        return torch.cat(out), torch.cat(lse)
    query = query.unflatten(1, (len(keys), -1)).permute(1, 2, 0, 3)  # (heads_kv, group, tokens, head_dim)
    scores = torch.matmul(query * scaling, keys[:, None].transpose(-1, -2)).float()
    if hidden is not None:
        scores.masked_fill_(hidden, torch.finfo(torch.float32).min)
    top = scores.amax(-1, keepdim=True)
    weights = scores.sub_(top).exp_()
    total = weights.sum(-1, keepdim=True)
    out, lse = (
        torch.matmul(weights.to(values.dtype), values[:, None]).float().div_(total),
        total.log_().add_(top),
    )
    return out.permute(2, 0, 1, 3).flatten(1, 2), lse.permute(2, 0, 1, 3).flatten(1, 2)
