"""Choosing the next token of every row of a batch from its logits: greedily, or by a draw that belongs to the
row alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Generator, Tensor

BLOCK = 256
"""Tokens of a vocabulary that are looked at together first: for the largest score, or for what a draw passes
over."""


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
    penalize_prompt: bool = True
    """Whether the penalty counts the prompt's tokens; else the answer's alone."""

    @property
    def is_plain_greedy(self) -> bool:
        """Whether the next token is the one with the largest logit."""
        return self.temperature == 0 and self.repetition_penalty == 1


def next_tokens(
    logits: Tensor, seen: Tensor | None, sampling: Sampling, generators: Sequence[Generator | None]
) -> Tensor:
    """The next token (rows,) from logits (rows, vocabulary).

    `seen` (rows, vocabulary) marks each row's tokens so far; None without a repetition penalty. A sampled row
    takes exactly one number from its generator, so that its draw depends on its seed and its own logits,
    never on the rows beside it. Order as in transformers: penalty, temperature, top-k, top-p. Raises
    FloatingPointError when logits are not numbers.
    """
    scores = logits.float()
    if scores.amax(-1).isnan().any():  # the largest of numbers among which one is NaN is NaN
        raise FloatingPointError(
            "the model's logits are not numbers (NaN); a precision with a wider range may help"
        )
    if seen is not None:
        scores = penalise(scores, seen, sampling.repetition_penalty)
    if sampling.temperature == 0:
        return _most_likely(scores)
    scores = scores / sampling.temperature
    if sampling.top_k > 0:
        least = scores.topk(min(sampling.top_k, scores.shape[-1])).values[:, -1:]
        scores = scores.masked_fill_(scores < least, -float("inf"))
    probabilities = scores.softmax(-1)
    if sampling.top_p < 1:
        probabilities = probabilities.masked_fill_(
            probabilities < _least_likely(probabilities, sampling.top_p), 0
        )
    return _drawn(probabilities, generators)


def _most_likely(scores: Tensor) -> Tensor:
    """The token (rows,) with the largest score of each row, the first where several have it.

    First over blocks of tokens, as torch finds a largest number ten times faster than its place.
    """
    import torch

    blocks = in_blocks(scores, -torch.inf)
    block = blocks.amax(-1).argmax(-1)
    return block * BLOCK + blocks[torch.arange(len(blocks), device=blocks.device), block].argmax(-1)


def in_blocks(each: Tensor, fill: float) -> Tensor:
    """(rows, vocabulary) as (rows, blocks, tokens), the last block filled up."""
    import torch

    lacks = -each.shape[-1] % BLOCK
    return (torch.nn.functional.pad(each, (0, lacks), value=fill) if lacks else each).unflatten(
        -1, (-1, BLOCK)
    )


def _least_likely(probabilities: Tensor, top_p: float) -> Tensor:
    """(rows, 1): the smallest probability among the most likely tokens, as few as hold `top_p` together."""
    import torch

    # Sorting a large vocabulary takes longer than the model. Tokens below this floor hold less than 1 - top_p
    # together, so none of them is kept.
    floor = (1 - top_p) / 2 / probabilities.shape[-1]
    row, token = (probabilities > floor).nonzero(as_tuple=True)
    n_likely = torch.bincount(row, minlength=len(probabilities))
    place = torch.arange(len(row), device=row.device) - (n_likely.cumsum(0) - n_likely)[row]
    falling = probabilities.new_zeros(len(probabilities), int(n_likely.max()))
    falling[row, place] = probabilities[row, token]
    falling = falling.sort(-1, descending=True).values
    n_kept = (falling.cumsum(-1) - falling < top_p).sum(-1, keepdim=True)
    return falling.gather(-1, n_kept - 1)


def _drawn(probabilities: Tensor, generators: Sequence[Generator | None]) -> Tensor:
    """A token (rows,) of each row: the first at which the cumulative distribution passes a number drawn by
    the row's generator.

    Sums are in float64, as 32-bit ones over a large vocabulary would move their borders; first over blocks of
    tokens, then within one.
    """
    import torch

    blocks = in_blocks(probabilities, 0)
    draws = torch.stack([torch.rand(1, generator=generator) for generator in generators])
    cumulative = blocks.sum(-1, dtype=torch.float64).cumsum(-1)
    wanted = draws.to(cumulative) * cumulative[:, -1:]
    block = torch.searchsorted(cumulative, wanted, right=True).clamp(max=cumulative.shape[-1] - 1)
    rows = torch.arange(len(blocks), device=blocks.device)
    inside = blocks[rows, block[:, 0]].double().cumsum(-1)
    before = cumulative.gather(-1, block) - inside[:, -1:]
    place = torch.searchsorted(inside, wanted - before, right=True)
    # Rounding may put a number behind a block's last token that has any probability: it is that token's.
    last = (inside < inside[:, -1:]).sum(-1, keepdim=True)
    return (block * BLOCK + torch.minimum(place, last)).squeeze(-1)


def penalise(scores: Tensor, seen: Tensor, penalty: float) -> Tensor:
    """Scores with those of seen tokens divided by the penalty where positive and multiplied where
    negative."""
    where = seen.nonzero(as_tuple=True)  # few of a large vocabulary
    met = scores[where]
    return scores.index_put(where, (met * penalty).where(met < 0, met / penalty))
