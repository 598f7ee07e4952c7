"""Loaded by `make test-quick`: what loads torch, starts a process or listens at a port fails there, unless it
is marked as slow."""

import sys
from typing import Any

import pytest

_EVENTS = {"subprocess.Popen", "os.posix_spawn", "os.fork", "socket.bind"}


def pytest_collection_finish(session: pytest.Session) -> None:
    """Begin to watch once the tests are read. In the process that only deals them out to workers there are
    none."""
    if session.items:
        if "torch" in sys.modules:
            raise pytest.UsageError("a file of the quick tests loads torch when it is read")
        sys.addaudithook(_refuse)


def _refuse(event: str, arguments: tuple[Any, ...]) -> None:
    if event in _EVENTS or (event == "import" and arguments[0] == "torch"):
        raise RuntimeError(f"{event} {arguments[0]}: the quick tests do without; mark this one as slow")
