"""HTTP client for engines and judges: JSON over a pool of connections, with a congestion window and retries.

Requests are retried after 408, 409, 429, 5xx, time-outs, lost connections, and responses with a success
status that are cut off, report an error or do not match the API's schema.

Whatever comes back is a value: an `Answered`, or a `Failure` with a message. The key, and a password in the
address, are removed from every text that the server sends before anyone else sees it. Requests stay with the
server that the spec names: no redirect to another one is followed. Responses are read, and decompressed, up
to a limit.
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
from typing import TYPE_CHECKING, Annotated, Any, Generic, TypeVar, cast

from pydantic import BaseModel, Field, ValidationError, ValidatorFunctionWrapHandler, WrapValidator

from dsl.engines.contract import ServerSettings
from dsl.errors import BudgetSpent, ServerError
from runners.http.bodies import Read, bounded
from runners.http.failure import Api, Failure, error_message, explain, failure_of, transport_message
from runners.http.meter import FREE, Meter
from runners.http.server import Server
from runners.http.window import Window

if TYPE_CHECKING:
    from ssl import SSLContext

    from httpx2 import AsyncClient, Request, Response

T = TypeVar("T")


class ApiReply(BaseModel):
    """Base of the replies of all APIs; by itself that of one of which nothing is read, in whatever form."""

    def n_tokens(self) -> tuple[int | None, int | None]:
        """Return the numbers of tokens read and written; None where the server does not say."""
        return None, None


Form = TypeVar("Form", bound=ApiReply)


def _or_none(value: Any, validate: ValidatorFunctionWrapHandler) -> Any:
    try:
        return validate(value)
    except ValidationError:
        return None


Detail = Annotated[T | None, WrapValidator(_or_none)]
"""An optional field of a reply: None where its type is not the API's, which loses no answer."""
Count = Detail[Annotated[int, Field(ge=0, lt=2**63)]]

_CONNECT_SECONDS = 10.0
"""Seconds to connect: an unreachable machine is noticed sooner than a slow answer."""
_INITIAL_BACKOFF, _MAX_BACKOFF, _JITTER = 0.5, 8.0, 0.25
"""Exponential backoff: seconds before the first retry, seconds at most, and the largest random share taken
off each."""
_MAX_RETRY_AFTER = 120.0
"""Seconds. A request with a longer Retry-After is not retried."""
_REJECTED = frozenset({400, 413, 422})
"""HTTP statuses of a request that the server read and rejected."""
_MAX_REDIRECTS = 5
_TRANSPORT_VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR")
"""Environment variables that the transport reads, the first four also in lower case."""
_LOGGERS = ("httpx2", "httpcore2")
"""Loggers that write addresses and headers below the warning level."""


@dataclass(frozen=True)
class Answered(Generic[Form]):
    """A response with a success status that matches the API's schema."""

    reply: Form
    """Without secrets."""
    seconds: float
    """Duration of the try that succeeded."""


@dataclass(frozen=True)
class _Sent:
    """Request as it is sent."""

    method: str
    url: str
    content: bytes | None = None
    content_type: str = "application/json"


@asynccontextmanager
async def opened(
    server: Server,
    settings: ServerSettings,
    api: Api,
    form: type[Form],
    meter: Meter = FREE,
    read: Read = bounded,
) -> AsyncGenerator[Client[Form]]:
    """Open a client, whose connections are closed when the block is left. Replies are parsed as `form`.

    `read` reads bodies; by default in memory, up to a limit.

    Raises:
        ServerError: the environment holds a proxy or certificates that cannot be used, or the address is
            none.
    """
    for name in _LOGGERS:
        logging.getLogger(name).setLevel(logging.WARNING)
    async with AsyncExitStack() as stack:
        client = Client(server, settings, api, form, meter, stack, read)
        await client.prepare()
        yield client


