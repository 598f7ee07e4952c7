"""Attention of rows that lie one after another in a single sequence, each behind a prefix whose keys and values it shares with others.

A token sees the prefix of its row and the row's own tokens up to itself. The softmax over both is made of a softmax over each part:

    out = out_a · σ(lse_a − lse_b) + out_b · (1 − σ(lse_a − lse_b))

where lse is the logarithm of a part's sum of exp(score) and σ the logistic function (Hydragen, arXiv 2402.05099). The queries of all rows
that share a prefix meet it in one matrix product for each key-value head, so its keys are read once for all of them and never copied.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from torch import Tensor

IMPLEMENTATION = "shared_prefix"
"""The name under which the attention is registered with transformers."""

_ALTERING = ("softcap", "s_aux", "position_bias", "head_mask")
"""What a model may hand to its attention that changes the scores, and that is not computed here."""

MAX_SCORES = 2**26
"""Attention scores held at once (256 MB in float32); where there are more, queries are taken in slices."""


class NotShareable(Exception):
    """The model's attention does something that attention to a shared prefix does not."""


class Own(Protocol):
    """Where the rows' own keys and values are kept."""

    def write(self, layer: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Take those of the tokens under way, (tokens, heads_kv, head_dim); all of their rows, (rows, heads_kv, columns, head_dim)."""
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
class Layout:
    """How the tokens of one forward pass lie in rows."""

    own: Own
    positions: Tensor
    """(tokens,) from the beginning of the text."""
    columns: Tensor
    """(rows, steps): the place of each row's new tokens among its own; of a row with fewer, its last token again and again."""
    tokens: Tensor | None
    """(rows, steps): which token that is. None where each row has one, in order."""
    row_of: Tensor | None
    """(tokens, 2): row and step of each token. None where each row has one, in order."""
    shared: Sequence[Shared]
    _hidden: dict[int | None, Tensor] = field(default_factory=dict)

    def hidden(self, n_columns: int, window: int | None) -> Tensor:
        """(rows, 1, steps, 1, columns): what of its row a token does not see."""
        import torch

        if window not in self._hidden:
            column = torch.arange(n_columns, device=self.columns.device)
            seen_last = self.columns[:, :, None]
            hidden = column > seen_last
            if window is not None:
                hidden = hidden | (column <= seen_last - window)
            self._hidden[window] = hidden[:, None, :, None, :]
        return self._hidden[window]


IN_USE: ContextVar[Layout] = ContextVar("layout of the forward pass under way")


def attention(
    module: Any, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None, scaling: float | None = None, **kwargs: Any
) -> tuple[Tensor, None]:
    """transformers' attention interface: query (1, heads, tokens, head_dim), key and value (1, heads_kv, tokens, head_dim); returns
    (1, tokens, heads, head_dim). Raises NotShareable where the model asks for something else."""
    if altering := [name for name in _ALTERING if kwargs.get(name) is not None]:
        raise NotShareable(f"its attention uses {', '.join(altering)}")
    layout, window = IN_USE.get(), kwargs.get("sliding_window")
    heads, n_tokens, width = query.shape[1:]
    heads_kv = key.shape[1]
    query = query[0].transpose(0, 1) * (width**-0.5 if scaling is None else scaling)
    query = query.reshape(n_tokens, heads_kv, heads // heads_kv, width)

    keys, values = layout.own.write(module.layer_idx, key[0].transpose(0, 1), value[0].transpose(0, 1))
    out, lse = _own(layout, query, keys, values, window)
    for part in layout.shared:
        at = part.behind
        out_part, lse_part = _behind(
            part,
            module.layer_idx,
            query if at is None else query[at],
            layout.positions if at is None else layout.positions[at],
            window,
        )
        if at is None:
            out, lse = _merge(out, lse, out_part, lse_part)
        else:
            out[at], lse[at] = _merge(out[at], lse[at], out_part, lse_part)
    return out.to(value.dtype).reshape(1, n_tokens, heads, -1), None


def _own(layout: Layout, query: Tensor, keys: Tensor, values: Tensor, window: int | None) -> tuple[Tensor, Tensor]:
    """Attention of tokens (tokens, heads_kv, group, head_dim) to their rows' own."""
    hidden = layout.hidden(keys.shape[2], window)
    rows = query[:, None] if layout.tokens is None else query[layout.tokens]
    rows = rows.transpose(1, 2)  # (rows, heads_kv, steps, group, head_dim)
    out, lse = _partial(rows, keys, values, hidden)
    out, lse = out.transpose(1, 2), lse.transpose(1, 2)
    if layout.row_of is None:
        return out[:, 0], lse[:, 0]
    row, step = layout.row_of.unbind(1)
    return out[row, step], lse[row, step]


def _behind(part: Shared, layer: int, query: Tensor, positions: Tensor, window: int | None) -> tuple[Tensor, Tensor]:
    """Attention of tokens (tokens, heads_kv, group, head_dim) to a stretch of prefix."""
    import torch

    keys, values = part.keys[layer], part.values[layer]
    hidden = None
    if window is not None:
        place = torch.arange(part.start, part.start + keys.shape[1], device=positions.device)
        hidden = (place <= positions[:, None] - window)[None, None, :, None, :]
    out, lse = _partial(query.transpose(0, 1)[None], keys[None], values[None], hidden)
    return out[0].transpose(0, 1), lse[0].transpose(0, 1)


def _partial(query: Tensor, keys: Tensor, values: Tensor, hidden: Tensor | None) -> tuple[Tensor, Tensor]:
    """Softmax attention to a part of what a query sees, and the logarithm of its sum of exponentials, both in float32.

    query (n, heads_kv, steps, group, head_dim), keys and values (n, heads_kv, columns, head_dim), hidden (n, 1, steps, 1, columns) or None;
    out (n, heads_kv, steps, group, head_dim), lse (n, heads_kv, steps, group, 1).
    """
    import torch

    n, heads_kv, steps, group, width = query.shape
    at_once = max(1, MAX_SCORES // (n * heads_kv * group * keys.shape[2]))
    if steps > at_once:
        slices = [slice(start, start + at_once) for start in range(0, steps, at_once)]
        parts = [_partial(query[:, :, at], keys, values, None if hidden is None else hidden[:, :, at]) for at in slices]
        out, lse = zip(*parts, strict=True)
        return torch.cat(out, dim=2), torch.cat(lse, dim=2)
    # torch's fused attention for processors gives the log-sum-exp too; that for GPUs does so for some layouts only
    attend = _fused if query.device.type == "cpu" and width == values.shape[-1] else _products
    if hidden is not None:
        hidden = hidden.expand(-1, -1, -1, group, -1).flatten(2, 3)
    out, lse = attend(query.reshape(n, heads_kv, steps * group, width), keys, values, hidden)
    return out.view(n, heads_kv, steps, group, -1), lse.view(n, heads_kv, steps, group, 1)


# Both take queries (n, heads_kv, queries, head_dim) and hidden (n, 1, queries, columns) or None, and give what is hidden the lowest finite
# number, as minus infinity would give NaN where nothing of this part is seen.


def _fused(query: Tensor, keys: Tensor, values: Tensor, hidden: Tensor | None) -> tuple[Tensor, Tensor]:
    import torch

    mask = None
    if hidden is not None:
        mask = torch.zeros_like(hidden, dtype=query.dtype).masked_fill_(hidden, torch.finfo(query.dtype).min)
    out, lse = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(query, keys, values, attn_mask=mask, scale=1.0)
    return out.float().contiguous(), lse.float()


def _products(query: Tensor, keys: Tensor, values: Tensor, hidden: Tensor | None) -> tuple[Tensor, Tensor]:
    import torch

    scores = torch.matmul(query, keys.transpose(-1, -2)).float()
    if hidden is not None:
        scores.masked_fill_(hidden, torch.finfo(torch.float32).min)
    top = scores.amax(-1, keepdim=True)
    weights = scores.sub_(top).exp_()
    total = weights.sum(-1, keepdim=True)
    return torch.matmul(weights.to(values.dtype), values).float().div_(total), total.log_().add_(top)


def _merge(out: Tensor, lse: Tensor, other: Tensor, lse_other: Tensor) -> tuple[Tensor, Tensor]:
    import torch

    return torch.lerp(out, other, (lse_other - lse).sigmoid_()), torch.logaddexp(lse, lse_other)
