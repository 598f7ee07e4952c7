"""A server's failures as values: whether another try may help, how long to wait before it, and what it means,
in words without secrets."""

from __future__ import annotations

import email.utils
import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dsl.errors import ServerError
from dsl.messages import one_line, scrub

if TYPE_CHECKING:
    from httpx2 import Response

    from runners.http.server import Server

_PASSING = frozenset({408, 409, 429})
"""HTTP statuses, beside 5xx, after which another try may be answered."""
_CROWDED = frozenset({429, 503, 504})
_LONGEST_WORDS = 300
"""Characters of a server's own words: some send a page of HTML."""


@dataclass(frozen=True)
class Failure:
    """A request that was not answered."""

    status: int | None
    """HTTP status; None where there was no readable answer at all."""
    words: str
    """The server's words or the reason, without secrets, on one line."""
    n_tries: int = 1
    is_passing: bool = True
    """Whether another try may be answered."""
    is_crowded: bool = False
    """Whether the server has too much to do."""
    is_timeout: bool = False
    wait: float | None = None
    """Seconds after which the server wants to be asked again, where it says so."""

    def tries(self) -> str:
        """As in `in 3 tries`."""
        return f"in {self.n_tries} tries" if self.n_tries > 1 else "at the only try"

    def of_one(self, what: str) -> str:
        """The failure of one request (`what`: a prompt, a question) to a server that answers others, in
        words."""
        status = "" if self.status is None else f" ({self.status})"
        if self.is_passing:
            return (
                f"the server failed on this {what} {self.tries()}, and answers others{status}: {self.words}"
            )
        return f"the server refused this {what}{status}: {self.words}"


@dataclass(frozen=True)
class Api:
    """What is said of an API that does not answer."""

    address: str
    """What its address is like."""
    shared: str
    """What all requests have in common."""


def failed(response: Response, words: str) -> Failure:
    """The failure that a response is, by its status or, where that is good, because it cannot be read."""
    status, wait = None if response.is_success else response.status_code, asked_to_wait(response)
    # OpenAI's: `false` comes with a 429 where the money is spent
    said = response.headers.get("x-should-retry")
    is_passing = said == "true" or (
        said != "false" and (status is None or status in _PASSING or status >= 500)
    )
    return Failure(status, words, is_passing=is_passing, is_crowded=status in _CROWDED, wait=wait)


def asked_to_wait(response: Response) -> float | None:
    """Seconds: OpenAI's `retry-after-ms`, or `retry-after`, which is a number or a date. None where it is not
    in the future."""
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


def in_words(error: object) -> str:
    """What an error's JSON says, on one line: OpenAI's `message`, FastAPI's `detail`, else all of it."""
    if isinstance(error, dict):
        inner = error.get("error")
        error = inner if isinstance(inner, dict) else error
        named = (error.get(name) for name in ("message", "detail", "error"))
        error = next((words for words in named if isinstance(words, str)), None) or json.dumps(
            error, ensure_ascii=False
        )
    words = scrub(one_line(str(error))) or "no reason given"
    return words if len(words) <= _LONGEST_WORDS else words[: _LONGEST_WORDS - 1] + "…"


def in_words_of_transport(error: BaseException) -> str:
    """What the innermost error says, as in `Connect call failed ('127.0.0.1', 8000)`: the ones around it say
    only that something failed."""
    words = type(error).__name__
    inner: BaseException | None = error
    while inner is not None:
        words = str(inner) or words
        inner = (
            inner.exceptions[0]
            if isinstance(inner, BaseExceptionGroup)
            else inner.__cause__ or inner.__context__
        )
    return words


def explain(failure: Failure, server: Server, model: str, api: Api) -> ServerError:
    """What a failure means for all requests, and what to do about it."""
    status, words = failure.status, failure.words.rstrip(".")
    if status in (401, 403):
        key = server.api_key_env
        todo = (
            f"The key comes from the environment variable {key}"
            if key
            else "A key is named by its environment variable: `api_key_env`"
        )
        return ServerError(f"{server.url} does not let us use {model} ({status}): {words}. {todo}")
    if status in (404, 405):
        return ServerError(
            f"{server.url} has no model {model}, or does not answer this kind of request ({status}): {words}."
            f" `name` is the model as the server calls it; {api.address}"
        )
    if status in (400, 413, 422):
        return ServerError(
            f"{server.url} refuses every request for {model} ({status}): {words}. At fault is what all"
            f" requests share: {api.shared}"
        )
    todo = "What was answered is kept: run it again when the server is back"
    if failure.is_timeout:
        todo = "A larger `timeout` gives it longer; what was answered is kept"
    elif status == 429:
        todo = "A smaller `max_concurrency` asks it less often; what was answered is kept"
    last = words if status is None else f"{status}: {words}"
    return ServerError(f"{server.url} did not answer for {model} {failure.tries()}; the last: {last}. {todo}")
