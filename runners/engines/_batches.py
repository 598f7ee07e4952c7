"""Requests that are left at a provider's batch API, and their answers when somebody comes back for them.

What is submitted is written into the attempt's folder before, so that a kill at any moment neither loses a
batch nor submits it twice: one whose id was not heard is looked for, by its name, in the provider's list.
"""

import json
import uuid
from collections import Counter
from collections.abc import Awaitable, Callable, Generator, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

from pydantic import ValidationError

from dsl.engines.contract import Decoding
from dsl.engines.openai import Settings
from dsl.errors import BudgetSpent, RequestsWait, ServerError
from dsl.messages import one_line
from dsl.steps.identity import digest
from runners.engines import _batch_api as api
from runners.engines._completion_api import Reply, answer, body, path, without_answer
from runners.engines.contract import EngineAnswer, EngineRequest
from runners.http.bodies import Read, bounded, lines_into
from runners.http.client import Answered, ApiReply, opened
from runners.http.failure import Failure
from runners.http.meter import Meter
from runners.http.server import Server
from runners.store import batches, spending
from runners.store.batches import Batch

Bodies = Callable[[Sequence[EngineRequest]], Awaitable[list[dict[str, Any]]]]
"""Maker of the bodies of requests, as their server takes them."""
Form = TypeVar("Form", bound=ApiReply)

_FILE_SECONDS = 900.0
"""Least time-out of a request to the batch API: files are large."""


