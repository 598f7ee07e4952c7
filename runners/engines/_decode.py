"""Batched decoding with a causal language model: tokenised prompts in, finished rows out, as they finish.

Rows of similar length form a batch, padded on the left. Padding takes no part in attention, positions, repetition penalty or token counts.
The longest token prefix that all prompts of a call share is read once and attended to by every batch (`_prefix`), where the model can.
In float32, greedy tokens are the same for any batch size, with the shared prefix or without: sums are then added in another order, which
moves a logit in its sixth digit or so, and only a tie that close could fall otherwise. In bfloat16 such ties are common.
"""

from __future__ import annotations

import inspect
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from runners.engines._next_token import Sampling, next_tokens
from runners.engines._prefix import Prefix, next_logits, pad_left, prefix_support, read_prefix, sharing

if TYPE_CHECKING:
    from torch import Generator, Tensor
    from transformers import DynamicCache, PreTrainedModel, PreTrainedTokenizerBase

MIN_SHARED_TOKENS = 16
"""A shorter common prefix is read by each row: sharing it would cost more than it saves."""

_STOP_MARGIN = 4
"""Tokens decoded beyond the length of a stop string: the first ones of a slice may decode differently than within the text."""


@dataclass(frozen=True)
class Request:
    """One prompt, tokenised as a whole."""

    key: str
    token_ids: tuple[int, ...]
    stop_strings: tuple[str, ...] = ()
    seed: int | None = None
    """Needed where the temperature is above 0."""


@dataclass(frozen=True)
class Generated:
    """One finished row."""

    key: str
    token_ids: tuple[int, ...]
    """The new tokens, without EOS, with those of the stop string."""
    raw_text: str
    """All new tokens decoded, special tokens skipped."""
    text: str
    """`raw_text` up to the first stop string, nothing before it touched."""
    finish_reason: Literal["eos", "stop", "length"]
    stop_string: str | None
    """The stop string that cut the text."""
    n_prompt_tokens: int
    """Padding not counted, the shared prefix counted."""
    n_new_tokens: int
    """Length of `token_ids`."""
    n_shared_tokens: int
    """Prompt tokens that were read once for all rows of the call; 0 where nothing was shared."""
    seconds: float
    """The row's share of the wall time: each decoding step divided by the rows in it, plus the shared prefix divided by all rows."""
    batch_size: int
    """Rows in the batch when it began."""


def generate(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    requests: Sequence[Request],
    sampling: Sampling,
    batch_size: int,
    share_prefix: bool = True,
) -> Iterator[Generated]:
    """Continue every request, longest prompts first (so that a batch too large for memory fails at once), in any order of finishing.

    The model is in eval mode. Between rows it is as it was before: the caller may use it. `prefix_support` says whether it can share
    prefixes; where it cannot, rows read their whole prompts. Prompts longer than the model's positions are the caller's to refuse.

    Raises ValueError for a request without tokens, with an empty stop string, or without a seed where tokens are drawn; TypeError for a
    model that keeps no key-value cache; FloatingPointError when logits are NaN.
    """
    if not requests:
        return
    _check(model, requests, sampling)
    n_shared = common_prefix_length([request.token_ids for request in requests]) if share_prefix else 0
    prefix, prefix_seconds = None, 0.0
    if n_shared >= MIN_SHARED_TOKENS and len(requests) > 1 and prefix_support(model) is None:
        prefix, prefix_seconds = _read(model, requests[0].token_ids[:n_shared])
    longest_first = sorted(requests, key=lambda request: len(request.token_ids), reverse=True)
    for start in range(0, len(requests), batch_size):
        batch = _begin(model, tokenizer, longest_first[start : start + batch_size], sampling, prefix, prefix_seconds / len(requests))
        while batch.rows:
            yield from _advance(model, tokenizer, sampling, batch)


def common_prefix_length(rows: Sequence[Sequence[int]]) -> int:
    """Length of the longest prefix that all rows share and that leaves each at least one token of its own."""
    low, high = min(rows), max(rows)  # in lexicographic order, what these two share is shared by all between them
    differs = next((at for at, (a, b) in enumerate(zip(low, high, strict=False)) if a != b), len(low))
    return min(differs, min(map(len, rows)) - 1)


