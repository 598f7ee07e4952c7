"""Attention to a token prefix that many rows share: its keys and values are kept once and never copied to the rows.

For a query, the softmax over [prefix keys, own keys] is made of two partial softmaxes. With m the maximum of a part's scores, s the sum of
its exp(score - m) and o its values summed with those weights:

    m   = max(m_prefix, m_own)
    out = (o_prefix * exp(m_prefix - m) + o_own * exp(m_own - m)) / (s_prefix * exp(m_prefix - m) + s_own * exp(m_own - m))

(Hydragen, arXiv 2402.05099). The queries of all rows meet the prefix in one matrix product for each key-value head. The own keys live in an
ordinary DynamicCache that begins after the prefix.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import DynamicCache, PreTrainedModel

IMPLEMENTATION = "shared_prefix"
"""The name under which the attention is registered with transformers."""

_ALTERING = ("softcap", "s_aux", "position_bias", "head_mask")
"""What a model may hand to its attention that changes the scores, and that `_attention` does not compute."""

_MAX_SCORES = 2**26
"""Attention scores held at once in one layer (256 MB in float32); longer prompts are read in slices of queries."""


class NotShareable(Exception):
    """The model's attention does something that attention to a shared prefix does not."""


@dataclass(frozen=True)
class PrefixLayer:
    """One layer's share of the prefix. A sliding window keeps only the last tokens, those that a following token can still see."""

    keys: Tensor
    """(heads_kv, head_dim, tokens)"""
    values: Tensor
    """(heads_kv, tokens, head_dim)"""
    first: int
    """Position of the first kept token."""
    window: int | None
    """A query at position p sees the keys after p - window; None: all of them."""


@dataclass(frozen=True)
class Prefix:
    length: int
    """Tokens that were read, not only those that a window kept."""
    layers: tuple[PrefixLayer, ...]


_IN_USE: ContextVar[tuple[Prefix, Tensor]] = ContextVar("prefix and position_ids of the forward pass under way")


def prefix_support(model: PreTrainedModel) -> str | None:
    """Why rows cannot share a prefix on this model; None when they can.

    Looks at the model's layers, then tries: two rows of different length behind a shared prefix must give the logits that each gives alone.
    """
    import torch
    from transformers import DynamicCache, PreTrainedModel
    from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer

    config = model.config.get_text_config(decoder=True)
    if not model._can_set_attn_implementation():
        return "its attention cannot be exchanged"
    if len({part.config._attn_implementation for part in model.modules() if isinstance(part, PreTrainedModel)}) > 1:
        return "its parts use different attention implementations"
    if kinds := {type(layer).__name__ for layer in DynamicCache(config=model.config).layers} - {
        DynamicLayer.__name__,
        DynamicSlidingWindowLayer.__name__,
    }:
        return f"its cache has layers of kind {', '.join(sorted(kinds))}"
    if "chunked_attention" in (getattr(config, "layer_types", None) or ()):
        return "it attends in chunks"
    if rope := _rope_types(config) & {"dynamic", "longrope"}:
        return f"its rotary positions depend on the length of the whole text ({', '.join(sorted(rope))})"

    shared, rows = [11, 13, 17, 19, 23, 29], [[31, 37, 41, 43], [47, 53]]
    with torch.inference_mode():
        try:
            together = _probe(model, shared, rows)
        except NotShareable as reason:
            return str(reason)
        alone = torch.cat([_probe(model, [], [shared + row]) for row in rows])
        # Rounding stays far below the square root of the precision; a prefix that is not seen, or seen wrongly, is far above.
        error = ((together - alone).norm() / (alone - alone.mean(-1, keepdim=True)).norm()).item()
    tolerance = torch.finfo(model.dtype).eps ** 0.5
    return None if error < tolerance else f"its logits change by {error:.2g} of their spread when a prefix is shared"


def read_prefix(model: PreTrainedModel, token_ids: Sequence[int]) -> Prefix:
    """Read the prefix once, with the model's own attention. Call under `torch.inference_mode()`."""
    import torch
    from transformers import DynamicCache

    cache = DynamicCache(config=model.config)
    model(input_ids=torch.tensor([list(token_ids)], device=model.device), past_key_values=cache, use_cache=True, logits_to_keep=1)
    layers = tuple(
        PrefixLayer(
            keys=layer.keys[0].transpose(-1, -2).contiguous(),
            values=layer.values[0].contiguous(),
            first=len(token_ids) - layer.keys.shape[-2],
            window=layer.sliding_window if layer.is_sliding else None,
        )
        for layer in cache.layers
    )
    return Prefix(len(token_ids), layers)


@contextmanager
def sharing(model: PreTrainedModel, prefix: Prefix | None) -> Generator[None]:
    """Inside, `next_logits` may be called with this prefix; outside, the model attends as it did before."""
    if prefix is None:
        yield
        return
    from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS
    from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

    ALL_ATTENTION_FUNCTIONS.register(IMPLEMENTATION, _attention)
    ALL_MASK_ATTENTION_FUNCTIONS.register(IMPLEMENTATION, _mask)
    before = model.config._attn_implementation
    model.set_attn_implementation(IMPLEMENTATION)
    try:
        yield
    finally:
        model.set_attn_implementation(before)


def next_logits(
    model: PreTrainedModel, prefix: Prefix | None, token_ids: Tensor, mask: Tensor, position_ids: Tensor, cache: DynamicCache
) -> Tensor:
    """Logits (rows, vocabulary) after the last of `token_ids` (rows, steps), whose keys join `cache`.

    `mask` (rows, cached + steps) is 0 on padding; it and `cache` begin after the prefix, `position_ids` (rows, steps) count it.
    """

    def forward() -> Tensor:
        output = model(
            input_ids=token_ids, attention_mask=mask, position_ids=position_ids, past_key_values=cache, use_cache=True, logits_to_keep=1
        )
        return output.logits[:, -1]

    if prefix is None:
        return forward()
    token = _IN_USE.set((prefix, position_ids))
    try:
        return forward()
    finally:
        _IN_USE.reset(token)


