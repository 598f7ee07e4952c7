"""Refuses requests that do not come from a page of this server, and tells browsers what its pages may do.

A page of another site can send requests to this machine, and with a host name of its own that points here
(DNS rebinding) it could read the answers. So a request has to name this machine as its host and, where it
says whose page it comes from, a page of this server.
"""

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

LOOPBACK = ("127.0.0.1", "localhost", "::1")

HEADERS = {
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


class Guard:
    """Middleware: another host or origin is refused with 403, whatever it asks for."""

    def __init__(self, app: "ASGIApp") -> None:
        self.app = app

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        app = self.app if is_own(Headers(scope=scope)) else _REFUSED

        async def send_guarded(message: "Message") -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.update(HEADERS)
                headers.setdefault("Content-Security-Policy", "default-src 'none'; sandbox")
            await send(message)

        await app(scope, receive, send_guarded)


def is_own(headers: "Headers") -> bool:
    """Test whether a request names this machine as its host and comes from no page of another server."""
    host = headers.get("host", "")
    try:
        if urlsplit(f"//{host}").hostname not in LOOPBACK:
            return False
    except ValueError:
        return False
    return headers.get("origin") in (None, f"http://{host}") and headers.get("sec-fetch-site") in (
        None,
        "none",
        "same-origin",
    )


_REFUSED = PlainTextResponse("Refused: this server answers pages of its own, on this machine.\n", 403)
