"""vLLM's completions API for decisions: log-probabilities of some tokens, the labels of options, after a
prompt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BaseModel, Field

from dsl.errors import ServerError, XpError
from dsl.values import Value
from runners.engines._completion_api import OFF, Usage
from runners.http.client import Answered, ApiReply, Client, Detail
from runners.http.failure import Failure

_TOKEN = "token_id:{}"
"""vLLM's name for a token that is to be named by its number."""


@dataclass(frozen=True)
class LabelRequest:
    """A prompt, and the tokens whose probability to follow it is asked for."""

    key: str
    """The caller's identifier, unique in a call."""
    token_ids: tuple[int, ...]
    labels: tuple[int, ...]


class LabelAnswer(Value):
    """Log-probabilities of one prompt's labels, or why a server gave none."""

    key: str
    logprobs: tuple[float, ...] | None
    """One for each label, in their order; None where the request failed."""
    error: str | None = None
    is_transient: bool = False
    """A failed request may succeed later."""
    seconds: float | None = None
    system_fingerprint: str | None = None


class _Logprobs(BaseModel):
    top_logprobs: Annotated[list[dict[str, float]], Field(min_length=1)]


class _Choice(BaseModel):
    logprobs: _Logprobs


class LabelReply(ApiReply):
    """Fields read from a reply: at least one choice, with log-probabilities."""

    choices: Annotated[list[_Choice], Field(min_length=1)]
    usage: Detail[Usage] = None

    def n_tokens(self) -> tuple[int | None, int | None]:
        usage = self.usage or Usage()
        return usage.prompt_tokens, usage.completion_tokens


class LabelCall:
    """State shared by the requests of one call."""

    def __init__(self, client: Client[LabelReply], model: str, fingerprint: str) -> None:
        self._client, self._model, self._fingerprint = client, model, fingerprint

    async def ask(self, request: LabelRequest) -> LabelAnswer | XpError:
        """Return the log-probabilities, which may be this row's failure, or the error of all rows."""
        outcome = await self._client.ask(
            lambda: self._post(request.token_ids, request.labels),
            lambda: self._post(request.token_ids[:1], request.labels),
        )
        if isinstance(outcome, XpError):
            return outcome
        if isinstance(outcome, Failure):
            error = outcome.describe("prompt")
            return LabelAnswer(key=request.key, logprobs=None, error=error, is_transient=outcome.is_transient)
        found = outcome.reply.choices[0].logprobs.top_logprobs[0]
        names = [_TOKEN.format(label) for label in request.labels]
        if any(name not in found for name in names):
            return ServerError(
                f"{self._fingerprint} does not give the log-probabilities of the tokens that it is asked for"
                " (`logprob_token_ids`): decisions need a later version of vLLM, or `engine: transformers`"
            )
        return LabelAnswer(
            key=request.key,
            logprobs=tuple(found[name] for name in names),
            system_fingerprint=self._fingerprint,
        )

    async def _post(self, token_ids: Sequence[int], labels: Sequence[int]) -> Answered[LabelReply] | Failure:
        return await self._client.post("v1/completions", _body(self._model, token_ids, labels))


def _body(model: str, token_ids: Sequence[int], labels: Sequence[int]) -> dict[str, Any]:
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
