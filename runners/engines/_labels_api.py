"""Requests for decisions to a server of weights: log-probabilities of some tokens, the labels of options,
after a prompt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dsl.errors import ServerError, XpError
from dsl.values import Value
from runners.engines._tokens_api import LogprobsReply, TokensApi
from runners.http.client import Answered, Client
from runners.http.failure import Failure


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


class LabelCall:
    """State shared by the requests of one call."""

    def __init__(self, client: Client[LogprobsReply], api: TokensApi, model: str, fingerprint: str) -> None:
        self._client, self._api, self._model, self._fingerprint = client, api, model, fingerprint

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
        logprobs = outcome.reply.logprobs(request.labels)
        if logprobs is None:
            return ServerError(
                f"{self._fingerprint} does not give the log-probabilities of the tokens that it is asked for:"
                " decisions need a later version of the server, or `engine: transformers`"
            )
        return LabelAnswer(key=request.key, logprobs=logprobs, system_fingerprint=self._fingerprint)

    async def _post(
        self, token_ids: Sequence[int], labels: Sequence[int]
    ) -> Answered[LogprobsReply] | Failure:
        return await self._client.post(self._api.PATH, self._api.label_body(self._model, token_ids, labels))