def cut_at_stop(text: str, stop_strings: Sequence[str]) -> tuple[str, str | None]:
    """The text before the first stop string in it and that stop string; of several at one place, the longest."""
    found = [(text.index(stop), -len(stop), stop) for stop in stop_strings if stop in text]
    if not found:
        return text, None
    at, _, stop = min(found)
    return text[:at], stop


def eos_token_ids(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> frozenset[int]:
    """Every token that ends a text: the model's generation settings name one, several or none; the tokenizer may name another."""
    named = model.generation_config.eos_token_id
    ids = list(named) if isinstance(named, (list, tuple)) else [named]
    return frozenset(int(token) for token in [*ids, tokenizer.eos_token_id] if token is not None)


def padding_id(tokenizer: PreTrainedTokenizerBase, eos_ids: frozenset[int]) -> int:
    """The tokenizer's pad token, else its unknown token, else the lowest id: the first of them that does not end a text.

    Padding is masked, so that any id will do; it is never EOS, so that nothing can take a pad for an end.
    """
    named = (tokenizer.pad_token_id, tokenizer.unk_token_id, *range(len(eos_ids) + 1))
    return next(token for token in named if token is not None and token not in eos_ids)


@dataclass
class _Row:
    request: Request
    generator: Generator | None
    seconds: float
    token_ids: list[int] = field(default_factory=list)
    """New tokens, without EOS."""

    def n_tail(self) -> int:
        """How many of the last tokens can hold a stop string that ends in the newest: a token is at least one byte of it."""
        return max(len(stop.encode()) for stop in self.request.stop_strings) + _STOP_MARGIN


@dataclass
class _Batch:
    """The rows still being decoded; every tensor has one line for each of them."""

    rows: list[_Row]
    size: int
    """Rows at the beginning."""
    prefix: Prefix | None
    eos_ids: frozenset[int]
    cache: DynamicCache
    token_ids: Tensor
    """(rows, steps): what the model reads next."""
    mask: Tensor
    """(rows, cached + steps): 0 on padding. Begins after the shared prefix, as the cache does."""
    position_ids: Tensor
    """(rows, steps), from the beginning of the prompt."""
    seen: Tensor | None
    """(rows, vocabulary): tokens of prompt and answer, for the repetition penalty."""


def _check(model: PreTrainedModel, requests: Sequence[Request], sampling: Sampling) -> None:
    for request in requests:
        if not request.token_ids:
            raise ValueError(f"request {request.key} has no tokens: a model without a BOS token cannot continue an empty prompt")
        if "" in request.stop_strings:
            raise ValueError(f"request {request.key} has an empty stop string")
        if sampling.temperature > 0 and request.seed is None:
            raise ValueError(f"request {request.key} has no seed, and temperature {sampling.temperature} draws tokens")
    inner = model.get_base_model() if hasattr(model, "get_base_model") else model  # a PEFT model wraps another
    if "past_key_values" not in inspect.signature(inner.forward).parameters:
        raise TypeError(f"{type(inner).__name__} keeps no key-value cache: it cannot be decoded here")


def _read(model: PreTrainedModel, token_ids: tuple[int, ...]) -> tuple[Prefix, float]:
    import torch

    began = time.perf_counter()
    with torch.inference_mode():
        prefix = read_prefix(model, token_ids)
    return prefix, time.perf_counter() - began


def _begin(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    requests: Sequence[Request],
    sampling: Sampling,
    prefix: Prefix | None,
    prefix_seconds: float,
) -> _Batch:
    import torch
    from transformers import DynamicCache

    eos_ids = eos_token_ids(model, tokenizer)
    n_shared = prefix.length if prefix else 0
    own = [request.token_ids[n_shared:] for request in requests]
    token_ids, mask, position_ids = pad_left(own, padding_id(tokenizer, eos_ids), n_shared, model.device)
    seen = None
    if sampling.repetition_penalty != 1:
        seen = torch.zeros(len(requests), model.config.get_text_config(decoder=True).vocab_size, dtype=torch.bool, device=model.device)
        for row, request in zip(seen, requests, strict=True):
            row[list(request.token_ids)] = True
    rows = [
        _Row(request, torch.Generator().manual_seed(request.seed) if sampling.temperature > 0 else None, prefix_seconds)
        for request in requests
    ]
    cache = DynamicCache(config=model.config)
    return _Batch(rows, len(rows), prefix, eos_ids, cache, token_ids, mask, position_ids, seen)


def _advance(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, sampling: Sampling, batch: _Batch) -> list[Generated]:
    """Decode until a row finishes; take the finished ones out of the batch and return them."""
    import torch

    with torch.inference_mode(), sharing(model, batch.prefix):
        while True:
            began = time.perf_counter()
            logits = next_logits(model, batch.prefix, batch.token_ids, batch.mask, batch.position_ids, batch.cache)
            chosen = next_tokens(logits, batch.seen, sampling, [row.generator for row in batch.rows])
            done: list[Generated] = []
            going: list[int] = []
            ends = [_append(tokenizer, sampling, batch.eos_ids, row, token) for row, token in zip(batch.rows, chosen.tolist(), strict=True)]
            elapsed = (time.perf_counter() - began) / len(batch.rows)
            for at, (row, end) in enumerate(zip(batch.rows, ends, strict=True)):
                row.seconds += elapsed
                if end is None:
                    going.append(at)
                else:
                    done.append(_finish(tokenizer, batch, row, end))
            _step(batch, chosen)
            if done:
                _keep(batch, going)
                return done


def _append(
    tokenizer: PreTrainedTokenizerBase, sampling: Sampling, eos_ids: frozenset[int], row: _Row, token: int
) -> Literal["eos", "stop", "length"] | None:
    """Give the row its next token; why it ends there, or None."""
    if token in eos_ids:
        return "eos"
    row.token_ids.append(token)
    stops = row.request.stop_strings
    # Cheap first: the last tokens only. The whole text decides.
    if (
        stops
        and cut_at_stop(_decode(tokenizer, row.token_ids[-row.n_tail() :]), stops)[1]
        and cut_at_stop(_decode(tokenizer, row.token_ids), stops)[1]
    ):
        return "stop"
    return "length" if len(row.token_ids) == sampling.max_new_tokens else None


def _finish(tokenizer: PreTrainedTokenizerBase, batch: _Batch, row: _Row, end: Literal["eos", "stop", "length"]) -> Generated:
    raw_text = _decode(tokenizer, row.token_ids)
    text, stop = cut_at_stop(raw_text, row.request.stop_strings)
    return Generated(
        key=row.request.key,
        token_ids=tuple(row.token_ids),
        raw_text=raw_text,
        text=text,
        # A stop string with special tokens inside it may be found only here, in the whole text.
        finish_reason="stop" if stop else end,
        stop_string=stop,
        n_prompt_tokens=len(row.request.token_ids),
        n_new_tokens=len(row.token_ids),
        n_shared_tokens=batch.prefix.length if batch.prefix else 0,
        seconds=row.seconds,
        batch_size=batch.size,
    )


def _step(batch: _Batch, chosen: Tensor) -> None:
    """Make the chosen tokens what the model reads next."""
    import torch

    batch.token_ids = chosen[:, None]
    batch.mask = torch.cat([batch.mask, batch.mask.new_ones(len(batch.rows), 1)], dim=1)
    batch.position_ids = batch.position_ids[:, -1:] + 1
    if batch.seen is not None:
        batch.seen.scatter_(1, batch.token_ids, True)


def _keep(batch: _Batch, going: list[int]) -> None:
    """Drop the rows that are not `going`, here and in the cache."""
    import torch

    batch.rows = [batch.rows[at] for at in going]
    if not going:
        return
    lines = torch.tensor(going, device=batch.mask.device)
    batch.cache.reorder_cache(lines)
    batch.token_ids, batch.mask, batch.position_ids = batch.token_ids[lines], batch.mask[lines], batch.position_ids[lines]
    batch.seen = None if batch.seen is None else batch.seen[lines]


def _decode(tokenizer: PreTrainedTokenizerBase, token_ids: Sequence[int]) -> str:
    return tokenizer.decode(token_ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)
