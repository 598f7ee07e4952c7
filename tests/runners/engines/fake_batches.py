"""A real HTTP server on this machine with the documented batch API of OpenAI: files, batches with their
states, a list in pages, and the endpoints that batches are for.

Nothing is answered before a test says so (`end`). What a client sends is checked as the provider checks it.
"""

import email
import email.policy
import json
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, cast
from urllib.parse import parse_qs, urlsplit

from tests.runners.engines.fake_server import SOON, Said

Row = dict[str, Any]

UNKNOWN = ("top_k", "min_p", "repetition_penalty")
"""Parameters that OpenAI rejects."""


def answered(row: Row) -> Row:
    """A line of the file of answers."""
    body = row["body"]
    asked = body["prompt"] if "prompt" in body else body["messages"][-1]["content"]
    text = f"answer to {asked[-20:]}"
    choice = {"text": text} if "prompt" in body else {"message": {"role": "assistant", "content": text}}
    reply: Row = {
        "model": "served-42",
        "system_fingerprint": "fp_1",
        "choices": [{"index": 0, "finish_reason": "stop", **choice}],
        "usage": {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10},
    }
    response = {"status_code": 200, "request_id": "req", "body": reply}
    return {"id": "batch_req", "custom_id": row["custom_id"], "response": response, "error": None}


def refused(row: Row, status: int = 400, message: str = "too long") -> Row:
    """A line of the file of errors: a request that the model's endpoint did not take."""
    response = {"status_code": status, "request_id": "req", "body": {"error": {"message": message}}}
    return {"id": "batch_req", "custom_id": row["custom_id"], "response": response, "error": None}


def unasked(row: Row, code: str = "batch_expired") -> Row:
    """A line of the file of errors: a request that was not executed."""
    error = {"code": code, "message": "This request was not executed."}
    return {"id": "batch_req", "custom_id": row["custom_id"], "response": None, "error": error}


