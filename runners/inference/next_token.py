"""Sampling: the next token of every row of a batch from its logits, greedily or from the row's own seed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from runners.inference.tensors import BLOCK, in_blocks

if TYPE_CHECKING:
    from torch import Generator, Tensor


@dataclass(frozen=True)
class Sampling:
    """Sampling parameters, named and defined as in transformers' `GenerationConfig`."""

    max_new_tokens: int
    temperature: float = 0.0
    """0 is greedy; nothing below it applies then, except the repetition penalty."""
    top_p: float = 1.0
    top_k: int = 0
    """0 keeps all tokens."""
    repetition_penalty: float = 1.0
    """For tokens of the prompt and of the answer (Keskar et al. 2019, arXiv 1909.05858); 1 is none."""
    penalize_prompt: bool = True
    """The penalty counts the prompt's tokens; else only the answer's."""

    @property
    def is_plain_greedy(self) -> bool:
        """Test whether the next token is the argmax of the logits."""
        return self.temperature == 0 and self.repetition_penalty == 1


def next_tokens(
    logits: Tensor, seen: Tensor | None, sampling: Sampling, generators: Sequence[Generator | None]
) -> Tensor:
    """Return the next token (rows,) from logits (rows, vocabulary).

    `seen` (rows, vocabulary) marks each row's tokens so far; None without a repetition penalty. A sampled row
    takes exactly one random number from its generator, so its token depends on its seed and its own logits,
    never on other rows of the batch. Order as in transformers: penalty, temperature, top-k, top-p. Raises
    FloatingPointError for NaN logits.
    """
    scores = logits.float()
    if scores.amax(-1).isnan().any():  # a maximum over a NaN is NaN
        raise FloatingPointError(
            "the model's logits are not numbers (NaN); a precision with a wider range may help"
        )
    if seen is not None:
        scores = repetition_penalised(scores, seen, sampling.repetition_penalty)
    if sampling.temperature == 0:
        return _argmax(scores)
    scores = scores / sampling.temperature
    if sampling.top_k > 0:
        threshold = scores.topk(min(sampling.top_k, scores.shape[-1])).values[:, -1:]
        scores = scores.masked_fill_(scores < threshold, -float("inf"))
    probabilities = scores.softmax(-1)
    if sampling.top_p < 1:
        threshold = _top_p_threshold(probabilities, sampling.top_p)
        probabilities = probabilities.masked_fill_(probabilities < threshold, 0)
    return _sample(probabilities, generators)


def _argmax(scores: Tensor) -> Tensor:
    """Return the token (rows,) with the largest score of each row, the first of equals.

    First over blocks of tokens, as torch computes a maximum ten times faster than an argmax.
    """
    import torch

    blocks = in_blocks(scores, -torch.inf)
    block = blocks.amax(-1).argmax(-1)
    return block * BLOCK + blocks[torch.arange(len(blocks), device=blocks.device), block].argmax(-1)


def _top_p_threshold(probabilities: Tensor, top_p: float) -> Tensor:
    """Return (rows, 1), the smallest probability in each row's nucleus (Holtzman et al. 2020, arXiv
    1904.09751): the fewest most likely tokens whose probabilities sum to `top_p`."""
    import torch

    # Sorting a large vocabulary takes longer than the model. Tokens below this floor sum to less than
    # 1 - top_p, so none of them is in the nucleus.
    floor = (1 - top_p) / 2 / probabilities.shape[-1]
    row, token = (probabilities > floor).nonzero(as_tuple=True)
    n_candidates = torch.bincount(row, minlength=len(probabilities))
    rank = torch.arange(len(row), device=row.device) - (n_candidates.cumsum(0) - n_candidates)[row]
    descending = probabilities.new_zeros(len(probabilities), int(n_candidates.max()))
    descending[row, rank] = probabilities[row, token]
    descending = descending.sort(-1, descending=True).values
    n_kept = (descending.cumsum(-1) - descending < top_p).sum(-1, keepdim=True)
    return descending.gather(-1, n_kept - 1)


def _sample(probabilities: Tensor, generators: Sequence[Generator | None]) -> Tensor:
    """Sample a token (rows,) by the inverse of each row's cumulative distribution, at one random number of
    the row's generator.

    Sums are in float64, since float32 sums over a large vocabulary move the boundaries between tokens; first
    over blocks of tokens, then within one.
    """
    import torch

    blocks = in_blocks(probabilities, 0)
    numbers = torch.stack([torch.rand(1, generator=generator) for generator in generators])
    cumulative = blocks.sum(-1, dtype=torch.float64).cumsum(-1)
    wanted = numbers.to(cumulative) * cumulative[:, -1:]
    block = torch.searchsorted(cumulative, wanted, right=True).clamp(max=cumulative.shape[-1] - 1)
    rows = torch.arange(len(blocks), device=blocks.device)
    within = blocks[rows, block[:, 0]].double().cumsum(-1)
    before = cumulative.gather(-1, block) - within[:, -1:]
    token = torch.searchsorted(within, wanted - before, right=True)
    # Rounding may put the number past the block's last token of nonzero probability: it is that token's.
    last = (within < within[:, -1:]).sum(-1, keepdim=True)
    return (block * BLOCK + torch.minimum(token, last)).squeeze(-1)


def repetition_penalised(scores: Tensor, seen: Tensor, penalty: float) -> Tensor:
    """Divide the positive scores of seen tokens by the penalty and multiply their negative ones by it."""
    where = seen.nonzero(as_tuple=True)  # few of a large vocabulary
    found = scores[where]
    return scores.index_put(where, (found * penalty).where(found < 0, found / penalty))
