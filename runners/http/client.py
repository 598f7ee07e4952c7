"""The one way to a server, for engines and judges: JSON over a pool of connections, as many requests at once
as the server stands, and again after 408, 409, 429, 5xx, time-outs, lost connections, and replies with a good
status that are cut off, report an error or have another form than the API's.

Whatever comes back is a value: an `Answered`, or a `Failure` in words. The key, and a password in the
address, are taken out of every text that the server sends before anyone else sees it. Requests stay with the
server that the spec names: no redirect to another one is followed. Replies are read, and unpacked, up to a
limit.
"""

from __future__ import annotations

import json
import logging
import os
import random
import time
import zlib
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any, Generic, TypeVar

from pydantic import BaseModel, Field, ValidationError, ValidatorFunctionWrapHandler, WrapValidator

from dsl.engines.contract import ServerSettings
from dsl.errors import ServerError
from runners.http.failure import Api, Failure, explain, failed, in_words, in_words_of_transport
from runners.http.server import Server
from runners.http.window import Window

if TYPE_CHECKING:
    from ssl import SSLContext

    from httpx2 import AsyncClient, Request, Response

T = TypeVar("T")
Form = TypeVar("Form", bound=BaseModel)


def _or_none(value: Any, validate: ValidatorFunctionWrapHandler) -> Any:
    try:
        return validate(value)
    except ValidationError:
        return None


Detail = Annotated[T | None, WrapValidator(_or_none)]
"""A field beside the answer in a reply's form. One of another type than the API's is none and costs no
answer."""
Count = Detail[Annotated[int, Field(ge=0, lt=2**63)]]

_CONNECT_SECONDS = 10.0
"""A machine that is not there is noticed sooner than an answer that takes long."""
_FIRST_PAUSE, _LONGEST_PAUSE, _LEFT_TO_CHANCE = 0.5, 8.0, 0.25
"""Seconds before the second try, seconds that pauses grow to, and the share of each that chance takes off:
not all come back at once."""
_LONGEST_WAIT = 120.0
"""Seconds. A server that wants to be left alone for longer is not asked the same again."""
_THE_REQUEST = frozenset({400, 413, 422})
"""HTTP statuses of a server that reads the request and refuses it."""
_MOST_BYTES = 16_000_000
"""Of a reply, unpacked: several times the longest answer of any model."""
_MOST_REDIRECTS = 5
_TRANSPORT_VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR")
"""Environment variables that the transport reads, the first four also in lower case."""
_LOGGERS = ("httpx2", "httpcore2")
"""Below warnings, these log addresses and headers as they are."""


@dataclass(frozen=True)
class Answered(Generic[Form]):
    """A reply with a good status in the API's form."""

    reply: Form
    """Without secrets."""
    seconds: float
    """How long the try took that was answered."""


@asynccontextmanager
async def opened(
    server: Server, settings: ServerSettings, api: Api, form: type[Form]
) -> AsyncGenerator[Client[Form]]:
    """A client, whose connections are closed when the block is left. Replies are read as `form`.

    Raises:
        ServerError: the environment holds a proxy or certificates that cannot be used, or the address is
            none.
    """
    for name in _LOGGERS:
        logging.getLogger(name).setLevel(logging.WARNING)
    async with AsyncExitStack() as stack:
        client = Client(server, settings, api, form, stack)
        await client.prepare()
        yield client