@dataclass
class Provider:
    """The server while it runs, and all that it has."""

    url: str
    files: dict[str, bytes] = field(default_factory=dict[str, bytes])
    batches: list[Row] = field(default_factory=list[Row])
    """The oldest first."""
    asked: list[str] = field(default_factory=list[str])
    """Method and path of each request."""
    single: list[Row] = field(default_factory=list[Row])
    """Bodies of requests that were sent by themselves."""
    meanwhile: Callable[[str], Said | None] = lambda asked: None
    """Called when a request has taken effect, with its method and path, before its reply is sent; a reply
    that it returns is sent in the place of the true one."""
    before: Callable[[str], Said | None] = lambda asked: None
    """Called before a request takes effect; with a reply from here it takes none."""
    page: int = 100
    lock: threading.Lock = field(default_factory=threading.Lock)

    def rows(self, batch: int = -1) -> list[Row]:
        """Requests of a batch."""
        return [json.loads(line) for line in self.files[self.batches[batch]["input_file_id"]].splitlines()]

    def begin(self) -> None:
        for batch in self.batches:
            if batch["status"] == "validating":
                batch["status"] = "in_progress"

    def end(
        self,
        line: Callable[[Row], Row | None] = answered,
        status: str = "completed",
        batch: int = -1,
        **more: Any,
    ) -> None:
        """End a batch, with a line for each of its requests, or None for none."""
        lines = [found for row in self.rows(batch) if (found := line(row)) is not None]
        good = [one for one in lines if one["response"] and one["response"]["status_code"] == 200]
        bad = [one for one in lines if one not in good]
        ended = self.batches[batch]
        ended |= {"status": status, **more}
        for name, found in (("output_file_id", good), ("error_file_id", bad)):
            if found:
                ended[name] = self._kept("".join(json.dumps(one) + "\n" for one in found[::-1]).encode())

    def _kept(self, content: bytes) -> str:
        name = f"file-{len(self.files)}"
        self.files[name] = content
        return name

    def reply(self, method: str, address: str, content_type: str, content: bytes) -> Said:
        """Do what is asked, and return the reply."""
        parts = urlsplit(address)
        where, query = parts.path.removeprefix("/v1/"), parse_qs(parts.query)
        match [method, *where.split("/")]:
            case ["POST", "files"]:
                return self._upload(content_type, content)
            case ["POST", "batches"]:
                return self._create(json.loads(content))
            case ["GET", "batches"]:
                return self._page(query)
            case ["GET", "batches", name]:
                found = [batch for batch in self.batches if batch["id"] == name]
                return Said(found[0]) if found else _fault(404, f"No batch found with id '{name}'.")
            case ["GET", "files", name, "content"]:
                known = name in self.files
                return Said(self.files[name]) if known else _fault(404, f"No such File object: {name}")
            case ["POST", "completions"] | ["POST", "chat", "completions"]:
                return self._single(json.loads(content))
            case _:
                return _fault(404, f"Unknown request URL: {method} {address}")

    def _upload(self, content_type: str, content: bytes) -> Said:
        message = email.message_from_bytes(
            b"content-type: " + content_type.encode() + b"\r\n\r\n" + content, policy=email.policy.HTTP
        )
        fields = {part.get_param("name", header="content-disposition"): part for part in message.iter_parts()}
        if fields["purpose"].get_payload(decode=True) != b"batch":
            return _fault(400, "purpose")
        file = fields["file"]
        assert str(file.get_filename()).endswith(".jsonl")
        name = self._kept(bytes(cast("bytes", file.get_payload(decode=True))))
        return Said({"id": name, "object": "file", "purpose": "batch", "bytes": len(self.files[name])})

    def _create(self, body: Row) -> Said:
        metadata = body.get("metadata", {})
        assert len(metadata) <= 16
        assert all(len(name) <= 64 and len(value) <= 512 for name, value in metadata.items())
        if body["completion_window"] != "24h":
            return _fault(400, "completion_window")
        if body["input_file_id"] not in self.files:
            return _fault(400, "input_file_id")
        batch = {
            "id": f"batch_{len(self.batches)}",
            "object": "batch",
            "errors": None,
            "status": "validating",
            "output_file_id": None,
            "error_file_id": None,
            "created_at": 1714508499,
            **body,
        }
        self.batches.append(batch)
        rows = self.rows()
        assert len({row["custom_id"] for row in rows}) == len(rows)
        assert all(len(row["custom_id"]) <= 64 for row in rows)
        assert {(row["method"], row["url"]) for row in rows} == {("POST", body["endpoint"])}
        return Said(batch)

    def _page(self, query: dict[str, list[str]]) -> Said:
        newest = self.batches[::-1]
        after = query.get("after", [""])[0]
        start = next((i + 1 for i, batch in enumerate(newest) if batch["id"] == after), 0)
        size = min(self.page, int(query.get("limit", ["20"])[0]))
        shown = newest[start : start + size]
        return Said({"object": "list", "data": shown, "has_more": start + size < len(newest)})

    def _single(self, body: Row) -> Said:
        self.single.append(body)
        if unknown := [name for name in UNKNOWN if name in body]:
            return _fault(400, f"Unrecognized request argument supplied: {unknown[0]}")
        return Said(answered({"custom_id": "", "body": body})["response"]["body"])


def _fault(status: int, message: str) -> Said:
    return Said({"error": {"message": message, "type": "invalid_request_error"}}, status, SOON)


@contextmanager
def providing() -> Generator[Provider]:
    """Serve on a free port of this machine until the block is left."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1

        def do_GET(self) -> None:
            self._answer(b"")

        def do_POST(self) -> None:
            self._answer(self.rfile.read(int(self.headers["content-length"])))

        def _answer(self, content: bytes) -> None:
            with provider.lock:
                asked = f"{self.command} {urlsplit(self.path).path.removeprefix('/v1/')}"
                provider.asked.append(asked)
                said = provider.before(asked)
                if said is None:
                    content_type = self.headers.get("content-type", "")
                    said = provider.reply(self.command, self.path, content_type, content)
                    said = provider.meanwhile(asked) or said
            body = said.body if isinstance(said.body, bytes) else json.dumps(said.body).encode()
            self.send_response(said.status)
            for name, value in {"content-length": str(len(body)), **said.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            try:
                self.wfile.write(body)
                self.wfile.flush()
            except (BrokenPipeError, ConnectionResetError):  # whoever asked was killed
                self.close_connection = True

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        provider = Provider(f"http://127.0.0.1:{server.server_port}/v1")
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield provider
        finally:
            server.shutdown()
            thread.join()
