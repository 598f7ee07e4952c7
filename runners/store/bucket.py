"""Bucket of an S3-compatible server: whole objects, conditional writes and errors in sentences.

Its address is `s3://bucket/prefix`. Credentials, region and endpoint are those of the environment, by AWS's
names (`AWS_ACCESS_KEY_ID`, `AWS_ENDPOINT_URL` …): they are read there by obstore and written nowhere.
"""

import contextlib
import datetime
import os
import re
import secrets
import time
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit

from dsl.errors import ArgumentError, StoreError
from dsl.messages import one_line, scrub

if TYPE_CHECKING:
    from obstore.store import ObjectStore

_PATIENCE = datetime.timedelta(seconds=20)
"""Time for which a request that fails is repeated."""
_PART = 16 << 20
"""Bytes that are sent or fetched at once of a large file."""
_MOST_PARTS = 9_000
"""Fewer than the 10,000 parts that S3 takes."""
_NO_MACHINE_KEYS = "169.254.169.254"
"""Address at which a machine of a cloud would have credentials."""
_STATUS = re.compile(r" - Server returned non-2xx status code: (\d+)")
"""Before the server's own words."""


class BucketError(StoreError):
    """A bucket cannot be reached, or refuses a request."""


@dataclass(frozen=True)
class Found:
    """An object as it is now."""

    content: bytes
    version: str
    """Its ETag."""
    changed: datetime.datetime
    """By the server's clock."""


