"""`openai`: any server that speaks OpenAI's API (vLLM, llama.cpp, `transformers serve`, a hosted model)."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from dsl.data.records import Prompt
from dsl.engines.contract import Decoding
from dsl.engines.openai import Settings
from dsl.errors import XpError
from runners.engines._batches import LeftRequests
from runners.engines._completion_api import API, Reply, answer, body, path, probe, without_answer
from runners.engines.contract import EngineAnswer, EngineRequest
from runners.http.client import Answered, Client, opened
from runners.http.concurrent import concurrently
from runners.http.failure import Failure
from runners.http.server import Server
from runners.store import batches, spending

_UNKNOWN = frozenset({400, 422})
"""HTTP statuses of a request with parameters that the server may not know."""

_REFUSED = frozenset({400, 413, 422, 500})
"""HTTP statuses of a request that may succeed without its JSON Schema."""


class Engine:
    """Sends at most `max_concurrency` requests at a time, sorted so that the server's prefix cache is used.

    All sampling parameters are sent, also at their neutral values, so that no default of the server applies
    unseen; a server that does not know top-k, min-p and the repetition penalty, as OpenAI's own does not, is
    sent only those that are set.
    """

    def __init__(self, settings: Settings, tuned: Path | None, cache: Path) -> None:
        """Keep the settings. Nothing is sent yet, nor read from the environment.

        Raises:
            XpError: a tuned model is named: the server serves its own weights.
        """
        if tuned is not None:
            raise XpError(
                f"{settings.name} is served, so what was tuned here cannot be put on top of it. Load its"
                " weights here instead"
            )
        self._settings = settings
        self.load_seconds = 0.0
        self.facts: dict[str, str | int | float | bool | None] = {"name": settings.name}

    def identify(self, request: EngineRequest) -> str:
        return request.prompt.model_dump_json()

    def generate(self, requests: Sequence[EngineRequest], decoding: Decoding) -> Generator[EngineAnswer]:
        """Yield answers as they come. Rows whose prompt the server rejects, or fails on while it answers
        others, have an `error`; those whose reply has no text are `missing`, with the reason.

        Closing the iterator cancels requests in flight and sends no more.

        Raises:
            ServerError: an environment variable is not set, or holds no address or no key; the server stays
                down after all tries, does not let us in, or refuses any prompt. What was answered before that
                has been yielded.
            BudgetSpent: the study's budget has no room for the next request; likewise.
            RequestsWait: requests are in batches that have not ended; likewise.
        """
        server = Server(self._settings)
        self.facts["server"] = server.host
        # nobody comes back to what is asked outside of an attempt
        if self._settings.batch and (attempt := batches.place()) is not None:
            self.facts["batch"] = True
            left = LeftRequests(server, self._settings, requests, decoding, attempt)
            return left.answers(lambda asked: self._bodies(server, asked, decoding))

        single = self._sent_singly()

        @asynccontextmanager
        async def calls() -> AsyncGenerator[Callable[[EngineRequest], Awaitable[EngineAnswer | XpError]]]:
            meter = spending.meter(single, decoding.max_new_tokens)
            async with opened(server, single, API, Reply, meter) as client:
                yield _Call(single.name, client, decoding).ask

        return concurrently(sorted(requests, key=_beginning), calls, single.max_concurrency)

    async def _bodies(
        self, server: Server, requests: Sequence[EngineRequest], decoding: Decoding
    ) -> list[dict[str, Any]]:
        """Return request bodies with what this server takes: a short prompt, sent by itself, finds that out.

        Raises ServerError where it is refused or not answered.
        """
        single = self._sent_singly()
        meter = spending.meter(single, decoding.max_new_tokens)
        kinds = {one.prompt.json_schema is None: one for one in requests}
        async with opened(server, single, API, Reply, meter) as client:
            call = _Call(single.name, client, decoding)
            for one in kinds.values():
                if isinstance(outcome := await call.post(probe(one.prompt), one.seed), Failure):
                    raise client.explained(outcome)
            return [call.body(one.prompt, one.seed) for one in requests]

    def _sent_singly(self) -> Settings:
        """Return the settings of requests that are in no batch, which cost the full price."""
        return self._settings.model_copy(update={"batch": False})


def _beginning(request: EngineRequest) -> str | tuple[tuple[str, str], ...]:
    """Return a sort key that puts requests with a common prefix next to each other.

    Of a chat, all before its last message: the caller's order within such a group stays, which keeps the
    requests of one verdict together.
    """
    prompt = request.prompt
    return prompt.text if prompt.text is not None else (prompt.messages or ())[:-1]


class _Call:
    """State shared by the requests of one call."""

    def __init__(self, model: str, client: Client[Reply], decoding: Decoding) -> None:
        self._model, self._client, self._decoding = model, client, decoding
        self._takes_schemas: bool | None = None
        """The server accepts a JSON Schema; None until one was sent."""
        self._says_off: bool | None = None
        """The server accepts neutral values of parameters beyond OpenAI's; None until they were sent."""

    async def ask(self, request: EngineRequest) -> EngineAnswer | XpError:
        """Return the answer, which may be this row's failure, or the error of all rows."""
        prompt, seed = request.prompt, request.seed
        outcome = await self._client.ask(
            lambda: self.post(prompt, seed), lambda: self.post(probe(prompt), seed)
        )
        if isinstance(outcome, Answered):
            return answer(request, outcome.reply, outcome.seconds)
        if isinstance(outcome, XpError):
            return outcome
        return without_answer(request, outcome.describe("prompt"), is_transient=outcome.is_transient)

    def body(self, prompt: Prompt, seed: int | None) -> dict[str, Any]:
        """Return the body of a request, without what the server was found not to take."""
        taken = (
            prompt if self._takes_schemas is not False else prompt.model_copy(update={"json_schema": None})
        )
        return body(self._model, taken, seed, self._decoding, says_off=self._says_off is not False)

    async def post(self, prompt: Prompt, seed: int | None) -> Answered[Reply] | Failure:
        """Post a prompt; a server that rejects its JSON Schema and answers without is sent no more of
        them."""
        free = prompt.model_copy(update={"json_schema": None})
        if prompt.json_schema is None or self._takes_schemas is False:
            return await self._send(free, seed)
        outcome = await self._send(prompt, seed)
        if isinstance(outcome, Answered):
            self._takes_schemas = True
        elif not self._takes_schemas and outcome.status in _REFUSED:
            outcome = await self._send(free, seed)
            if isinstance(outcome, Answered):
                self._takes_schemas = False
        return outcome

    async def _send(self, prompt: Prompt, seed: int | None) -> Answered[Reply] | Failure:
        """Post a prompt; a server that rejects neutral values and answers without is sent no more of them."""
        full, plain = (
            body(self._model, prompt, seed, self._decoding, says_off=says) for says in (True, False)
        )
        if full == plain or self._says_off is False:
            return await self._client.post(path(prompt), plain)
        outcome = await self._client.post(path(prompt), full)
        if isinstance(outcome, Answered):
            self._says_off = True
        elif not self._says_off and outcome.status in _UNKNOWN:
            outcome = await self._client.post(path(prompt), plain)
            if isinstance(outcome, Answered):
                self._says_off = False
        return outcome
