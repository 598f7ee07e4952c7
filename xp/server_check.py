"""A question to a model server that costs nothing: does it answer, and does it serve the model?"""

from collections.abc import Container

from pydantic import BaseModel

from dsl.engines.contract import ServerSettings
from dsl.errors import ServerError
from dsl.messages import listed, one_line, shorten
from runners.http.client import Answered, ApiReply, opened
from runners.http.failure import Api, Failure
from runners.http.server import Server, call_of

SECONDS = 10.0
"""Longest wait for the list."""

_API = Api(address="`base_url` ends in /v1 for most servers", shared="the address")


class _Model(BaseModel):
    id: str


class _Models(ApiReply):
    data: list[_Model]


def check_server(settings: ServerSettings, allowed: Container[tuple[str, str]]) -> tuple[bool, str]:
    """Ask a server for its list of models. Returns whether nothing hinders, and a sentence.

    Args:
        settings: The server and the model on it.
        allowed: Environment variables and the hosts that they may be sent to; another is not sent.
    """
    import anyio

    try:
        call = call_of(settings)
        is_sent = call.variable is not None and (call.variable, call.host) in allowed
        asked = settings if is_sent else settings.model_copy(update={"api_key_env": None})
        asked = asked.model_copy(update={"timeout": min(settings.timeout, SECONDS), "max_retries": 0})
        found = anyio.run(_list, Server(asked), asked)
    except ServerError as error:
        return False, str(error)
    name = one_line(settings.name)
    if isinstance(found, Answered):
        served = [one_line(model.id) for model in found.reply.data]
        if settings.name in served:
            return True, f"{call.host} answers and serves {name}"
        return (
            False,
            f"{call.host} serves {shorten(listed(served)) or 'nothing'}, not {name}: correct `name`",
        )
    if found.status in (401, 403) and call.variable is not None and not is_sent:
        return (
            True,
            f"{call.host} answers and wants a key; this store does not allow {call.variable} to be sent yet",
        )
    if found.status in (404, 405):
        return True, f"{call.host} answers, and does not say which models it serves"
    status = "" if found.status is None else f" ({found.status})"
    return (
        False,
        f"{call.host} cannot be used{status}: {found.message}. Start it, or correct its address or key",
    )


async def _list(server: Server, settings: ServerSettings) -> Answered[_Models] | Failure:
    async with opened(server, settings, _API, _Models) as client:
        return await client.get("models")
