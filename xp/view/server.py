"""The server of `xp view`: pages, answers, progress, logs and SQL of one store, to this machine alone."""

import contextlib
import json
import socket
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import duckdb
import uvicorn
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from dsl.errors import ArgumentError, XpError
from warehouse.errors import WarehouseHeld
from warehouse.report.answer_rows import After, Asked, answers_beside, facets, faults, order_in, page
from warehouse.report.browser import in_reading_order, pack
from warehouse.report.page import as_html
from warehouse.report.reading import read_from
from warehouse.statements import fetch
from xp.view.guard import Guard
from xp.view.opened import LONGEST_SECONDS, Opener
from xp.view.pages import view_page
from xp.view.progress import Watched
from xp.view.query_process import ask

PORT = 8473
"""Asked for first, so that links stay the same; else any free one."""

MOST_ROWS = 1_000
"""Rows that the SQL box shows."""

LOG_BYTES = 200_000
"""The end of a log is shown."""


def serve(store: Path, experiment: str | None, say: Callable[[str], None]) -> None:
    """Serve a store until Ctrl-C, first saying at which address."""
    with _listening() as listener:
        path = "" if experiment is None else f"?study={quote(experiment)}"
        say(f"http://127.0.0.1:{listener.getsockname()[1]}/{path}")
        config = uvicorn.Config(
            application(store), log_level="warning", access_log=False, server_header=False
        )
        with contextlib.suppress(KeyboardInterrupt):
            uvicorn.Server(config).run(sockets=[listener])


def application(store: Path) -> Starlette:
    """Return the server of a store; every route reads, none writes."""
    place = _Place(store)
    routes = {
        "/": place.start,
        "/report/{experiment}": place.report,
        "/studies/{experiment}/page": place.page,
        "/studies/{experiment}/beside": place.beside,
        "/progress": place.progress,
        "/logs/{step_id}": place.log,
        "/query": place.query,
    }
    return Starlette(
        routes=[Route(path, answer, methods=["GET"]) for path, answer in routes.items()],
        middleware=[Middleware(Guard)],
        exception_handlers={XpError: _error_response},
    )


class _Place:
    """A store, and the answers to requests for it. Starlette runs each in a thread of its own."""

    def __init__(self, store: Path) -> None:
        self.named = store
        self.watched = Watched(store)
        self.warehouse = Opener(self.watched.store.warehouse)
        self._reports: dict[str, tuple[int | None, str]] = {}

    def start(self, request: Request) -> Response:
        questions = {study.experiment: study.question for study in self.watched.studies()}
        found: dict[str, list[str]] = {}
        looked_for: dict[str, str] = {}
        with contextlib.ExitStack() as stack:
            connection = None
            if self.warehouse.path.exists():
                connection = stack.enter_context(self.warehouse.opened())
                # one that was read from a bundle has no record beside it
                questions = _questions(connection) | questions
            wanted = request.query_params.get("study") or next(iter(questions), "")
            if wanted and wanted not in questions:
                raise ArgumentError(
                    f"the store holds no study `{wanted}`; it holds: {', '.join(questions) or 'none'}"
                )
            if wanted and connection is not None:
                found, looked_for = facets(connection, wanted), faults(connection, wanted)
        return _html(view_page(self.named, wanted, questions, found, looked_for))

    def report(self, request: Request) -> Response:
        """The report, drawn once for each state of the warehouse."""
        experiment: str = request.path_params["experiment"]
        state = self.watched.loaded()
        if state is None or self._reports.get(experiment, (None, ""))[0] != state:
            with self.warehouse.opened() as connection:
                study = read_from(connection, experiment)
            self._reports[experiment] = (state, as_html(study, served=f"/studies/{quote(experiment)}"))
        return _html(self._reports[experiment][1])

    def page(self, request: Request) -> Response:
        experiment: str = request.path_params["experiment"]
        parts = dict(request.query_params)
        after = _key(parts.pop("after", None))
        with self.warehouse.opened() as connection:
            found = page(connection, experiment, Asked.of(parts), after)
            order = order_in(facets(connection, experiment))
        return JSONResponse(
            {**pack(found.rows, order), "next": found.after, "searched": found.n_searched, "of": found.n}
        )

    def beside(self, request: Request) -> Response:
        experiment: str = request.path_params["experiment"]
        with self.warehouse.opened() as connection:
            rows = answers_beside(connection, experiment, request.query_params.get("answer", ""))
            order = order_in(facets(connection, experiment))
        return JSONResponse(pack(in_reading_order(rows, order), order))

    def progress(self, request: Request) -> Response:
        return JSONResponse(self.watched.progress())

    def log(self, request: Request) -> Response:
        log = self.watched.log(request.path_params["step_id"])
        if log is None:
            return PlainTextResponse("There is no such log.\n", 404)
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - LOG_BYTES))
            return PlainTextResponse(file.read())

    def query(self, request: Request) -> Response:
        with self.warehouse.turn():
            sql = request.query_params.get("sql", "")
            return JSONResponse(ask(self.warehouse.path, sql, MOST_ROWS, LONGEST_SECONDS))


def _questions(connection: duckdb.DuckDBPyConnection) -> dict[str, str]:
    """Experiment -> its question, of every study in a warehouse."""
    found = fetch(connection, "select experiment, question from experiments order by experiment")
    return {row["experiment"]: row["question"] for row in found}


def _html(text: str) -> Response:
    """A page, whose own element says what it may run; here, that no other page may frame it."""
    return HTMLResponse(text, headers={"Content-Security-Policy": "frame-ancestors 'none'"})


def _key(text: str | None) -> After | None:
    """Read the key that a page begins behind. Raises ArgumentError."""
    if text is None:
        return None
    try:
        key, place, length, item = json.loads(text)
        return float(key), int(place), int(length), str(item)
    except (ValueError, TypeError, OverflowError):
        raise ArgumentError("`after` is no key of a page: take `next` of the page before") from None


def _error_response(request: Request, error: Exception) -> Response:
    """Say in a sentence why a request has no answer."""
    code = 400 if isinstance(error, ArgumentError) else 503 if isinstance(error, WarehouseHeld) else 422
    if request.url.path == "/" or request.url.path.startswith("/report"):
        return PlainTextResponse(f"{error}\n", code)
    return JSONResponse({"error": str(error)}, code)


def _listening() -> socket.socket:
    """Return a socket that this machine alone can reach."""
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1", PORT))
    except OSError:  # another one has it
        listener.bind(("127.0.0.1", 0))
    listener.listen()
    return listener
