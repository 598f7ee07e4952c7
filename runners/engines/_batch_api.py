"""OpenAI's batch API: the provider's objects, and the lines of its files, without input or output.

A file of requests is uploaded (`/files`) and named to a batch (`/batches`), which ends in one of four states
with a file of answers, a file of errors, or neither.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ValidationError

from dsl.messages import one_line, shorten
from runners.engines._completion_api import Reply
from runners.http.client import ApiReply, Detail
from runners.http.failure import Api, Failure, error_message, may_pass

API = Api(
    address=(
        "`batch: true` is for providers with OpenAI's batch API (/files and /batches); without it, requests"
        " are sent one by one"
    ),
    shared="the batch",
)
MOST_REQUESTS, MOST_BYTES = 50_000, 200_000_000
"""The API's limits on one batch and on its file."""
ENDED = frozenset({"completed", "failed", "expired", "cancelled"})
"""States after which nothing more comes."""
NAME = "xp_batch"
"""Key of a batch's name in its metadata."""
PREFIX = "/v1/"
"""Beginning of the endpoints that lines name, wherever the provider's API lies."""
WINDOW = "24h"
"""Time within which a batch is done or expires: the only one that there is."""

_FORM = "the reply has not the form of the API"


class Fault(BaseModel):
    """Error of a batch or of one of its lines."""

    code: Detail[str] = None
    message: Detail[str] = None

    def __str__(self) -> str:
        return shorten(one_line(": ".join(filter(None, (self.code, self.message))) or "no reason given"))


class _Faults(BaseModel):
    data: Detail[list[Fault]] = None


class ProviderFile(ApiReply):
    """An uploaded file."""

    id: str


class ProviderBatch(ApiReply):
    """A batch as the provider sees it."""

    id: str
    status: str
    output_file_id: Detail[str] = None
    error_file_id: Detail[str] = None
    errors: Detail[_Faults] = None
    """Faults of a batch that was refused."""
    metadata: Detail[dict[str, Any]] = None

    @property
    def name(self) -> object:
        """The name that was given to it as it was submitted."""
        return (self.metadata or {}).get(NAME)

    def error(self) -> str:
        """Describe why a request of the batch, which has ended, has no answer."""
        if self.status == "completed":
            return "the provider's files have no line for it"
        ended = "was cancelled" if self.status == "cancelled" else self.status
        faults = (self.errors.data if self.errors else None) or []
        return f"the batch {ended}" + "".join(f": {fault}" for fault in faults[:1])


class ProviderBatches(ApiReply):
    """A page of the list of all batches."""

    data: list[ProviderBatch]
    has_more: Detail[bool] = None


class _Response(BaseModel):
    status_code: int
    body: Detail[dict[str, Any]] = None


class Line(BaseModel):
    """Line of a file of answers or of errors."""

    custom_id: str
    response: Detail[_Response] = None
    error: Detail[Fault] = None

    def outcome(self) -> Reply | Failure:
        """Return what came of the request."""
        if self.response is None:
            return Failure(None, str(self.error or _FORM))
        status, body = self.response.status_code, self.response.body
        found = None if 200 <= status < 300 else status
        if found is not None or (body or {}).get("error"):
            return Failure(found, error_message(body or {}), is_transient=may_pass(found))
        try:
            return Reply.model_validate(body)
        except ValidationError as error:
            return Failure(None, f"{_FORM}: {error.errors(include_url=False, include_input=False)[0]['msg']}")


def line_of(custom_id: str, endpoint: str, body: Mapping[str, Any]) -> bytes:
    """Return a request as a line of the uploaded file."""
    line = {"custom_id": custom_id, "method": "POST", "url": endpoint, "body": body}
    return json.dumps(line).encode() + b"\n"


def split(sizes: Sequence[int], most_requests: int, most_bytes: int) -> Iterator[range]:
    """Yield the requests of each batch, in order, so that none is beyond the limits; sizes are in bytes."""
    start, n_bytes = 0, 0
    for place, size in enumerate(sizes):
        if place - start == most_requests or (place > start and n_bytes + size > most_bytes):
            yield range(start, place)
            start, n_bytes = place, 0
        n_bytes += size
    if start < len(sizes):
        yield range(start, len(sizes))


def form(name: str, content: bytes) -> tuple[str, bytes]:
    """Return content type and content of the upload of a file of requests."""
    boundary = f"xp-{name}"
    parts = (
        f'--{boundary}\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nbatch\r\n'
        f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{name}.jsonl"\r\n'
        "Content-Type: application/jsonl\r\n\r\n"
    )
    return f"multipart/form-data; boundary={boundary}", b"".join(
        (parts.encode(), content, f"\r\n--{boundary}--\r\n".encode())
    )
