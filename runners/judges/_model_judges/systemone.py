"""Typed questions to a server with `/v1/systemone`: one request a question."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from pydantic import BaseModel

from dsl.data.records import Provenance
from dsl.errors import XpError
from dsl.judges._decision_model import SystemOne
from runners.http.client import Answered, ApiReply, Client, Count, Detail, opened
from runners.http.concurrent import concurrently
from runners.http.failure import Api, Failure
from runners.http.server import Server
from runners.judges._model_judges.question import Decided, Question, probabilities_of
from runners.judges.contract import NO_REPLY, Tools, VerdictDetails
from runners.store import spending

API = Api(
    address="`base_url` is the address to which /v1/systemone is added",
    shared="`name`, the model as the server calls it",
)

_HELLO = Question({"message": "Hello"}, "Is this a greeting?")
"""A question that no server has a reason to refuse."""


def decide_served(model: SystemOne, questions: Sequence[Question], tools: Tools) -> Generator[Decided]:
    """Send one request a question, at most `max_concurrency` at a time.

    Closing the iterator drops what is under way.

    Raises:
        ServerError: the server stays down, does not let us in, or refuses any question.
        BudgetSpent: the study's budget has no room for the next question.
    """
    server = Server(model)
    tools.facts |= {"server": server.host, "name": model.name}

    @asynccontextmanager
    async def calls() -> AsyncGenerator[Callable[[tuple[int, Question]], Awaitable[Decided | XpError]]]:
        async with opened(server, model, API, _Reply, spending.meter(model, 0)) as client:
            yield _Call(model, client, "systemone" if server.url.endswith("/v1") else "v1/systemone").ask

    return concurrently(enumerate(questions), calls, model.max_concurrency)


class _Call:
    """Model and client that the requests of one call share."""

    def __init__(self, model: SystemOne, client: "Client[_Reply]", path: str) -> None:
        self._model, self._client, self._path = model, client, path

    async def ask(self, asked: tuple[int, Question]) -> Decided | XpError:
        """The decision, or the reason why this question has none, or the reason why no question will have
        one."""
        place, question = asked
        outcome = await self._client.ask(
            lambda: self._post(place, question), lambda: self._post(place, _HELLO)
        )
        if isinstance(outcome, Failure):
            return Decided(
                place,
                None,
                f"{NO_REPLY}{outcome.describe('question')}",
                VerdictDetails(n_faults=int(outcome.is_transient)),
            )
        return outcome

    async def _post(self, place: int, question: Question) -> Decided | Failure:
        body = {
            "model": self._model.name,
            "state": dict(question.state),
            "questions": {"asked": question.as_request()},
        }
        answered = await self._client.post(self._path, body)
        if isinstance(answered, Failure):
            return answered
        reply, details = answered.reply, self._details(answered)
        try:
            return Decided(place, probabilities_of(question, reply.answers.get("asked", {})), details=details)
        except ValueError as error:
            return Decided(place, None, f"the judge's answer cannot be used: {error}", details)

    def _details(self, answered: "Answered[_Reply]") -> VerdictDetails:
        reply = answered.reply
        n_tokens = None if reply.usage is None else reply.usage.input_tokens
        provenance = Provenance(system_fingerprint=reply.system_fingerprint)
        details = VerdictDetails(
            n_prompt_tokens=n_tokens,
            seconds=answered.seconds,
            model_served=reply.model,
            provenance=provenance,
        )
        if n_tokens is not None and (price := self._model.price()) is not None:
            details["usd"] = price.usd(n_tokens, 0)
        return details


class _Usage(BaseModel):
    input_tokens: Count = None


class _Reply(ApiReply):
    """Fields that are read of a server's reply; servers add much else."""

    answers: dict[str, dict[str, Any]]
    model: Detail[str] = None
    usage: Detail[_Usage] = None
    system_fingerprint: Detail[str] = None

    def n_tokens(self) -> tuple[int | None, int | None]:
        return (None if self.usage is None else self.usage.input_tokens), 0
