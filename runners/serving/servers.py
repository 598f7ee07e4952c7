"""Servers of models that this process starts: one at a time, on the loopback address with a random key, ended
with the process."""

import atexit
import contextlib
import hashlib
import os
import re
import secrets
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, Field, SecretStr

from dsl.engines.openai import Settings as Address
from dsl.errors import ServerError
from runners.http.client import Answered, ApiReply, Count, Detail, opened
from runners.http.failure import Api, error_message
from runners.http.server import Server
from runners.serving import guard

API = Api(
    address="`base_url` is the address before /v1",
    shared="the model, or a decoding that this version of the server does not know",
)
PORT = "{port}"
"""Stands for the port in a command."""

_HOST = "127.0.0.1"
_START_SECONDS = 3600.0
"""Patience with a server that starts: large weights take long to be read."""
_LOOK_SECONDS = 0.25
_REQUEST_SECONDS = 3600.0
"""Patience with an answer: a server of our own queues what it cannot do yet."""
_MAX_RETRIES = 2
_LAST_BYTES = 20_000
_FAILED = ".failed"
"""Ending of the file that says why a launch failed."""
_ERROR = re.compile(r"\b\w*(?:Error|Exception|error)\b: ?(?=\S)")
_OF_ANOTHER = re.compile("Engine core|EngineCore.*died")
"""Errors that only say that there was one."""


class Model(BaseModel):
    """A model that a server has."""

    id: str
    parent: Detail[str] = None
    """The model that an adapter is on."""
    max_model_len: Count = None


class Models(ApiReply):
    """Reply of `/v1/models`."""

    data: Annotated[list[Model], Field(min_length=1)]


@dataclass(frozen=True)
class Launch:
    """Start of a server: the same launch is the same server.

    Any server will do that answers at `/v1/models` as OpenAI's API has it, and takes its key from an
    environment variable.
    """

    name: str
    """For people, and for the log's name."""
    command: tuple[str, ...]
    """Its words, of which one is `PORT`."""
    key_variable: str
    """The environment variable in which it finds its key."""
    environment: tuple[tuple[str, str], ...] = ()
    """Further variables."""


def option(name: str, value: str | float | bool) -> tuple[str, ...]:
    """Return the words of a server's option."""
    flag = name.replace("_", "-")
    if isinstance(value, bool):
        return (f"--{flag}",) if value else (f"--no-{flag}",)
    return (f"--{flag}", str(value))


class Running:
    """A server that this process has started, ready to be asked."""

    def __init__(self, launch: Launch, folder: Path) -> None:
        """Start the server and wait for it; it logs into `folder`. Raises ServerError where it ends before it
        is ready."""
        self.launch = launch
        key, port = SecretStr(secrets.token_urlsafe(24)), _free_port()
        self.settings = Address.model_validate(
            {
                "name": launch.name,
                "base_url": f"http://{_HOST}:{port}",
                "timeout": _REQUEST_SECONDS,
                "max_retries": _MAX_RETRIES,
            }
        )
        self.server = Server(self.settings, key)
        folder.mkdir(parents=True, exist_ok=True)
        self.log = folder / f"{re.sub(r'[^A-Za-z0-9_.-]+', '-', launch.name)[-60:]}-{os.getpid()}.log"
        self._guard = subprocess.Popen(
            [sys.executable, "-I", guard.__file__, str(self.log), *_with_port(launch.command, port)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=_environment({launch.key_variable: key.get_secret_value(), **dict(launch.environment)}),
            start_new_session=True,  # it outlives this process, for as long as it takes to end the server
        )
        self._wait()

    def has_ended(self, patience: float = 0.0) -> bool:
        """Test whether the server has ended, or does within so many seconds."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._guard.wait(patience)
        return self._guard.returncode is not None

    def why_ended(self) -> str:
        """Describe how the server ended."""
        last = _last_error(self.log)
        code = self._guard.returncode
        return f"the server of {self.launch.name} ended with exit code {code}{last}. Its log is {self.log}"

    def end(self) -> None:
        """End the server with all that it has started, and wait for that."""
        assert self._guard.stdin is not None
        self._guard.stdin.close()
        self._guard.wait()

    def _wait(self) -> None:
        import anyio

        try:
            anyio.run(self._ready)
        except BaseException:
            self.end()
            raise

    async def _ready(self) -> None:
        from anyio import sleep

        patience = time.monotonic() + _START_SECONDS
        async with opened(self.server, self.settings, API, Models) as client:
            while time.monotonic() < patience:
                if isinstance(await client.get("v1/models"), Answered):
                    return
                if self.has_ended():
                    raise ServerError(self.why_ended())
                await sleep(_LOOK_SECONDS)
        raise ServerError(
            f"the server of {self.launch.name} was not ready after {_START_SECONDS:.0f} s. Its log is"
            f" {self.log}"
        )


_running: Running | None = None
"""The server that this process asked last: a worker runs the steps of one model one after another."""
_ending = threading.Lock()
"""Held while it ends, so that whoever asks for its end meanwhile waits for that, too."""


def running(launch: Launch, folder: Path) -> Running:
    """Return the server of a launch, started now unless it is the last one's and runs; another one is ended
    before.

    Raises ServerError where it does not start. That is remembered in the folder: with the same weights,
    arguments and GPUs it would not start for the next step either, and large weights take long to be read.
    """
    global _running
    has_run = _running is not None and _running.launch == launch
    if _running is not None and (not has_run or _running.has_ended()):
        end()
    if _running is None:
        failed = folder / f"{_digest(launch)}{_FAILED}"
        if failed.exists():
            raise ServerError(f"not started again: {failed.read_text('utf-8')}")
        try:
            _running = Running(launch, folder)
        except ServerError as error:
            if not has_run:
                with contextlib.suppress(OSError):  # it only saves time
                    failed.write_text(str(error), "utf-8")
            raise
        atexit.register(end)
    return _running


def forget_failed(folder: Path) -> None:
    """Forget the launches that failed, as an apply begins: the machine may be another by now."""
    for failed in folder.glob(f"*{_FAILED}"):
        failed.unlink(missing_ok=True)


def _digest(launch: Launch) -> str:
    """Return a name of a launch on this machine with the GPUs that this process sees."""
    named = (socket.gethostname(), os.environ.get("CUDA_VISIBLE_DEVICES"), launch)
    return hashlib.sha256(repr(named).encode()).hexdigest()[:16]


def end() -> None:
    """End the server that this process has started, if there is one."""
    global _running
    with _ending:
        was, _running = _running, None
        if was is not None:
            was.end()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((_HOST, 0))
        return probe.getsockname()[1]


def _with_port(command: tuple[str, ...], port: int) -> list[str]:
    return [str(port) if word == PORT else word for word in command]


def _environment(more: Mapping[str, str]) -> dict[str, str]:
    """Return a server's environment: this one without the modules of this one's Python."""
    ours = {"PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV"}
    return {name: value for name, value in os.environ.items() if name not in ours} | dict(more)


def _last_error(log: Path) -> str:
    """Return the last error in a log that says why, else its last line."""
    lines: list[str] = []
    with contextlib.suppress(OSError):
        lines = log.read_bytes()[-_LAST_BYTES:].decode(errors="replace").strip().splitlines()
    errors = [line[found.start() :] for line in lines if (found := _ERROR.search(line))]
    said = [line for line in errors if not _OF_ANOTHER.search(line)] or errors or lines
    return f": {error_message(said[-1])}" if said else ""
