"""Choosing the next token of every row of a batch from its logits: greedily, or by a draw that belongs to the row alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Generator, Tensor


@dataclass(frozen=True)
class Sampling:
    """How tokens are chosen. The fields mean what they mean in transformers' `GenerationConfig`."""

    max_new_tokens: int
    temperature: float = 0.0
    """0 is greedy; nothing below it applies then, except the repetition penalty."""
    top_p: float = 1.0
    top_k: int = 0
    """0 keeps all tokens."""
    repetition_penalty: float = 1.0
    """Over the tokens of the prompt and of the answer (Keskar et al. 2019, arXiv 1909.05858); 1 is none."""


def next_tokens(logits: Tensor, seen: Tensor | None, sampling: Sampling, generators: Sequence[Generator | None]) -> Tensor:
    """The next token (rows,) from logits (rows, vocabulary).

    `seen` (rows, vocabulary) marks each row's tokens so far; None without a repetition penalty. A sampled row takes exactly one number from
    its generator, so that its draw depends on its seed and its own logits, never on the rows beside it. Order as in transformers: penalty,
    temperature, top-k, top-p. Raises FloatingPointError when logits are not numbers.
    """
    import torch
    from transformers import TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper

    scores = logits.float()
    if scores.isnan().any():
        raise FloatingPointError("the model's logits are not numbers (NaN); a precision with a wider range may help")
    if seen is not None:
        scores = penalise(scores, seen, sampling.repetition_penalty)
    if sampling.temperature == 0:
        return scores.argmax(-1)

    warpers = [TemperatureLogitsWarper(float(sampling.temperature))]
    if sampling.top_k > 0:
        warpers.append(TopKLogitsWarper(sampling.top_k))
    if sampling.top_p < 1:
        warpers.append(TopPLogitsWarper(sampling.top_p))
    for warp in warpers:
        scores = warp(None, scores)
    # Inverse of the cumulative distribution, in float64: 32-bit sums over a large vocabulary would move its borders.
    cumulative = scores.double().softmax(-1).cumsum(-1)
    draws = torch.stack([torch.rand(1, generator=generator) for generator in generators]).to(cumulative)
    return torch.searchsorted(cumulative, draws * cumulative[:, -1:], right=True).squeeze(-1)


def penalise(scores: Tensor, seen: Tensor, penalty: float) -> Tensor:
    """Scores with those of seen tokens divided by the penalty where positive and multiplied where negative."""
    return scores.where(~seen, (scores * penalty).where(scores < 0, scores / penalty))