class Bucket:
    """Objects below an address. All methods raise BucketError, and may be called by several threads."""

    def __init__(self, address: str, objects: "ObjectStore") -> None:
        self.address, self._objects = address, objects
        self._clock: tuple[datetime.datetime, float] | None = None

    def read(self, path: str) -> Found | None:
        """Read a small object; None where there is none."""
        import obstore

        with self._in_our_words():
            try:
                found = obstore.get(self._objects, path)
            except FileNotFoundError:
                return None
            meta = found.meta
            return Found(bytes(found.bytes()), meta["e_tag"] or "", meta["last_modified"])

    def create(self, path: str, content: bytes) -> str | None:
        """Write an object that is not there yet, and return its version; None where it is."""
        import obstore
        from obstore.exceptions import AlreadyExistsError

        with self._in_our_words():
            try:
                return obstore.put(self._objects, path, content, mode="create")["e_tag"] or ""
            except AlreadyExistsError:
                return None

    def update(self, path: str, content: bytes, version: str) -> str | None:
        """Write an object that is as it was in a version, and return the new one; None where it is not.

        A version is a digest of the content: other content makes another one.
        """
        import obstore
        from obstore.exceptions import PreconditionError

        with self._in_our_words():
            try:
                mode = cast("Any", {"e_tag": version})
                return obstore.put(self._objects, path, content, mode=mode)["e_tag"] or ""
            except PreconditionError:
                return None

    def delete(self, path: str) -> None:
        """Delete an object, if it is there."""
        import obstore

        with self._in_our_words(), contextlib.suppress(FileNotFoundError):
            obstore.delete(self._objects, path)

    def names(self, folder: str) -> list[str]:
        """List the objects below a folder, by their paths in it."""
        import obstore

        with self._in_our_words():
            parts = cast("Any", obstore).list(self._objects, folder)
            found = [str(meta["path"]) for part in parts for meta in part]
        return sorted(path.removeprefix(f"{folder}/") for path in found)

    def send(self, file: Path, path: str) -> None:
        """Write a file, in parts where it is large."""
        import obstore

        part = max(_PART, file.stat().st_size // _MOST_PARTS)
        with self._in_our_words():
            obstore.put(self._objects, path, file, chunk_size=part, max_concurrency=4)

    def fetch(self, path: str, file: Path, n_bytes: int) -> bool:
        """Write an object of so many bytes to a file, part by part; False where there is none of that size.

        Raises OSError where the file cannot be written.
        """
        import obstore

        with file.open("wb") as written:
            for start in range(0, n_bytes, _PART):
                length = min(_PART, n_bytes - start)
                with self._in_our_words():
                    try:
                        part = bytes(obstore.get_range(self._objects, path, start=start, length=length))
                    except FileNotFoundError:
                        return False
                written.write(part)
                if len(part) < length:
                    return False
        return True

    def check(self) -> None:
        """Check that writing works, and that the server heeds conditions; read its clock.

        Some servers write whatever condition they are given: no lease would hold there.
        """
        path = f"checks/{secrets.token_hex(8)}"
        first = self.create(path, b"1")
        heeds = first is not None and self.create(path, b"2") is None
        heeds = heeds and self.update(path, b"3", first or "") is not None
        heeds = heeds and self.update(path, b"4", first or "") is None
        if (found := self.read(path)) is not None:
            self._clock = found.changed, time.monotonic()
        self.delete(path)
        if not heeds or self._clock is None:
            raise BucketError(
                f"{self.address}: its server does not heed conditions of writes (If-None-Match, If-Match), so"
                " two applies could not tell which of them makes a step"
            )

    def now(self) -> datetime.datetime:
        """Return the time by the server's clock, to a second or so, once it was checked."""
        assert self._clock is not None
        told, at = self._clock
        return told + datetime.timedelta(seconds=time.monotonic() - at)

    @contextlib.contextmanager
    def _in_our_words(self) -> Generator[None]:
        """Tell errors in sentences of ours: a server's own words may quote the key."""
        from obstore.exceptions import BaseError

        try:
            yield
        except NotImplementedError:
            raise BucketError(f"{self.address}: conditional writes are missing") from None
        except (FileNotFoundError, BaseError) as error:
            status = _STATUS.search(str(error))
            match status[1] if status else "":
                case "401" | "403":
                    why = (
                        ": access denied. Are AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY of this environment"
                        " those of somebody who may read, write, list and delete there?"
                    )
                case "404":
                    why = ": there is no such bucket"
                case _:
                    why = f" cannot be used: {_why(error)}"
            raise BucketError(self.address + why) from None


def open_bucket(address: str) -> Bucket:
    """Return the bucket at an address, of which nothing is read yet.

    Raises ArgumentError where it is no `s3://bucket/prefix`, or obstore is missing.
    """
    parts = urlsplit(address)
    if parts.username is not None or parts.query or parts.fragment:
        raise ArgumentError(
            "--share takes an address without credentials or parameters, as s3://bucket/prefix: they are read"
            " from the environment, as AWS_ACCESS_KEY_ID"
        )
    if parts.scheme != "s3" or not parts.netloc:
        raise ArgumentError(
            f"--share {one_line(scrub(address))}: it takes a bucket, as s3://bucket/prefix. A folder that"
            " several machines see is shared as it is, with --store"
        )
    try:
        from obstore.exceptions import BaseError
        from obstore.store import S3Store
    except ModuleNotFoundError as error:
        raise ArgumentError("--share needs the package obstore: pip install 'xp-lab[share]'") from error
    try:
        objects = S3Store.from_url(address, retry_config={"max_retries": 4, "retry_timeout": _PATIENCE})
    except BaseError as error:
        raise ArgumentError(f"--share {one_line(scrub(address))}: {_why(error)}") from None
    return Bucket(address.rstrip("/"), objects)


def _why(error: Exception) -> str:
    """Return the first words of an error, without the server's, and without keys."""
    why = str(error).partition("\n")[0].removeprefix("Generic S3 error: ")
    if _NO_MACHINE_KEYS in why:
        return "no credentials in the environment (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY)"
    if status := _STATUS.search(why):
        why = f"{why[: status.start()]}: status {status[1]}"
    for name, value in os.environ.items():
        if name.startswith("AWS_") and re.search("KEY|TOKEN|SECRET", name) and value:
            why = why.replace(value, "«redacted»")
    return one_line(scrub(why))[:300]
