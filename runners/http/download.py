"""A public file, fetched once: over https alone, without credentials, checked by its hash."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from dsl.data.paths import FOLDER_VARIABLE
from dsl.data.public_files import cache_folder, file_name, other_of_its_name
from dsl.errors import DataError
from runners.http.failure import transport_message

if TYPE_CHECKING:
    from httpx2 import BaseTransport, Client, Request, Response

MAX_BYTES = 4_000_000_000
"""Limit on a file: a server that never ends fills no disk."""
_MAX_REDIRECTS = 5
_SECONDS = 30.0
"""Seconds without a byte."""
_CHUNK = 1 << 20


def fetch(
    url: str,
    sha256: str,
    report: Callable[[int, int], None],
    transport: BaseTransport | None = None,
) -> Path:
    """Fetch a file into the user's cache and return its place there. `report` is called with the megabytes
    that are there, and those in all.

    The file appears under its name when it is whole and has the hash. Redirects are followed, to https only.

    Raises:
        DataError: it cannot be fetched, is too large, or has another hash.
    """
    from httpx2 import Client, HTTPError, InvalidURL

    kept = cache_folder() / f"{sha256}-{file_name(url)}"
    unfinished = kept.with_name(f".{kept.name}.{os.getpid()}")
    try:
        kept.parent.mkdir(parents=True, exist_ok=True)
        with Client(timeout=_SECONDS, transport=transport) as client:
            found = _write(client, url, unfinished, report)
        if found != sha256:
            raise DataError(
                f"{url}: the file there has the SHA-256 {found}, not {sha256}. It has changed, or the hash is"
                " that of another file"
            )
        unfinished.replace(kept)
    except (HTTPError, InvalidURL, OSError) as error:
        raise DataError(
            f"{url}: cannot be fetched: {transport_message(error)}. A copy of the file in the folder that"
            f" {FOLDER_VARIABLE} names is read instead{other_of_its_name(url)}"
        ) from error
    finally:
        unfinished.unlink(missing_ok=True)
    return kept


def _write(client: Client, url: str, to: Path, report: Callable[[int, int], None]) -> str:
    """Write what is at an address into a file. Return its SHA-256, in hex."""
    response = _answered(client, client.build_request("GET", url, headers={"Accept-Encoding": "identity"}))
    try:
        size = int(response.headers.get("Content-Length", "0"))
        digest, n_bytes = hashlib.sha256(), 0
        with to.open("wb") as file:
            for chunk in response.iter_raw(_CHUNK):
                n_bytes += len(chunk)
                if max(n_bytes, size) > MAX_BYTES:
                    raise DataError(f"{url}: more than {MAX_BYTES:,} bytes, which is too large to fetch")
                digest.update(chunk)
                file.write(chunk)
                report(n_bytes // 1_000_000, max(n_bytes, size) // 1_000_000)
        return digest.hexdigest()
    finally:
        response.close()


def _answered(client: Client, request: Request) -> Response:
    """Return the answer to a request, after redirects."""
    first = request.url
    for _ in range(_MAX_REDIRECTS):
        response = client.send(request, stream=True)
        if response.next_request is None:
            if response.status_code != 200:
                response.close()
                raise DataError(f"{first}: the server answers {response.status_code}, not with the file")
            return response
        response.close()
        request = response.next_request
        if request.url.scheme != "https":
            raise DataError(f"{first}: it redirects to {request.url.scheme}, and only https is followed")
    raise DataError(f"{first}: it redirects more than {_MAX_REDIRECTS} times")