class Client(Generic[Form]):
    """An open server, and what it has shown of itself."""

    def __init__(
        self, server: Server, settings: ServerSettings, api: Api, form: type[Form], stack: AsyncExitStack
    ) -> None:
        self._server, self._settings, self._api, self._form, self._stack = server, settings, api, form, stack
        self._window = Window(settings.max_concurrency)
        self._tls: SSLContext | None = None
        self._idle: list[AsyncClient] = []
        self._has_answered = False

    async def prepare(self) -> None:
        """Set up the first connection's client, which reads the environment. Nothing is sent yet."""
        from httpx2 import InvalidURL, create_ssl_context

        try:
            self._tls = create_ssl_context()
            http = await self._connected()
            http.build_request("POST", self._server.at(""))
        except (OSError, ValueError, ImportError, InvalidURL) as error:
            named = [
                name for name in _TRANSPORT_VARIABLES if os.environ.get(name) or os.environ.get(name.lower())
            ]
            at_fault = (
                f"the environment variables {', '.join(named)} say how"
                if named
                else "no environment variable says how"
            )
            words = self._words(in_words_of_transport(error)).rstrip(".")
            raise ServerError(
                f"{self._server.url} cannot be asked: {words}. To reach it: {at_fault}"
            ) from error
        self._idle.append(http)

    async def ask(
        self, asked: Callable[[], Awaitable[T | Failure]], harmless: Callable[[], Awaitable[T | Failure]]
    ) -> T | Failure | ServerError:
        """The answer, or why this request has none, or why none will have one. Is it this request, or
        everything? A harmless one shows; otherwise one setting that the server does not know would make an
        error of every row."""
        outcome = await asked()
        if isinstance(outcome, Failure) and not (self._has_answered and outcome.status in _THE_REQUEST):
            trial = await harmless()
            if isinstance(trial, Failure):
                return self._explained(trial)
        self._has_answered = True
        return outcome

    async def post(self, path: str, body: Mapping[str, Any]) -> Answered[Form] | Failure:
        """One request, tried again where that may help. `path` comes behind the server's address."""
        from anyio import sleep

        url, content, n_tries = self._server.at(path), json.dumps(body).encode(), 1
        while isinstance(outcome := await self._try(url, content), Failure):
            if (
                not outcome.is_passing
                or n_tries > self._settings.max_retries
                or (outcome.wait or 0.0) > _LONGEST_WAIT
            ):
                return replace(outcome, n_tries=n_tries)
            pause = min(_FIRST_PAUSE * 2.0 ** min(n_tries - 1, 16), _LONGEST_PAUSE)
            await sleep(outcome.wait or pause * (1 - _LEFT_TO_CHANCE * random.random()))
            n_tries += 1
        return outcome

    async def _try(self, url: str, content: bytes) -> Answered[Form] | Failure:
        async with self._window.turn() as turn:
            outcome = await self._send(url, content)
            if isinstance(outcome, Answered):
                self._window.answered(turn)
            elif outcome.is_crowded:
                wait = outcome.wait or 0.0
                self._window.refused(turn, wait if wait <= _LONGEST_WAIT else 0.0)
            return outcome

    async def _send(self, url: str, content: bytes) -> Answered[Form] | Failure:
        from anyio import fail_after
        from httpx2 import ConnectTimeout, InvalidURL, RequestError, TimeoutException

        http = self._idle.pop() if self._idle else await self._connected()
        began = time.perf_counter()
        try:
            # The transport's own limit is between two bytes: an answer could trickle in for longer.
            with fail_after(self._settings.timeout):
                received = await self._receive(http, http.build_request("POST", url, content=content))
        except ConnectTimeout:
            return Failure(None, "no connection in time", is_crowded=True)
        except (TimeoutException, TimeoutError):
            return Failure(
                None, f"no answer within {self._settings.timeout:g} s", is_crowded=True, is_timeout=True
            )
        except (RequestError, InvalidURL, UnicodeError, zlib.error) as error:
            return Failure(None, self._words(in_words_of_transport(error)))
        finally:
            self._idle.append(http)
        return (
            received
            if isinstance(received, Failure)
            else self._understood(*received, time.perf_counter() - began)
        )

    async def _receive(self, http: AsyncClient, request: Request) -> tuple[Response, bytes] | Failure:
        """The reply and its unpacked body, after redirects within the server."""
        for _ in range(_MOST_REDIRECTS):
            response = await http.send(request, stream=True)
            try:
                if not response.has_redirect_location:
                    body = await _bounded(response)
                    return body if isinstance(body, Failure) else (response, body)
                following = response.next_request
                if following is None or following.method != "POST" or _origin(following) != _origin(request):
                    words = (
                        "it redirects to another address, which is not followed: name the one that answers as"
                        " the server's"
                    )
                    return Failure(response.status_code, words, is_passing=False)
                request = following
            finally:
                await response.aclose()
        return Failure(None, f"more than {_MOST_REDIRECTS} redirects", is_passing=False)

    def _understood(self, response: Response, body: bytes, seconds: float) -> Answered[Form] | Failure:
        value = self._read(body)
        if not response.is_success:
            return failed(response, self._words(value or body.decode("utf-8", "replace")))
        if not isinstance(value, dict):
            kind = self._words(response.headers.get("content-type", "something"))
            return failed(response, f"it answers with {kind} that is not JSON; {self._api.address}")
        if value.get("error"):
            return failed(response, f"an error with status {response.status_code}: {self._words(value)}")
        try:
            return Answered(self._form.model_validate(value), seconds)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            where = ".".join(map(str, first["loc"]))
            return failed(
                response,
                self._words(f"the server's reply has not the form of the API: {where}: {first['msg']}"),
            )

    async def _connected(self) -> AsyncClient:
        """One connection each: a shared pool looks through all of its connections at every request, which
        takes longer than the request."""
        from httpx2 import AsyncClient, Timeout

        seconds = self._settings.timeout
        # some servers that need no key refuse a request without one
        key = self._server.key.get_secret_value() or "none"
        http = AsyncClient(
            headers={
                "authorization": f"Bearer {key}",
                "content-type": "application/json",
                "accept": "application/json",
                "accept-encoding": "gzip",
            },
            timeout=Timeout(seconds, connect=min(seconds, _CONNECT_SECONDS)),
            verify=self._tls or True,
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


async def _bounded(response: Response) -> bytes | Failure:
    """A reply's body, unpacked piece by piece: a few kilobytes can unpack to gigabytes."""
    packing = response.headers.get("content-encoding", "identity").strip().lower()
    if packing not in ("identity", "gzip"):
        return Failure(None, "the reply is packed in a way that was not asked for")
    unpacker = zlib.decompressobj(wbits=31) if packing == "gzip" else None  # 31: with gzip's head
    body = bytearray()
    async for piece in response.aiter_raw():
        body += unpacker.decompress(piece, _MOST_BYTES + 1 - len(body)) if unpacker else piece
        if len(body) > _MOST_BYTES:
            return Failure(None, f"the reply is larger than {_MOST_BYTES / 1e6:.0f} MB", is_passing=False)
    if unpacker is not None and not unpacker.eof:
        return Failure(None, "the reply is cut off")
    return bytes(body)


def _origin(request: Request) -> tuple[str, str, int | None]:
    return request.url.scheme, request.url.host, request.url.port
