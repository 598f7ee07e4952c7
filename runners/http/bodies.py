"""Bodies of responses: decompressed in pieces, since a few kilobytes can become gigabytes, and read up to a
limit or into a file."""

from __future__ import annotations

import json
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING

from dsl.data.written_files import written_aside
from runners.http.failure import Failure

if TYPE_CHECKING:
    from httpx2 import Response

    from runners.http.server import Server

MAX_BYTES = 16_000_000
"""Limit on a decompressed response, or a line of a file: several times the longest answer of any model."""
_CHUNK = 1 << 20


class _TooLong(Exception):
    """A line that is not read further."""


Read = Callable[["Response"], Awaitable["bytes | Failure"]]
"""Reader of a response with a success status: its body."""


async def bounded(response: Response) -> bytes | Failure:
    """Return a response's body."""
    body = bytearray()
    async for piece in _pieces(response):
        body += piece
        if len(body) > MAX_BYTES:
            return Failure(None, f"the reply is larger than {MAX_BYTES / 1e6:.0f} MB", is_transient=False)
    return bytes(body)


def lines_into(path: Path, server: Server) -> Read:
    """Return a reader that writes the objects in a body of JSON lines into a file, without secrets. It
    appears when it is whole; the reader returns an empty object.

    A line that is no JSON object is left out.
    """

    async def read(response: Response) -> bytes | Failure:
        rest = b""
        try:
            with written_aside(path) as aside, aside.open("wb") as file:
                async for piece in _pieces(response):
                    *lines, rest = (rest + piece).split(b"\n")
                    file.writelines(_cleaned(line, server) for line in lines)
                    if len(rest) > MAX_BYTES:
                        raise _TooLong
                file.write(_cleaned(rest, server))
        except _TooLong:
            return Failure(
                None, f"a line of a file is larger than {MAX_BYTES / 1e6:.0f} MB", is_transient=False
            )
        return b"{}"

    return read


def _cleaned(line: bytes, server: Server) -> bytes:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return b""
    return json.dumps(server.cleaned(found)).encode() + b"\n" if isinstance(found, dict) else b""


async def _pieces(response: Response) -> AsyncIterator[bytes]:
    """Yield a body in pieces, decompressed. Raises DecodingError where it is packed otherwise, or cut off."""
    from httpx2 import DecodingError

    packing = response.headers.get("content-encoding", "identity").strip().lower()
    if packing not in ("identity", "gzip"):
        raise DecodingError("the reply is packed in a way that was not asked for")
    if packing == "identity":
        async for piece in response.aiter_raw():
            yield piece
        return
    unpacker = zlib.decompressobj(wbits=31)  # with gzip's head
    async for packed in response.aiter_raw():
        while piece := unpacker.decompress(packed, _CHUNK):
            yield piece
            packed = unpacker.unconsumed_tail
    if not unpacker.eof:
        raise DecodingError("the reply is cut off")
