"""vLLM's completions API with tokens in and out: request bodies and parsed replies."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, Field

from runners.engines._completion_api import OFF, Usage
from runners.engines._tokens_api import LogprobsReply, TokensReply
from runners.http.client import Detail

if TYPE_CHECKING:
    from runners.inference.next_token import Sampling
    from runners.inference.scheduler import Request

PATH = "v1/completions"

_TOKEN = "token_id:{}"
"""Name of a token that is to be named by its number."""


class Choice(BaseModel):
    """One answer."""

    token_ids: list[Annotated[int, Field(ge=0)]]
    finish_reason: Detail[str] = None


class Reply(TokensReply):
    """Fields read from a reply. At least one choice is required."""

    choices: Annotated[list[Choice], Field(min_length=1)]
    usage: Detail[Usage] = None

    @property
    def new_ids(self) -> list[int]:
        return self.choices[0].token_ids

    @property
    def ended_by(self) -> str | None:
        return self.choices[0].finish_reason

    def n_tokens(self) -> tuple[int | None, int | None]:
        usage = self.usage or Usage()
        return usage.prompt_tokens, usage.completion_tokens


class _Logprobs(BaseModel):
    top_logprobs: Annotated[list[dict[str, float]], Field(min_length=1)]


class _LabelChoice(BaseModel):
    logprobs: _Logprobs


class LabelReply(LogprobsReply):
    """Fields read from a reply: at least one choice, with log-probabilities."""

    choices: Annotated[list[_LabelChoice], Field(min_length=1)]
    usage: Detail[Usage] = None

    def logprobs(self, labels: Sequence[int]) -> tuple[float, ...] | None:
        found = self.choices[0].logprobs.top_logprobs[0]
        named = [found.get(_TOKEN.format(label)) for label in labels]
        given = tuple(one for one in named if one is not None)
        return given if len(given) == len(labels) else None

    def n_tokens(self) -> tuple[int | None, int | None]:
        usage = self.usage or Usage()
        return usage.prompt_tokens, usage.completion_tokens


def body(
    model: str, request: Request, sampling: Sampling, eos_ids: Collection[int], max_new_tokens: int
) -> dict[str, Any]:
    """Return the request body. The tokens that end an answer are the model's as it is read here."""
    optional: dict[str, Any] = {} if request.seed is None else {"seed": request.seed}
    if request.stop_strings:
        optional["stop"] = list(request.stop_strings)
    return {
        "model": model,
        "prompt": list(request.token_ids),
        "max_tokens": max_new_tokens,
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        **OFF,
        "top_k": sampling.top_k or OFF["top_k"],
        "repetition_penalty": sampling.repetition_penalty,
        "ignore_eos": True,
        "stop_token_ids": sorted(eos_ids),
        "return_token_ids": True,
        **optional,
    }


def label_body(model: str, token_ids: Sequence[int], labels: Sequence[int]) -> dict[str, Any]:
    """Return the request body. The one token that must be written is not read."""
    return {
        "model": model,
        "prompt": list(token_ids),
        "max_tokens": 1,
        "temperature": 0.0,
        "top_p": 1.0,
        **OFF,
        "logprobs": len(labels),
        "logprob_token_ids": list(labels),
        "return_tokens_as_token_ids": True,
    }