def pad_left(rows: Sequence[Sequence[int]], pad_id: int, offset: int, device: Any) -> tuple[Tensor, Tensor, Tensor]:
    """Token ids, mask (0 on padding) and position ids, each (rows, longest). Positions count from `offset` at a row's first own token."""
    import torch

    longest = max(map(len, rows))
    token_ids = torch.tensor([[pad_id] * (longest - len(row)) + list(row) for row in rows], device=device)
    mask = torch.tensor([[0] * (longest - len(row)) + [1] * len(row) for row in rows], device=device)
    return token_ids, mask, offset + (mask.cumsum(-1) - 1).clamp(min=0)


def _attention(
    module: Any, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor, scaling: float | None = None, **kwargs: Any
) -> tuple[Tensor, None]:
    """transformers' attention interface. query (rows, heads, steps, head_dim), key and value (rows, heads_kv, own, head_dim),
    mask True where seen (rows, 1, steps, own); returns (rows, steps, heads, head_dim)."""
    import torch

    if altering := [name for name in _ALTERING if kwargs.get(name) is not None]:
        raise NotShareable(f"its attention uses {', '.join(altering)}")
    prefix, position_ids = _IN_USE.get()
    layer = prefix.layers[module.layer_idx]
    if kwargs.get("sliding_window") != layer.window:
        raise NotShareable("its attention and its cache differ about the sliding window")
    scaling = query.shape[-1] ** -0.5 if scaling is None else scaling
    rows, heads, steps, _ = query.shape
    slice_ = max(1, _MAX_SCORES // (rows * heads * (layer.values.shape[1] + key.shape[2])))
    parts = [
        _attend(layer, query[:, :, at], key, value, attention_mask[:, :, at], position_ids[:, at], scaling)
        for at in (slice(start, start + slice_) for start in range(0, steps, slice_))
    ]
    return torch.cat(parts, dim=2).transpose(1, 2).contiguous(), None


def _attend(layer: PrefixLayer, query: Tensor, key: Tensor, value: Tensor, mask: Tensor, position_ids: Tensor, scaling: float) -> Tensor:
    import torch

    rows, heads, steps, width = query.shape
    heads_kv, group = key.shape[1], heads // key.shape[1]
    # Hidden scores are the lowest finite number: minus infinity would give NaN where a row sees nothing of one part.
    hidden_score = torch.finfo(torch.float32).min
    grouped = (query * scaling).reshape(rows, heads_kv, group * steps, width)

    flat = grouped.transpose(0, 1).reshape(heads_kv, rows * group * steps, width)
    scores = torch.bmm(flat, layer.keys).float()
    if layer.window is not None:
        kept = torch.arange(layer.keys.shape[-1], device=query.device) + layer.first
        hidden = kept <= position_ids[:, :, None] - layer.window  # (rows, steps, kept)
        scores.view(heads_kv, rows, group, steps, -1).masked_fill_(hidden[None, :, None], hidden_score)
    top, total, out = (part.view(heads_kv, rows, group * steps, -1).transpose(0, 1) for part in _partial_softmax(scores, layer.values))

    own_scores = torch.matmul(grouped, key.transpose(-1, -2)).float()
    own_scores.view(rows, heads_kv, group, steps, -1).masked_fill_(~mask[:, :, None], hidden_score)
    own_top, own_total, own_out = _partial_softmax(own_scores, value)

    both = torch.maximum(top, own_top)
    weight, own_weight = (top - both).exp(), (own_top - both).exp()
    merged = (out * weight + own_out * own_weight) / (total * weight + own_total * own_weight)
    return merged.to(query.dtype).reshape(rows, heads, steps, -1)


def _partial_softmax(scores: Tensor, values: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Maximum, sum of exponentials (…, queries, 1) and value sums (…, queries, head_dim), in float32. `scores` is overwritten."""
    import torch

    top = scores.amax(-1, keepdim=True)
    weights = scores.sub_(top).exp_()
    return top, weights.sum(-1, keepdim=True), torch.matmul(weights.to(values.dtype), values).float()


def _mask(*args: Any, **kwargs: Any) -> Tensor:
    """transformers' boolean mask, made even where its own attention would do without one."""
    from transformers.masking_utils import sdpa_mask

    mask = sdpa_mask(*args, **{**kwargs, "allow_is_causal_skip": False})
    if mask is None:
        raise NotShareable("it attends in both directions")
    return mask


def _probe(model: PreTrainedModel, shared: list[int], rows: list[list[int]]) -> Tensor:
    """Logits in float32 after each row: its last token is read by itself, as in decoding."""
    import torch
    from transformers import DynamicCache

    prefix = read_prefix(model, shared) if shared else None
    cache = DynamicCache(config=model.config)
    ids, mask, positions = pad_left(rows, 0, len(shared), model.device)
    with sharing(model, prefix):
        next_logits(model, prefix, ids[:, :-1], mask[:, :-1], positions[:, :-1], cache)
        return next_logits(model, prefix, ids[:, -1:], mask, positions[:, -1:], cache).to(torch.float32)


def _rope_types(config: Any) -> set[str]:
    """The kinds of rotary positions in a model's configuration, which names one for all layers or one for each type of layer."""
    parameters = getattr(config, "rope_parameters", None) or {}
    each = [parameters, *(value for value in parameters.values() if isinstance(value, dict))]
    return {one["rope_type"] for one in each if isinstance(one.get("rope_type"), str)}
