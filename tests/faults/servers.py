"""Ways in which a server misbehaves, each met by a small study: no traceback, nothing silent, nothing stuck,
no key let out.

    python -m tests.faults.servers FOLDER [NAME ...]

Every fault is met four ways: by all prompts of a model, by one of six, in a chat, and by one question of a
judge. Results are added to `FOLDER/results.jsonl`; run again, it goes on where it stopped. Each study is
applied in a process of its own with a time limit.

In full, on 2026-11-29: 452 studies (113 faults, four ways), none of them a traceback, silent, stuck or
spreading from one prompt to others; no key got out.
"""

import gzip
import importlib
import json
import multiprocessing
import os
import re
import shutil
import socket
import struct
import sys
import time
import traceback
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any
from urllib.parse import unquote

KEY = "sk-9fK2mQ7xW4tB8nR1vQ3z"
NAME = "m"
"""The model, as a study asks for it."""
MARK = "3 + 3"
N_ITEMS = 6
SECONDS = 90.0
"""Time limit of one study, with all of its applies."""
WAYS = ("one", "all", "judge", "chat")

DRIVES = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b\u202a-\u202e\u2066-\u2069\ufeff]")

Body = dict[str, Any]
Fault = Callable[["Handler"], None]


class Handler(BaseHTTPRequestHandler):
    """Answers `/<fault>/<way>/v1/…`: well, but for the fault's prompts."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        _, name, way, *_ = unquote(self.path).split("/")
        prompt = str(self.body["prompt"] if "prompt" in self.body else self.body["messages"][-1]["content"])
        self.is_chat = self.path.endswith("chat/completions")
        self.good = (
            json.dumps({"overall": {"reason": "fine", "score": "4"}}) if way == "judge" else "the answer is 6"
        )
        try:
            (FAULTS[name] if way == "all" or MARK in prompt else _well)(self)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    do_GET = do_POST

    def say(self, body: object, status: int = 200, length: int | None = None, **headers: str) -> None:
        """Send JSON, or text or bytes as they are."""
        content = (
            body
            if isinstance(body, bytes)
            else body.encode("utf-8", "surrogatepass")
            if isinstance(body, str)
            else json.dumps(body).encode()
        )
        self.send_response(status)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        for name, value in (
            {
                "content-type": "application/json",
                "content-length": str(len(content) if length is None else length),
            }
            | named
        ).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)
        self.wfile.flush()
        self.close_connection = self.close_connection or length is not None

    def raw(self, content: bytes) -> None:
        """Send bytes as they are and close."""
        self.wfile.write(content)
        self.wfile.flush()
        self.close_connection = True

    def reply(
        self, text: object = None, choice: Body | None = None, message: Body | None = None, **top: object
    ) -> Body:
        """A good reply with parts replaced."""
        said = (
            {"message": {"role": "assistant", "content": text, **(message or {})}}
            if self.is_chat
            else {"text": text}
        )
        usage = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
        return {
            "id": "1",
            "model": NAME,
            "choices": [{"index": 0, **said, "finish_reason": "stop", **(choice or {})}],
            "usage": usage,
            **top,
        }

    @property
    def key(self) -> str:
        return self.headers["authorization"].removeprefix("Bearer ")

    def log_message(self, format: str, *args: Any) -> None:
        pass


def _well(h: Handler) -> None:
    h.say(h.reply(h.good))


def _status(status: int, body: object = "boom", **headers: str) -> Fault:
    return lambda h: h.say(body, status, **headers)


def _body(body: object, **headers: str) -> Fault:
    return lambda h: h.say(body, **headers)


def _reply(text: object, **parts: Any) -> Fault:
    return lambda h: h.say(h.reply(text, **parts))


def _well_but(**parts: Any) -> Fault:
    return lambda h: h.say(h.reply(h.good, **parts))


def _reset(h: Handler) -> None:
    h.wfile.write(b'HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n{"choices":[{')
    h.wfile.flush()
    h.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    h.connection.close()
    h.close_connection = True


def _drip(h: Handler) -> None:
    h.send_response(200)
    h.send_header("content-length", "100000")
    h.end_headers()
    for _ in range(60):
        h.wfile.write(b" ")
        h.wfile.flush()
        time.sleep(0.05)


def _endless(h: Handler) -> None:
    h.send_response(200)
    h.send_header("transfer-encoding", "chunked")
    h.end_headers()
    for _ in range(300):
        h.wfile.write(b"f4240\r\n" + b"x" * 1_000_000 + b"\r\n")


def _hang(h: Handler) -> None:
    time.sleep(3)


def _packed(content: bytes, how: str = "gzip") -> Fault:
    return lambda h: h.say(content, content_encoding=how)


def _redirect(status: int, where: str) -> Fault:
    return lambda h: h.say(
        "",
        status,
        location=where.replace("SELF", h.path)
        .replace("PORT", str(h.server.server_port))
        .replace("KEY", h.key),
    )  # type: ignore[attr-defined]


CALL = {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}

_STATUSES = (
    *(300, 400, 401, 402, 403, 404, 405, 408, 409, 410, 413, 418, 422, 425, 451),
    *(500, 501, 502, 503, 504, 529, 599),
)
_WAITS = ("86400", "nan", "inf", "-5", "1e400", "Wed, 21 Oct 9999 07:28:00 GMT", "Foo, 99 Bar 9")

FAULTS: dict[str, Fault] = {
    **{f"status {status}": _status(status) for status in _STATUSES},
    "502 page": _status(502, "<html><script>alert(1)</script></html>"),
    "429": _status(429, {"error": {"message": "slow down"}}, retry_after_ms="20"),
    **{f"429 retry-after {wait}": _status(429, "slow", retry_after=wait) for wait in _WAITS},
    "429 do not retry": _status(429, "quota", x_should_retry="false"),
    "empty": _body(""),
    "204": _status(204, b""),
    "null": _body("null"),
    "number": _body("1e999"),
    "list": _body("[]"),
    "text": _body('"text"'),
    "HTML with 200": _body("<html>Log in</html>", content_type="text/html"),
    "no UTF-8": _body(b'{"choices":[{"text":"\xff\xfe"}]}'),
    "half JSON": _body('{"choices": [{"te'),
    "nested": _body("[" * 100_000),
    "nested object": _body('{"a":' * 5000 + "1" + "}" * 5000),
    "twice": _body('{"choices":[]}{"choices":[]}'),
    "byte order mark": lambda h: h.say(b"\xef\xbb\xbf" + json.dumps(h.reply(h.good)).encode()),
    "random bytes": _body(bytes(range(256)) * 12),
    "event stream": _body('data: {"choices":[]}\n\ndata: [DONE]\n\n', content_type="text/event-stream"),
    "error with 200": _body({"error": {"message": "overloaded"}}),
    "error text with 200": _body({"error": "overloaded"}),
    "error beside an answer": _well_but(error={"message": "upstream"}),
    "object": _body({"get": True}),
    "no choices": _body({"id": "1", "model": "m"}),
    "choices null": _body({"choices": None}),
    "choices empty": _body({"choices": []}),
    "choices text": _body({"choices": "six"}),
    "choices object": _body({"choices": {"text": "six"}}),
    "choice null": _body({"choices": [None]}),
    "choice text": _body({"choices": ["six"]}),
    "choice empty": _body({"choices": [{}]}),
    "content null": _reply(None),
    "content list": _reply([{"type": "text", "text": "six"}]),
    "content number": _reply(6),
    "content filtered": _reply("half", choice={"finish_reason": "content_filter"}),
    "cut before a word": _reply(None, choice={"finish_reason": "length"}),
    "ended in error": _reply("half", choice={"finish_reason": "error"}),
    "tool call": _reply(None, message={"tool_calls": [CALL]}, choice={"finish_reason": "tool_calls"}),
    "refusal": _reply(None, message={"refusal": "I cannot"}),
    "message null": _reply("six", choice={"message": None}),
    "message list": _reply("six", choice={"message": []}),
    "tokens 3.5": _well_but(usage={"prompt_tokens": 7, "completion_tokens": 3.5}),
    "tokens negative": _well_but(usage={"prompt_tokens": -7, "completion_tokens": -3}),
    "tokens beyond int64": _well_but(usage={"prompt_tokens": 10**30, "completion_tokens": 2**63}),
    "tokens NaN": lambda h: h.say(
        json.dumps(h.reply(h.good)).replace('"completion_tokens": 3', '"completion_tokens": NaN')
    ),
    "usage list": _well_but(usage=[1]),
    "usage text": _well_but(usage="many"),
    "model object": _well_but(model={"name": "m"}),
    "model long": _well_but(model="m" * 1_000_000),
    "finish number": _well_but(choice={"finish_reason": 17}),
    "stop list": _well_but(choice={"stop_reason": ["a"], "matched_stop": {"a": 1}}),
    "another model": _well_but(model="some-other-model"),
    "NUL in text": _reply("a\0b"),
    "surrogate in text": _body(
        '{"choices":[{"text":"a\\ud800","message":{"content":"a\\ud800"},"finish_reason":"stop"}]}'
    ),
    "terminal in text": _reply("\x1b]0;title\x07\u202egnp"),
    "terminal in error": _status(400, {"error": {"message": "\x1b]52;c;x\x07\x1b[31m\u202egnp"}}),
    "large": _reply("A" * 20_000_000),
    "endless": _endless,
    "gzip bomb": lambda h: _packed(gzip.compress(b" " * 200_000_000, 1))(h),
    "gzip broken": _packed(b"not packed"),
    "gzip cut": _packed(gzip.compress(b'{"choices":[]}' * 100)[:-9]),
    "deflate": _packed(zlib.compress(b"{}"), "deflate"),
    "brotli": _packed(b"?", "br"),
    "packing unknown": _packed(b"{}", "zstd, gzip"),
    "header bomb": lambda h: h.say(h.reply(h.good), x_pad="y" * 2_000_000),
    "hang": _hang,
    "drip": _drip,
    "reset": _reset,
    "close": lambda h: h.raw(b""),
    "cut off": lambda h: h.say('{"choices":', length=9999),
    "bad chunk": lambda h: h.raw(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzzzz\r\nfoo"),
    "no HTTP": lambda h: h.raw(b"hello there\r\n\r\n"),
    "bad status line": lambda h: h.raw(b"HTTP/1.1 abc\r\n\r\n"),
    "two lengths": lambda h: h.raw(b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n{}"),
    "early hints": lambda h: (h.wfile.write(b"HTTP/1.1 103 Early Hints\r\n\r\n" * 20), _well(h))[1],
    "redirect elsewhere": _redirect(307, "http://localhost:PORT/stolen/all/v1/x"),
    "redirect 302": _redirect(302, "http://localhost:PORT/stolen/all/v1/x"),
    "redirect with the key": _redirect(308, "http://KEY.invalid/x"),
    "redirect in a circle": _redirect(307, "SELF"),
    "redirect to a file": _redirect(307, "file:///etc/passwd"),
    "redirect to nothing": _redirect(307, ""),
    "redirect to no address": _redirect(307, "http://["),
    "key in text": lambda h: h.say(h.reply(f"your key is {h.key}", model=h.key)),
    "key in error": lambda h: h.say({"error": {"message": h.key}}, 400),
    "key in type": lambda h: h.say("x", content_type=f"text/{h.key}"),
}  # fmt: skip


def _serve(port: Connection) -> None:
    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 128

        def handle_error(self, request: Any, client_address: Any) -> None:
            pass

    with Server(("127.0.0.1", 0), Handler) as server:
        port.send(server.server_port)
        server.serve_forever()


@contextmanager
def serving() -> Iterator[int]:
    """The server in a process of its own; its port."""
    here, there = multiprocessing.get_context("spawn").Pipe()
    process = multiprocessing.get_context("spawn").Process(target=_serve, args=(there,), daemon=True)
    process.start()
    try:
        yield here.recv()
    finally:
        process.kill()
        process.join()


# ---------------------------------------------------------------- one study


# Not of this process, in which other tests may have left threads, of Ray's among them.
_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(["duckdb", "typer.testing", "xp.cli"])


@dataclass(frozen=True)
class Met:
    """Result of a study that met a fault."""

    fault: str
    way: str
    verdict: str
    """`answered`, `missing`, `error` (of its row), `failed` (the step, in a sentence) or what is wrong."""
    says: str
    seconds: float

    @property
    def is_fine(self) -> bool:
        return self.verdict in ("answered", "missing", "error", "failed")


def write_study(folder: Path, port: int, fault: str, way: str) -> Path:
    """Six questions, one model and two judges; the fault's server stands where its way says."""
    folder.mkdir(parents=True)
    rows = [{"item": f"q{i}", "instruction": f"What is {i} + {i}?", "answers": ["6"]} for i in range(N_ITEMS)]
    (folder / "en.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    url = f"http://127.0.0.1:{port}/{fault.replace(' ', '%20')}/{way}/v1"
    served = {
        "engine": "openai",
        "name": NAME,
        "base_url": url,
        "api_key_env": "XP_FAULT_KEY",
        "max_retries": 1,
        "timeout": 1.0,
    }
    echo = {"engine": "echo"}
    study = {
        "experiment": "faults",
        "languages": ["en"],
        "models": {
            "m": {
                "base": echo if way == "judge" else served,
                "instruct": echo if way == "judge" else served,
                "parameters": 1000000,
            }
        },
        "data": {
            "q": {
                "rows": {"path": "{language}.jsonl"},
                "columns": {"item": "item", "instruction": "instruction", "answers": "answers"},
            }
        },
        "evaluate": ["q"],
        "methods": {"m": {"method": "instruct"} if way == "chat" else {"method": "icl", "num_fewshot": 0}},
        "decoding": {"max_new_tokens": 16},
        "judges": (
            {"opinion": {"judge": "rubric", "rubric": "overall", "model": served}}
            if way == "judge"
            else {"correct": {"judge": "contains"}}
        ),
    }
    spec = folder / "study.yaml"
    spec.write_text(json.dumps(study), "utf-8")
    return spec


def meet(folder: Path, port: int, fault: str, way: str) -> Met:
    """Apply a study, and look at what it says and keeps."""
    began = time.monotonic()
    shutil.rmtree(folder, ignore_errors=True)
    spec = write_study(folder, port, fault, way)
    here, there = _FORKS.Pipe()
    child = _FORKS.Process(target=_apply, args=(spec, there))
    child.start()
    there.close()
    try:
        verdict, says = here.recv() if here.poll(SECONDS) else ("STUCK", f"no end in {SECONDS:g} s")
    except EOFError:
        verdict, says = "CRASHED", "the process ended"
    child.kill()
    child.join()
    return Met(fault, way, verdict, says, round(time.monotonic() - began, 1))


def meet_here(folder: Path, port: int, fault: str, way: str) -> Met:
    """Meet a fault in this process, whose environment holds the key: without a time limit, and sooner."""
    began = time.monotonic()
    verdict, says = _looked_at(write_study(folder, port, fault, way))
    return Met(fault, way, verdict, says, round(time.monotonic() - began, 1))


def _apply(spec: Path, parent: Connection) -> None:
    os.environ["XP_FAULT_KEY"] = KEY
    try:
        parent.send(_looked_at(spec))
    except BaseException:
        parent.send(("TRACEBACK", traceback.format_exc()[-600:]))


def _looked_at(spec: Path) -> tuple[str, str]:
    import duckdb
    from typer.testing import CliRunner

    from xp.cli import app

    store = spec.parent / "store"
    found = CliRunner().invoke(
        app,
        ["apply", str(spec), "--yes", "--allow-env", "--in-process", "--no-report", "--store", str(store)],
    )
    output = found.output
    if found.exception is not None and not isinstance(found.exception, SystemExit):
        return "TRACEBACK", "".join(traceback.format_exception(found.exception))[-600:]
    left = CliRunner().invoke(app, ["plan", str(spec), "--store", str(store)]).output
    if not found.exit_code and "Nothing to run" not in left and "asked again" not in left:
        return "STUCK", left[-300:]
    last = output.strip().splitlines()[-1]
    kept = b"".join(file.read_bytes() for file in store.rglob("*") if file.is_file())
    if DRIVES.search(output):
        return "DRIVES THE TERMINAL", ascii(output)[-300:]
    if KEY in output or KEY.lower() in output or KEY.encode() in kept:
        return "KEY LET OUT", ""
    if found.exit_code:
        says_why = "failed after" in last and ("127.0.0.1" in last or "m gave no answer" in last)
        return "failed" if says_why else "SILENT", last[-300:]
    with duckdb.connect(str(store / "warehouse.duckdb"), read_only=True) as warehouse:
        if spec.parent.name.endswith("judge"):
            rows = warehouse.execute(
                "select item, if(score is null, 'error', 'eos'), unscored_reason from step_verdicts"
            ).fetchall()
        else:
            rows = warehouse.execute("select item, finish_reason, error from step_completions").fetchall()
        others = warehouse.execute(
            "select model_served from step_completions where model_served <> $1"
            " union select model_served from step_verdicts where model_served <> $1",
            [NAME],
        ).fetchall()
    if others and "Another model answered than was asked" not in output:
        return "SILENT", str(others)[:300]
    ended = {item: (how, why) for item, how, why in rows}
    if len(ended) != N_ITEMS or any(how in ("error", "missing") and not why for how, why in ended.values()):
        return "SILENT", str(rows)[:300]
    if any(
        how not in ("eos", "stop", "length") for item, (how, _) in ended.items() if item != "q3"
    ) and "/all/" not in spec.read_text("utf-8"):
        return "SPREADS", str(rows)[:300]
    how, why = ended["q3"]
    return how if how in ("error", "missing") else "answered", (why or "")[:300]


def import_once() -> None:
    """Load what every study needs, so that its process, a copy of this one, need not."""
    for name in (
        "duckdb",
        "httpx2",
        "anyio",
        "scipy.stats",
        "typer.testing",
        "xp.cli",
        "xp.apply",
        "xp.render.plan",
        "xp.render.progress",
        "xp.render.results",
    ):
        importlib.import_module(name)
    for name in (
        "warehouse.load",
        "warehouse.statistics.refresh",
        "runners.steps.generate",
        "runners.engines.openai",
        "runners.judges.rubric",
    ):
        importlib.import_module(name)


def sweep(folder: Path, faults: Sequence[str], ways: Sequence[str] = WAYS) -> Iterator[Met]:
    """Every fault in every way, but for those whose result is in the folder already."""
    folder.mkdir(parents=True, exist_ok=True)
    results = folder / "results.jsonl"
    found = (
        [Met(**json.loads(line)) for line in results.read_text("utf-8").splitlines()]
        if results.exists()
        else []
    )
    known = {(met.fault, met.way) for met in found}
    import_once()
    yield from found
    with serving() as port, results.open("a", encoding="utf-8") as out:
        for way in ways:
            for number, fault in enumerate(FAULTS):
                if fault in faults and (fault, way) not in known:
                    met = meet(folder / f"{number}-{way}", port, fault, way)
                    out.write(json.dumps(asdict(met)) + "\n")
                    out.flush()
                    if met.is_fine:
                        shutil.rmtree(folder / f"{number}-{way}")
                    yield met


def main() -> int:
    """Run the sweep and print its figures by way and by class."""
    folder, *names = sys.argv[1:]
    counts: Counter[tuple[str, str]] = Counter()
    bad = 0
    for met in sweep(Path(folder), names or list(FAULTS)):
        counts[met.way, met.verdict] += 1
        bad += not met.is_fine
        line = f"{met.way:<6} {met.fault:<28} {met.verdict:<9} {met.seconds:5.1f} s  {ascii(met.says)[:160]}"
        sys.stdout.write(f"{line}\n")
        sys.stdout.flush()
    for (way, verdict), n in sorted(counts.items()):
        sys.stdout.write(f"{way:<6} {verdict:<9} {n:>4}\n")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
