"""Failures of servers as values: transient or not, when to retry, and a message without secrets."""

from __future__ import annotations

import email.utils
import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from dsl.errors import ServerError
from dsl.messages import one_line, scrub

if TYPE_CHECKING:
    from httpx2 import Response

    from runners.http.server import Server

_TRANSIENT = frozenset({408, 409, 429})
"""HTTP statuses, beside 5xx, after which a retry may succeed."""
_OVERLOADED = frozenset({429, 503, 504})
_MAX_MESSAGE = 300
"""Characters of a server's message at most: some send a page of HTML."""


@dataclass(frozen=True)
class Failure:
    """A request that was not answered."""

    status: int | None
    """HTTP status; None without a readable response."""
    message: str
    """The server's message or the reason, without secrets, on one line."""
    n_tries: int = 1
    is_transient: bool = True
    """A retry may succeed."""
    is_overload: bool = False
    """The server is overloaded."""
    is_timeout: bool = False
    is_free: bool = False
    """The server did not work on the request, so it charges nothing."""
    retry_after: float | None = None
    """Seconds, where the server names them."""

    def tries(self) -> str:
        """Return `in 3 tries`, or `at the only try`."""
        return f"in {self.n_tries} tries" if self.n_tries > 1 else "at the only try"

    def describe(self, what: str) -> str:
        """Describe the failure of one request (`what`: a prompt, a question) to a server that answers
        others."""
        status = "" if self.status is None else f" ({self.status})"
        if self.is_transient:
            return (
                f"the server failed on this {what} {self.tries()}, and answers others{status}: {self.message}"
            )
        return f"the server refused this {what}{status}: {self.message}"


@dataclass(frozen=True)
class Api:
    """Parts of messages about an API."""

    address: str
    """A hint at the form of its address."""
    shared: str
    """Settings that all requests share."""


def failure_of(response: Response, message: str) -> Failure:
    """Return a response's failure: by its status or, where that is a success, because it cannot be parsed."""
    status, retry_after = None if response.is_success else response.status_code, retry_after_of(response)
    # OpenAI's: `false` comes with a 429 where the money is spent
    should_retry = response.headers.get("x-should-retry")
    is_transient = should_retry == "true" or (should_retry != "false" and may_pass(status))
    return Failure(
        status,
        message,
        is_transient=is_transient,
        is_overload=status in _OVERLOADED,
        is_free=status is not None,
        retry_after=retry_after,
    )


def may_pass(status: int | None) -> bool:
    """Test whether a request that ended with this HTTP status, or with a reply that cannot be parsed, may
    succeed later."""
    return status is None or status in _TRANSIENT or status >= 500


def retry_after_of(response: Response) -> float | None:
    """Return the seconds of OpenAI's `retry-after-ms`, or of `retry-after`, a number or a date. None where
    they are not in the future."""
    for name, unit in (("retry-after-ms", 1e-3), ("retry-after", 1.0)):
        try:
            seconds = float(response.headers.get(name, "")) * unit
        except ValueError:
            continue
        return seconds if seconds > 0 else None
    try:
        date = email.utils.parsedate_to_datetime(response.headers.get("retry-after", ""))
        return max(0.0, date.timestamp() - time.time()) or None
    except (ValueError, OverflowError):
        return None


def error_message(error: object) -> str:
    """Return the message in an error's JSON, on one line: OpenAI's `message`, FastAPI's `detail`, else all of
    it."""
    if isinstance(error, dict):
        fields = cast("dict[str, Any]", error)
        inner = fields.get("error")
        fields = cast("dict[str, Any]", inner) if isinstance(inner, dict) else fields
        named = (fields.get(name) for name in ("message", "detail", "error"))
        found = next((message for message in named if isinstance(message, str)), None)
        error = found or json.dumps(fields, ensure_ascii=False)
    message = scrub(one_line(str(error))) or "no reason given"
    return message if len(message) <= _MAX_MESSAGE else message[: _MAX_MESSAGE - 1] + "…"


def transport_message(error: BaseException) -> str:
    """Return the message of the innermost error, as in `Connect call failed ('127.0.0.1', 8000)`: the outer
    ones say only that something failed."""
    message = type(error).__name__
    inner: BaseException | None = error
    while inner is not None:
        message = str(inner) or message
        if isinstance(inner, BaseExceptionGroup):
            inner = cast("BaseExceptionGroup[BaseException]", inner).exceptions[0]
        else:
            inner = inner.__cause__ or inner.__context__
    return message


def explain(failure: Failure, server: Server, model: str, api: Api) -> ServerError:
    """Return the error for a failure of all requests, with advice."""
    status, message = failure.status, failure.message.rstrip(".")
    if status in (401, 403):
        key = server.api_key_env
        advice = (
            f"The key comes from the environment variable {key}"
            if key
            else "A key is named by its environment variable: `api_key_env`"
        )
        return ServerError(f"{server.url} does not let us use {model} ({status}): {message}. {advice}")
    if status in (404, 405):
        return ServerError(
            f"{server.url} has no model {model}, or does not answer this kind of request ({status}):"
            f" {message}. `name` is the model as the server calls it; {api.address}"
        )
    if status in (400, 413, 422):
        return ServerError(
            f"{server.url} refuses every request for {model} ({status}): {message}. At fault is what all"
            f" requests share: {api.shared}"
        )
    advice = "What was answered is kept: run it again when the server is back"
    if failure.is_timeout:
        advice = "A larger `timeout` gives it longer; what was answered is kept"
    elif status == 429:
        advice = "A smaller `max_concurrency` asks it less often; what was answered is kept"
    last = message if status is None else f"{status}: {message}"
    tries = failure.tries()
    return ServerError(f"{server.url} did not answer for {model} {tries}; the last: {last}. {advice}")
