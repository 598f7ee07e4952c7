"""Tokens that a server makes of texts and chats, where it tells them: vLLM at `/tokenize`, llama.cpp's server
there and at `/apply-template`."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Annotated, Any

from pydantic import Field

from dsl.engines.openai import Settings
from dsl.errors import ServerError
from runners.http.client import Answered, ApiReply, Client, Count, opened
from runners.http.concurrent import concurrently
from runners.http.failure import Api, Failure
from runners.http.server import Server

_SECONDS = 10.0
_API = Api(address="`base_url` usually ends in /v1", shared="`name`")
_UNKNOWN = frozenset({404, 405})
"""HTTP statuses of an address that a server does not have."""
_REFUSED = frozenset({400, 422, 501})
"""HTTP statuses of a request that a server does not take."""

Token = Annotated[int, Field(ge=0, lt=2**31)]


class Tokens(ApiReply):
    """Reply of either address: tokens, or the text of a chat."""

    tokens: list[Token] = []
    prompt: str = ""
    max_model_len: Count = None


class _Untold(ServerError):
    """A server that tells no tokens, with the reason."""


def tokenised(
    settings: Settings, bodies: Sequence[Mapping[str, Any]]
) -> tuple[list[Tokens | None], str | None]:
    """Ask a server for tokens, one body after another; None from the first on that it gives none for.

    With them comes the reason why it gives none. Where its address or its key is lacking here, nothing is
    asked and there is no reason: the server's first row reports that.
    """
    replies: list[Tokens | None] = [None] * len(bodies)
    try:
        server = Server(settings)
        root = server.url.removesuffix("/v1")
        once = {"base_url": root, "base_url_env": None, "max_retries": 0}
        plain = settings.model_copy(update={**once, "timeout": min(settings.timeout, _SECONDS)})
        server = Server(plain)

        @asynccontextmanager
        async def calls() -> AsyncGenerator[Callable[[int], Awaitable[tuple[int, Tokens] | Exception]]]:
            async with opened(server, plain, _API, Tokens) as client:

                async def ask(place: int) -> tuple[int, Tokens] | ServerError:
                    reply = await _answer(client, {"model": settings.name, **bodies[place]})
                    return _untold(server, reply) if isinstance(reply, Failure) else (place, reply)

                yield ask

        for place, reply in concurrently(range(len(bodies)), calls, 1):
            replies[place] = reply
    except _Untold as error:
        return replies, str(error)
    except ServerError:  # which the server's first row reports
        pass
    return replies, None


def text_body(text: str) -> dict[str, Any]:
    """Return the request about a text, in the words of vLLM and of llama.cpp's server."""
    return {
        "prompt": text,
        "add_special_tokens": True,
        "content": text,
        "add_special": True,
        "parse_special": True,
    }


async def _answer(client: Client[Tokens], body: Mapping[str, Any]) -> Tokens | Failure:
    """Return the tokens of a text or a chat: vLLM tokenises either, llama.cpp's server a text alone, and
    answers with none where it finds no text."""
    reply = await _post(client, "tokenize", body)
    if "messages" not in body or (isinstance(reply, Tokens) and reply.tokens):
        return reply
    if isinstance(reply, Failure) and reply.status not in _UNKNOWN | _REFUSED:
        return reply
    chat = await _post(client, "apply-template", body)
    if isinstance(chat, Failure):
        is_known = isinstance(reply, Failure) and chat.status in _UNKNOWN
        return reply if is_known else chat
    if not chat.prompt:
        return Failure(None, "no text in the reply")
    return await _post(client, "tokenize", {"model": body["model"], **text_body(chat.prompt)})


async def _post(client: Client[Tokens], path: str, body: Mapping[str, Any]) -> Tokens | Failure:
    outcome = await client.post(path, body)
    return outcome.reply if isinstance(outcome, Answered) else outcome


def _untold(server: Server, failure: Failure) -> _Untold:
    status = "" if failure.status is None else f"{failure.status}: "
    return _Untold(f"{server.host} tells no tokens ({status}{failure.message})")