class Client(Generic[Form]):
    """Connections to a server, its congestion window, and whether it has answered yet."""

    def __init__(
        self,
        server: Server,
        settings: ServerSettings,
        api: Api,
        form: type[Form],
        meter: Meter,
        stack: AsyncExitStack,
        read: Read,
    ) -> None:
        self._server, self._settings, self._api, self._form = server, settings, api, form
        self._meter, self._stack, self._read = meter, stack, read
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
            message = self._message(transport_message(error)).rstrip(".")
            raise ServerError(
                f"{self._server.url} cannot be asked: {message}. To reach it: {at_fault}"
            ) from error
        self._idle.append(http)

    async def ask(
        self, asked: Callable[[], Awaitable[T | Failure]], probe: Callable[[], Awaitable[T | Failure]]
    ) -> T | Failure | ServerError | BudgetSpent:
        """Return the answer, the failure of this request, or the error of all requests.

        After a failure, a `probe` that no server has a reason to reject shows which; otherwise one setting
        that the server does not know would make an error of every row.
        """
        try:
            outcome = await asked()
            if isinstance(outcome, Failure) and not (self._has_answered and outcome.status in _REJECTED):
                probe_outcome = await probe()
                if isinstance(probe_outcome, Failure):
                    return self.explained(probe_outcome)
        except BudgetSpent as error:
            return error
        self._has_answered = True
        return outcome

    async def post(
        self,
        path: str,
        body: Mapping[str, Any],
        arrived: Callable[[], Awaitable[Answered[Form] | Failure | None]] | None = None,
    ) -> Answered[Form] | Failure:
        """Send one request, with retries. `path` is appended to the server's address.

        `arrived` looks, before each retry, for what an earlier try has brought about, which is then the
        outcome: for requests that must not take effect twice.

        Raises BudgetSpent where the meter has no room for it.
        """
        return await self._retried(_Sent("POST", self._server.at(path), json.dumps(body).encode()), arrived)

    async def upload(self, path: str, content: bytes, content_type: str) -> Answered[Form] | Failure:
        """Send content of another type than JSON, with retries."""
        return await self._retried(_Sent("POST", self._server.at(path), content, content_type))

    async def get(self, path: str, query: str = "") -> Answered[Form] | Failure:
        """Ask for what lies at `path`, which is appended to the server's address, with retries."""
        return await self._retried(_Sent("GET", self._server.at(path, query)))

    async def _retried(
        self,
        sent: _Sent,
        arrived: Callable[[], Awaitable[Answered[Form] | Failure | None]] | None = None,
    ) -> Answered[Form] | Failure:
        from anyio import sleep

        n_tries = 1
        while isinstance(outcome := await self._try(sent), Failure):
            if (
                not outcome.is_transient
                or n_tries > self._settings.max_retries
                or (outcome.retry_after or 0.0) > _MAX_RETRY_AFTER
            ):
                return replace(outcome, n_tries=n_tries)
            backoff = min(_INITIAL_BACKOFF * 2.0 ** min(n_tries - 1, 16), _MAX_BACKOFF)
            await sleep(outcome.retry_after or backoff * (1 - _JITTER * random.random()))
            if arrived is not None and (found := await arrived()) is not None:
                return found
            n_tries += 1
        return outcome

    async def _try(self, sent: _Sent) -> Answered[Form] | Failure:
        async with self._window.slot() as slot:
            reserved = await self._meter.reserve(len(sent.content or b""))
            n_tokens = (None, None)  # of a request that is cancelled, which the server may charge for
            try:
                outcome = await self._send(sent)
                n_tokens = _n_tokens(outcome)
            finally:
                self._meter.settle(reserved, n_tokens)
            if isinstance(outcome, Answered):
                self._window.succeeded(slot)
            elif outcome.is_overload:
                retry_after = outcome.retry_after or 0.0
                self._window.overloaded(slot, retry_after if retry_after <= _MAX_RETRY_AFTER else 0.0)
            return outcome

    async def _send(self, sent: _Sent) -> Answered[Form] | Failure:
        from anyio import fail_after
        from httpx2 import ConnectError, ConnectTimeout, InvalidURL, RequestError, TimeoutException

        http = self._idle.pop() if self._idle else await self._connected()
        began = time.perf_counter()
        try:
            # The transport's own limit is between two bytes: a slow response could take longer in all.
            with fail_after(self._settings.timeout):
                request = http.build_request(
                    sent.method, sent.url, content=sent.content, headers={"content-type": sent.content_type}
                )
                received = await self._receive(http, request)
        except ConnectTimeout:
            return Failure(None, "no connection in time", is_overload=True, is_free=True)
        except (TimeoutException, TimeoutError):
            return Failure(
                None, f"no answer within {self._settings.timeout:g} s", is_overload=True, is_timeout=True
            )
        except (RequestError, InvalidURL, UnicodeError, zlib.error) as error:
            is_free = isinstance(error, ConnectError | InvalidURL)
            return Failure(None, self._message(transport_message(error)), is_free=is_free)
        finally:
            self._idle.append(http)
        return (
            received
            if isinstance(received, Failure)
            else self._parsed(*received, time.perf_counter() - began)
        )

    async def _receive(self, http: AsyncClient, request: Request) -> tuple[Response, bytes] | Failure:
        """Return the response and its decompressed body, after redirects within the server."""
        for _ in range(_MAX_REDIRECTS):
            response = await http.send(request, stream=True)
            try:
                if not response.has_redirect_location:
                    body = await (self._read if response.is_success else bounded)(response)
                    return body if isinstance(body, Failure) else (response, body)
                following = response.next_request
                if (
                    following is None
                    or following.method != request.method
                    or _origin(following) != _origin(request)
                ):
                    message = (
                        "it redirects to another address, which is not followed: name the one that answers as"
                        " the server's"
                    )
                    return Failure(response.status_code, message, is_transient=False)
                request = following
            finally:
                await response.aclose()
        return Failure(None, f"more than {_MAX_REDIRECTS} redirects", is_transient=False)

    def _parsed(self, response: Response, body: bytes, seconds: float) -> Answered[Form] | Failure:
        value = self._json(body)
        if not response.is_success:
            return failure_of(response, self._message(value or body.decode("utf-8", "replace")))
        if not isinstance(value, dict) and not self._form.model_fields:
            value = {}  # nothing is read of it
        if not isinstance(value, dict):
            kind = self._message(response.headers.get("content-type", "something"))
            return failure_of(response, f"it answers with {kind} that is not JSON; {self._api.address}")
        fields = cast("dict[str, Any]", value)
        if fields.get("error"):
            return failure_of(
                response, f"an error with status {response.status_code}: {self._message(fields)}"
            )
        try:
            return Answered(self._form.model_validate(value), seconds)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            where = ".".join(map(str, first["loc"]))
            return failure_of(
                response,
                self._message(f"the server's reply has not the form of the API: {where}: {first['msg']}"),
            )

    async def _connected(self) -> AsyncClient:
        """Open a client with one connection: a shared pool scans all its connections at every request, which
        takes longer than the request."""
        from httpx2 import AsyncClient, Timeout

        seconds = self._settings.timeout
        # some servers that need no key refuse a request without one
        key = self._server.key.get_secret_value() or "none"
        http = AsyncClient(
            headers={
                "authorization": f"Bearer {key}",
                "accept": "application/json",
                "accept-encoding": "gzip",
            },
            timeout=Timeout(seconds, connect=min(seconds, _CONNECT_SECONDS)),
            verify=self._tls or True,
            trust_env=not self._server.is_own,
        )
        return await self._stack.enter_async_context(http)

    def _json(self, content: bytes) -> Any:
        """Return JSON without secrets; None where it is invalid or nested too deeply."""
        try:
            return self._server.cleaned(json.loads(content))
        except (ValueError, RecursionError):
            return None

    def _message(self, error: object) -> str:
        return error_message(self._server.cleaned(error))

    def explained(self, failure: Failure) -> ServerError:
        """Return the error for a failure of all requests, with advice."""
        return explain(failure, self._server, self._settings.name, self._api)


def _n_tokens(outcome: Answered[Any] | Failure) -> tuple[int | None, int | None]:
    """Return the numbers of tokens that a server charges for. An error, or no connection, is free; a reply
    that was lost on its way may not be."""
    if isinstance(outcome, Answered):
        return outcome.reply.n_tokens()
    return (0, 0) if outcome.is_free else (None, None)


def _origin(request: Request) -> tuple[str, str, int | None]:
    return request.url.scheme, request.url.host, request.url.port