class LeftRequests:
    """Requests of one call, in batches."""

    def __init__(
        self,
        server: Server,
        settings: Settings,
        requests: Sequence[EngineRequest],
        decoding: Decoding,
        attempt: Path,
    ) -> None:
        """Keep what is asked; `attempt` is the folder that outlives this process."""
        self._server, self._settings, self._decoding = server, settings, decoding
        self._patient = settings.model_copy(update={"timeout": max(settings.timeout, _FILE_SECONDS)})
        self._attempt = attempt
        self._left = _named(settings.name, requests, decoding)
        self._asked = frozenset(self._left)

    def answers(self, bodies: Bodies) -> Generator[EngineAnswer]:
        """Yield the answers of batches that have ended, and submit what is in none.

        Raises:
            ServerError: the provider does not answer, or refuses what is submitted.
            BudgetSpent: the study's budget has no room for a batch.
            RequestsWait: batches have not ended yet.
        """
        _in_loop(self._look)
        yield from self._fetched()
        waiting = {custom_id for batch in self._waiting() for custom_id in batch.requests}
        missing = {custom_id: one for custom_id, one in self._left.items() if custom_id not in waiting}
        if missing:
            _in_loop(lambda: self._submit(missing, bodies))
        if waiting := self._waiting():
            n = sum(len(batch.requests) for batch in waiting)
            states = Counter(one_line(batch.status) for batch in waiting)
            said = ", ".join(f"{count} {status}" for status, count in states.items())
            raise RequestsWait(
                f"{n} requests wait at {self._server.url} in {len(waiting)} batches ({said})"
                if len(waiting) > 1
                else f"{n} requests wait at {self._server.url} in a batch ({one_line(waiting[0].status)})"
            )
        for batch in self._own():
            batches.write(self._attempt, batch.model_copy(update={"is_over": True}))

    def _own(self) -> list[Batch]:
        """Batches with requests of this call."""
        return [one for one in batches.read(self._attempt) if not self._asked.isdisjoint(one.requests)]

    def _waiting(self) -> list[Batch]:
        return [batch for batch in self._own() if not batch.is_fetched]

    async def _look(self) -> None:
        """Ask once for the state of each batch that has not ended, and fetch the files of those that have."""
        for batch in self._waiting():
            if batch.batch_id is None:
                said = await self._find(batch.name)
            else:
                said = await self._get(batch, api.ProviderBatch, f"batches/{quote(batch.batch_id, safe='')}")
            if said is None:  # killed before it was submitted
                self._meter(batch).settle(batch.name, (0, 0))
                batches.forget(self._attempt, batch)
                continue
            batch = batch.model_copy(update={"batch_id": said.id, "status": said.status})
            if said.status in api.ENDED:
                files = zip(
                    (said.output_file_id, said.error_file_id),
                    batches.answers_of(self._attempt, batch),
                    strict=True,
                )
                for file_id, to in files:
                    if file_id:
                        where = f"files/{quote(file_id, safe='')}/content"
                        await self._get(batch, ApiReply, where, read=lines_into(to, self._server))
                self._meter(batch).settle(batch.name, self._n_tokens(batch))
                batch = batch.model_copy(update={"is_fetched": True, "error": said.error()})
            batches.write(self._attempt, batch)

    def _fetched(self) -> Iterator[EngineAnswer]:
        """Yield what the files of batches that have ended say, and an error for what they leave out."""
        for batch in self._own():
            if not batch.is_fetched:
                continue
            for line in self._lines(batch):
                outcome = line.outcome()
                if line.custom_id not in self._left or (batch.is_over and isinstance(outcome, Failure)):
                    continue
                request = self._left.pop(line.custom_id)
                if isinstance(outcome, Reply):
                    yield answer(request, outcome, None)
                else:
                    yield without_answer(request, _error(outcome), is_transient=outcome.is_transient)
            for custom_id in () if batch.is_over else batch.requests:
                if (request := self._left.pop(custom_id, None)) is not None:
                    yield without_answer(request, batch.error or "", is_transient=True)

    async def _submit(self, requests: dict[str, EngineRequest], bodies: Bodies) -> None:
        """Submit requests, in as many batches as the API's limits ask for."""
        endpoint = api.PREFIX + path(next(iter(requests.values())).prompt)
        made = zip(requests, await bodies([*requests.values()]), strict=True)
        lines = [(custom_id, api.line_of(custom_id, endpoint, sent)) for custom_id, sent in made]
        for part in api.split([len(line) for _, line in lines], api.MOST_REQUESTS, api.MOST_BYTES):
            chosen = lines[part.start : part.stop]
            batch = Batch(name=uuid.uuid4().hex, requests=tuple(custom_id for custom_id, _ in chosen))
            await self._submit_one(batch, endpoint, b"".join(line for _, line in chosen))

    async def _submit_one(self, batch: Batch, endpoint: str, content: bytes) -> None:
        batches.write(self._attempt, batch)
        try:
            await self._meter(batch).reserve(len(content))
        except BudgetSpent:
            batches.forget(self._attempt, batch)
            raise
        async with opened(self._server, self._patient, api.API, api.ProviderFile) as files:
            content_type, upload = api.form(batch.name, content)
            uploaded = await files.upload("files", upload, content_type)
            if isinstance(uploaded, Failure):
                raise files.explained(uploaded)
        asked = {
            "input_file_id": uploaded.reply.id,
            "endpoint": endpoint,
            "completion_window": api.WINDOW,
            "metadata": {api.NAME: batch.name, "step": self._attempt.stem},
        }

        async def arrived() -> Answered[api.ProviderBatch] | None:
            found = await self._find(batch.name)
            return None if found is None else Answered(found, 0.0)

        async with opened(self._server, self._patient, api.API, api.ProviderBatch) as client:
            said = await client.post("batches", asked, arrived)
            if isinstance(said, Failure):
                raise client.explained(said)
        known = {"batch_id": said.reply.id, "status": said.reply.status}
        batches.write(self._attempt, batch.model_copy(update=known))

    async def _find(self, name: str) -> api.ProviderBatch | None:
        """Return the batch of a name, from the provider's list of all."""
        after, seen = "", set[str]()
        async with opened(self._server, self._patient, api.API, api.ProviderBatches) as client:
            while True:
                page = await client.get("batches", f"limit=100{after}")
                if isinstance(page, Failure):
                    raise client.explained(page)
                for one in page.reply.data:
                    if one.name == name:
                        return one
                last = page.reply.data[-1].id if page.reply.data else ""
                if not page.reply.has_more or not last or last in seen:
                    return None
                seen.add(last)
                after = f"&after={quote(last, safe='')}"

    async def _get(self, batch: Batch, form: type[Form], where: str, read: Read = bounded) -> Form:
        async with opened(self._server, self._patient, api.API, form, read=read) as client:
            outcome = await client.get(where)
            if isinstance(outcome, Answered):
                return outcome.reply
            if outcome.status != 404:
                raise client.explained(outcome)
        raise ServerError(
            f"{self._server.url} has no {where} (404): {outcome.message.rstrip('.')}. If the key is that of"
            f" another account, name the one that submitted the batch; if the batch is gone, delete"
            f" {batches.path_of(self._attempt, batch)}, and its requests are submitted again"
        )

    def _lines(self, batch: Batch) -> Iterator[api.Line]:
        """Yield the lines of a batch's files that can be read, and are for one of its requests."""
        own = frozenset(batch.requests)
        for file in batches.answers_of(self._attempt, batch):
            if file.exists():
                with file.open("rb") as lines:
                    for text in lines:
                        try:
                            line = api.Line.model_validate(json.loads(text))
                        except ValidationError:
                            continue
                        if line.custom_id in own:
                            yield line

    def _n_tokens(self, batch: Batch) -> tuple[int | None, int | None]:
        """Tokens that a batch read and wrote; None where an answer does not say."""
        n_tokens = [
            outcome.n_tokens()
            for outcome in (line.outcome() for line in self._lines(batch))
            if isinstance(outcome, Reply)
        ]
        n_prompt, n_new = zip(*n_tokens, strict=True) if n_tokens else ((), ())
        return (
            None if None in n_prompt else sum(filter(None, n_prompt)),
            None if None in n_new else sum(filter(None, n_new)),
        )

    def _meter(self, batch: Batch) -> Meter:
        most = self._decoding.max_new_tokens * len(batch.requests)
        return spending.meter(self._settings, most, batch=batch.name)


def _named(model: str, requests: Sequence[EngineRequest], decoding: Decoding) -> dict[str, EngineRequest]:
    """Return the requests by their `custom_id`s: hashes of what is asked, so that a later attempt, which asks
    for less, knows them again.

    Equal requests are counted from the last one on, since the first one's row is written first.
    """
    found, n_after = dict[str, EngineRequest](), Counter[str]()
    for request in reversed(requests):
        content = digest((path(request.prompt), body(model, request.prompt, request.seed, decoding)))
        found[digest((content, n_after[content]))] = request
        n_after[content] += 1
    return dict(reversed(found.items()))


def _error(failure: Failure) -> str:
    if not failure.is_transient:
        return failure.describe("prompt")
    status = "" if failure.status is None else f" ({failure.status})"
    return f"the provider failed on this prompt{status}: {failure.message}"


def _in_loop(work: Callable[[], Awaitable[None]]) -> None:
    """Do asynchronous work in a thread of its own: the caller's may have an event loop."""
    from anyio.from_thread import start_blocking_portal

    with start_blocking_portal() as portal:
        portal.call(work)
