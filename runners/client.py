"""The one way to a server, for engines and judges: JSON over a pool of connections, as many requests at once as the server stands, and again
after 408, 409, 429, 5xx, time-outs, lost connections and replies that are cut off.

Whatever comes back is a value: an `Answered`, or a `Failure` in words. The key, and a password in the address, are taken out of every text that
the server sends before anyone else sees it.
"""

from __future__ import annotations

import json
import logging
import random
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel, ValidationError

from dsl.errors import ServerError
from runners.failure import Api, Failure, explain, failed, in_words, in_words_of_transport
from runners.server import Server, ServerSettings
from runners.window import Window

if TYPE_CHECKING:
    from ssl import SSLContext

    from httpx2 import AsyncClient

T = TypeVar("T")
Form = TypeVar("Form", bound=BaseModel)

_CONNECT_SECONDS = 10.0
"""A machine that is not there is noticed sooner than an answer that takes long."""
_FIRST_PAUSE, _LONGEST_PAUSE, _LEFT_TO_CHANCE = 0.5, 8.0, 0.25
"""Seconds before the second try, seconds that pauses grow to, and the share of each that chance takes off: not all come back at once."""
_MAY_BE_THE_REQUEST = frozenset({200, 400, 413, 422, 500})
"""HTTP statuses for a request at fault, by what it asks or by what all requests share; 200 comes with a reply not of the API's form."""
_LOGGERS = ("httpx2", "httpcore2")
"""Below warnings, these log addresses and headers as they are."""


@dataclass(frozen=True)
class Answered:
    """A reply with a good status."""

    body: dict[str, Any]
    """JSON, without secrets."""
    seconds: float
    """How long the try took that was answered."""


@asynccontextmanager
async def opened(server: Server, settings: ServerSettings, api: Api) -> AsyncGenerator[Client]:
    """A client, whose connections are closed when the block is left."""
    from httpx2 import create_ssl_context

    for name in _LOGGERS:
        logging.getLogger(name).setLevel(logging.WARNING)
    async with AsyncExitStack() as stack:
        yield Client(server, settings, api, stack, create_ssl_context())


class Client:
    """An open server, and what it has shown of itself."""

    def __init__(self, server: Server, settings: ServerSettings, api: Api, stack: AsyncExitStack, tls: SSLContext) -> None:
        self._server, self._settings, self._api, self._stack, self._tls = server, settings, api, stack, tls
        self._window = Window(settings.max_concurrency)
        self._idle: list[AsyncClient] = []
        self._has_answered = False

    async def ask(
        self, asked: Callable[[], Awaitable[T | Failure]], harmless: Callable[[], Awaitable[T | Failure]]
    ) -> T | Failure | ServerError:
        """The answer, or why this request has none, or why none will have one. Is it this request, or everything? A harmless one shows;
        otherwise one setting that the server does not know would make an error of every row."""
        outcome = await asked()
        if not isinstance(outcome, Failure):
            self._has_answered = True
        elif outcome.status not in _MAY_BE_THE_REQUEST:
            return self._explained(outcome)
        elif outcome.status == 500 or not self._has_answered:
            trial = await harmless()
            if isinstance(trial, Failure):
                return self._explained(trial)
            self._has_answered = True
        return outcome

    async def post(self, path: str, body: Mapping[str, Any]) -> Answered | Failure:
        """One request, tried again where that may help. `path` comes behind the server's address."""
        from anyio import sleep

        url, content, n_tries = self._server.at(path), json.dumps(body).encode(), 1
        while isinstance(outcome := await self._try(url, content), Failure):
            if not outcome.is_passing or n_tries > self._settings.max_retries:
                return replace(outcome, n_tries=n_tries)
            pause = min(_FIRST_PAUSE * 2.0 ** min(n_tries - 1, 16), _LONGEST_PAUSE)
            await sleep(outcome.wait or pause * (1 - _LEFT_TO_CHANCE * random.random()))
            n_tries += 1
        return outcome

    async def _try(self, url: str, content: bytes) -> Answered | Failure:
        async with self._window.turn() as turn:
            outcome = await self._send(url, content)
            if isinstance(outcome, Answered):
                self._window.answered(turn)
            elif outcome.is_crowded:
                self._window.refused(turn, outcome.wait or 0.0)
            return outcome

    async def _send(self, url: str, content: bytes) -> Answered | Failure:
        from anyio import fail_after
        from httpx2 import ConnectTimeout, RequestError, TimeoutException

        http = self._idle.pop() if self._idle else await self._connected()
        began = time.perf_counter()
        try:
            # The transport's own limit is between two bytes: an answer could trickle in for longer.
            with fail_after(self._settings.timeout):
                response = await http.post(url, content=content)
        except ConnectTimeout:
            return Failure(None, "no connection in time", is_crowded=True)
        except (TimeoutException, TimeoutError):
            return Failure(None, f"no answer within {self._settings.timeout:g} s", is_crowded=True, is_timeout=True)
        except RequestError as error:
            return Failure(None, self._words(in_words_of_transport(error)))
        finally:
            self._idle.append(http)
        value = self._read(response.content)
        if not response.is_success:
            return failed(response, self._words(value or response.text))
        if not isinstance(value, dict):
            kind = self._words(response.headers.get("content-type", "something"))
            return failed(response, f"it answers with {kind} that is not JSON; {self._api.address}")
        return Answered(value, time.perf_counter() - began)

    async def _connected(self) -> AsyncClient:
        """One connection each: a shared pool looks through all of its connections at every request, which takes longer than the request."""
        from httpx2 import AsyncClient, Timeout

        seconds = self._settings.timeout
        key = self._server.key.get_secret_value() or "none"  # some servers that need no key refuse a request without one
        http = AsyncClient(
            headers={"authorization": f"Bearer {key}", "content-type": "application/json", "accept": "application/json"},
            timeout=Timeout(seconds, connect=min(seconds, _CONNECT_SECONDS)),
            follow_redirects=True,
            verify=self._tls,
        )
        return await self._stack.enter_async_context(http)

    def _read(self, content: bytes) -> Any:
        """JSON without secrets; None where it is none, or is nested without end."""
        try:
            return self._server.cleaned(json.loads(content))
        except (ValueError, RecursionError):
            return None

    def _words(self, error: object) -> str:
        return in_words(self._server.cleaned(error))

    def _explained(self, failure: Failure) -> ServerError:
        return explain(failure, self._server, self._settings.name, self._api)


def read(answered: Answered, form: type[Form]) -> Form | Failure:
    """What a reply says, in the API's form."""
    try:
        return form.model_validate(answered.body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"]))
        return Failure(200, f"the server's reply has not the form of the API: {where}: {first['msg']}", is_passing=False)
