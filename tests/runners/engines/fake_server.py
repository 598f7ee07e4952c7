"""A real HTTP server on this machine that answers, or misbehaves, as a test says, and the `openai` engine in
front of it.

The server keeps what it was asked, and how much of it at once.
"""

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from dsl.data.records import Prompt
from dsl.engines.contract import Decoding
from dsl.engines.openai import Settings
from runners.engines.contract import EngineAnswer, EngineRequest
from runners.engines.openai import Engine


@dataclass(frozen=True)
class Asked:
    """One request."""

    path: str
    headers: Mapping[str, str]
    """Names in lower case."""
    body: dict[str, Any]
    n_before: int
    """Number of times that the same prompt was asked before."""
    at_once: int
    """Number of requests that the server then had, this one included."""
    seconds: float
    """Time of its arrival, by the clock of `time.perf_counter`."""

    @property
    def prompt(self) -> str:
        """Content of a request: the prompt, the last message, or the state of a System One question."""
        if "state" in self.body:
            return json.dumps(self.body["state"])
        return self.body["prompt"] if "prompt" in self.body else self.body["messages"][-1]["content"]


@dataclass(frozen=True)
class Said:
    """The server's reply."""

    body: object = ""
    """JSON; text and bytes go out as they are."""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    """Time before it says anything."""
    trickle: int = 0
    """So many blanks first, one every 50 ms."""


@dataclass
class Running:
    """A server while it runs."""

    url: str
    asked: list[Asked] = field(default_factory=list)
    most_at_once: int = 0
    at_once: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)


SOON = {"retry-after-ms": "20"}
"""Keeps the client's pauses short."""


def completion(text: str | None, finish_reason: str = "stop", **more: Any) -> Said:
    """A good answer of `/v1/completions`; `more` goes into the choice."""
    choice = {"index": 0, "text": text, "finish_reason": finish_reason, "logprobs": None, **more}
    usage = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
    return Said(
        {
            "id": "1",
            "object": "text_completion",
            "created": 1,
            "model": "served-42",
            "choices": [choice],
            "usage": usage,
        }
    )


def chat(content: str | None, finish_reason: str = "stop") -> Said:
    """A good answer of `/v1/chat/completions`."""
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": content},
        "finish_reason": finish_reason,
    }
    usage = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
    return Said(
        {
            "id": "1",
            "object": "chat.completion",
            "created": 1,
            "model": "served-42",
            "choices": [choice],
            "usage": usage,
        }
    )


@contextmanager
def serving(
    answer: Callable[[Asked], Said],
    tokenize: Callable[[dict[str, Any]], Said] | None = None,
    apply_template: Callable[[dict[str, Any]], Said] | None = None,
) -> Iterator[Running]:
    """Serve on a free port of this machine until the block is left. `tokenize` answers `/tokenize` and
    `apply_template` `/apply-template`, which most servers do not have; they are no questions of the model."""
    aside = {"/tokenize": tokenize, "/apply-template": apply_template}

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # head and body in one packet

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            if self.path in aside:
                asks_aside = aside[self.path]
                return self._send(Said({}, 404) if asks_aside is None else asks_aside(body))
            with running.lock:
                running.at_once += 1
                running.most_at_once = max(running.most_at_once, running.at_once)
                headers = {name.lower(): value for name, value in self.headers.items()}
                asked = Asked(self.path, headers, body, 0, running.at_once, time.perf_counter())
                asked = replace(asked, n_before=sum(one.prompt == asked.prompt for one in running.asked))
                running.asked.append(asked)
            try:
                said = answer(asked)
                time.sleep(said.seconds)
            finally:
                with running.lock:
                    running.at_once -= 1
            return self._send(said)

        def _send(self, said: Said) -> None:
            content = (
                said.body
                if isinstance(said.body, bytes)
                else said.body.encode()
                if isinstance(said.body, str)
                else None
            )
            content = json.dumps(said.body).encode() if content is None else content
            self.send_response(said.status)
            for name, value in {
                "content-type": "application/json",
                "content-length": str(said.trickle + len(content)),
                **said.headers,
            }.items():
                self.send_header(name, value)
            self.end_headers()
            try:
                for _ in range(said.trickle):
                    self.wfile.write(b" ")
                    self.wfile.flush()
                    time.sleep(0.05)
                self.wfile.write(content)
                self.wfile.flush()
            except (BrokenPipeError, ConnectionResetError):  # whoever asked has gone
                self.close_connection = True

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        running = Running(f"http://127.0.0.1:{server.server_port}/v1")
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield running
        finally:
            server.shutdown()
            thread.join()


def engine(server: Running | str, **settings: Any) -> Engine:
    url = server if isinstance(server, str) else server.url
    return Engine(
        Settings.model_validate({"name": "tiny", "base_url": url, "max_retries": 2, **settings}),
        None,
        Path("unused"),
    )


def requests(*texts: str) -> list[EngineRequest]:
    return [EngineRequest(key=text, prompt=Prompt(text=text)) for text in texts]


def answers(to: Engine, asked: list[EngineRequest], **decoding: Any) -> dict[str, EngineAnswer]:
    return {answer.key: answer for answer in to.generate(asked, Decoding.model_validate(decoding))}
