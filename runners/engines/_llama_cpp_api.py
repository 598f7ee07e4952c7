"""API of llama.cpp's server at `/completion`, with tokens in and out: request bodies and parsed replies."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, Field

from runners.engines._tokens_api import LogprobsReply, TokensReply
from runners.http.client import Count, Detail

if TYPE_CHECKING:
    from runners.inference.next_token import Sampling
    from runners.inference.scheduler import Request

PATH = "completion"

_SAMPLERS = ("penalties", "temperature", "top_k", "top_p")
"""Samplers in the order that transformers has; those that are not named are not used, whatever the server's
defaults are."""
_SEEDS = 2**32 - 1
"""Number of seeds; the next one stands for a random one."""
_BIAS = 100.0
"""Added to the logits of labels, so that no other token is among the most probable ones: what they add to
each other's probabilities stays the same, and a float keeps five decimals of a logit."""
_LEAST = math.log(2.0**-149)
"""Logarithm of the least probability that is not 0."""


class Reply(TokensReply):
    """Fields read from a reply."""

    tokens: list[Annotated[int, Field(ge=0)]]
    stop_type: Detail[str] = None
    """`eos`, `word` for a stop string, or `limit`."""
    tokens_evaluated: Count = None
    tokens_predicted: Count = None

    @property
    def new_ids(self) -> list[int]:
        return self.tokens

    @property
    def ended_by(self) -> str | None:
        names = {"eos": "stop", "word": "stop", "limit": "length"}
        return names.get(self.stop_type or "", self.stop_type)

    @property
    def end_ids(self) -> frozenset[int]:
        return frozenset(self.tokens[-1:] if self.stop_type == "eos" else ())

    def n_tokens(self) -> tuple[int | None, int | None]:
        return self.tokens_evaluated, self.tokens_predicted


class _Probability(BaseModel):
    id: int
    prob: float


class _Token(BaseModel):
    top_probs: list[_Probability]


class LabelReply(LogprobsReply):
    """Fields read from a reply, which has probabilities for at least one token."""

    completion_probabilities: Annotated[list[_Token], Field(min_length=1)]
    tokens_evaluated: Count = None
    tokens_predicted: Count = None

    def logprobs(self, labels: Sequence[int]) -> tuple[float, ...] | None:
        found = {one.id: one.prob for one in self.completion_probabilities[0].top_probs if one.prob > 0}
        if not found or not found.keys() <= set(labels):
            return None
        return tuple(math.log(found[label]) if label in found else _LEAST for label in labels)

    def n_tokens(self) -> tuple[int | None, int | None]:
        return self.tokens_evaluated, self.tokens_predicted


def body(
    model: str, request: Request, sampling: Sampling, eos_ids: Collection[int], max_new_tokens: int
) -> dict[str, Any]:
    """Return the request body. The server's penalty counts the last tokens, here those of prompt and answer;
    what ends an answer is read from the GGUF file, and here once more."""
    optional: dict[str, Any] = {} if request.seed is None else {"seed": request.seed % _SEEDS}
    if request.stop_strings:
        optional["stop"] = list(request.stop_strings)
    return {
        "model": model,
        "prompt": list(request.token_ids),
        "n_predict": max_new_tokens,
        "samplers": list(_SAMPLERS),
        "temperature": sampling.temperature,
        "top_k": sampling.top_k,
        "top_p": sampling.top_p,
        "repeat_penalty": sampling.repetition_penalty,
        "repeat_last_n": len(request.token_ids) + max_new_tokens,
        "presence_penalty": 0.0,
        "frequency_penalty": 0.0,
        "mirostat": 0,
        "ignore_eos": False,
        "cache_prompt": True,
        "return_tokens": True,
        **optional,
    }


def label_body(model: str, token_ids: Sequence[int], labels: Sequence[int]) -> dict[str, Any]:
    """Return the request body. The one token that must be written is not read."""
    return {
        "model": model,
        "prompt": list(token_ids),
        "n_predict": 1,
        "samplers": ["temperature"],
        "temperature": 1.0,
        "mirostat": 0,
        "logit_bias": [[label, _BIAS] for label in labels],
        "n_probs": len(labels),
        "post_sampling_probs": True,
        "cache_prompt": True,
    }
