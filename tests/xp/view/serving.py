"""A store served in this process, and requests to it as any program sends them."""

import contextlib
import http.client
import socket
import threading
import time
from collections.abc import Generator, Mapping
from pathlib import Path

import uvicorn

from xp.view.server import application


@contextlib.contextmanager
def served(store: Path) -> Generator[int]:
    """Serve a store for the block; yields the port."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(application(store), log_level="warning"))
        beside = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        beside.start()
        try:
            while not server.started:
                time.sleep(0.02)
            yield listener.getsockname()[1]
        finally:
            server.should_exit = True
            beside.join()


def ask(
    port: int, path: str, headers: Mapping[str, str] | None = None, method: str = "GET"
) -> tuple[int, Mapping[str, str], str]:
    """Send a request; returns (status, headers, text)."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    with contextlib.closing(connection):
        connection.request(method, path, headers=dict(headers or {}))
        found = connection.getresponse()
        return (
            found.status,
            {name.lower(): value for name, value in found.getheaders()},
            found.read().decode(),
        )
