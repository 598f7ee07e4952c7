"""`openai`: any server that speaks OpenAI's API (vLLM, llama.cpp, `transformers serve`, a hosted model)."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from dsl.data.records import Prompt
from dsl.engines.contract import Decoding
from dsl.engines.openai import Settings
from dsl.errors import ServerError, XpError
from runners.engines._completion_api import API, Reply, answer, body, harmless, path, without_answer
from runners.engines.contract import EngineAnswer, EngineRequest
from runners.http.client import Answered, Client, opened
from runners.http.concurrent import concurrently
from runners.http.failure import Failure
from runners.http.server import Server

_UNKNOWN = frozenset({400, 422})
"""HTTP statuses of a request that holds values which this server does not know."""

_REFUSED = frozenset({400, 413, 422, 500})
"""HTTP statuses of a request that may be answered without what this server does not know."""


class Engine:
    """Asks the server, at most `max_concurrency` requests at a time, in an order in which its prefix cache
    serves it well.

    All that chooses tokens is sent, off or on, so that no default of the server's applies unseen; a server
    that does not know top-k, min-p and the repetition penalty, as OpenAI's own does not, is not sent them
    where they are off.
    """

    def __init__(self, settings: Settings, tuned: Path | None, cache: Path) -> None:
        """Nothing is sent yet, nor read from the environment.

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
        """Answers as they come. Rows whose prompt the server refuses, or fails on while it answers others,
        come back with an `error`; those whose reply holds no text are `missing`, with the reason.

        Closing the iterator drops what is under way and sends no more.

        Raises:
            ServerError: an environment variable is not set, or holds no address or no key; the server stays
                down after all tries, does not let us in, or refuses any prompt. What was answered before that
                has been yielded.
        """
        server = Server(self._settings)
        self.facts["server"] = server.host

        @asynccontextmanager
        async def calls() -> AsyncGenerator[Callable[[EngineRequest], Awaitable[EngineAnswer | ServerError]]]:
            async with opened(server, self._settings, API, Reply) as client:
                yield _Call(self._settings.name, client, decoding).ask

        return concurrently(sorted(requests, key=_beginning), calls, self._settings.max_concurrency)


def _beginning(request: EngineRequest) -> str | tuple[tuple[str, str], ...]:
    """What puts requests that begin alike next to each other. Of a chat, all before its last message: within
    one group, the caller's order stays, which has the requests of one verdict side by side."""
    prompt = request.prompt
    return prompt.text if prompt.text is not None else (prompt.messages or ())[:-1]


class _Call:
    """What the requests of one call share."""

    def __init__(self, model: str, client: Client[Reply], decoding: Decoding) -> None:
        self._model, self._client, self._decoding = model, client, decoding
        self._takes_schemas: bool | None = None
        """Whether the server holds its model to a JSON Schema; None until it was asked to."""
        self._says_off: bool | None = None
        """Whether the server takes values beyond OpenAI's that are off; None until it took or refused
        them."""

    async def ask(self, request: EngineRequest) -> EngineAnswer | ServerError:
        """The answer, or the reason why this row has none, or the reason why no row will have one."""
        prompt, seed = request.prompt, request.seed
        outcome = await self._client.ask(
            lambda: self._post(prompt, seed), lambda: self._post(harmless(prompt), seed)
        )
        if isinstance(outcome, Answered):
            return answer(request, outcome.reply, outcome.seconds)
        if isinstance(outcome, ServerError):
            return outcome
        return without_answer(request, outcome.of_one("prompt"), is_passing=outcome.is_passing)

    async def _post(self, prompt: Prompt, seed: int | None) -> Answered[Reply] | Failure:
        """A server that refuses a prompt with a JSON Schema and answers it without one is not sent
        another."""
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

    async def _send(self, prompt: Prompt, seed: int | None) -> Answered | Failure:
        """A server that refuses values which are off, and answers without them, is not sent them again."""
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
