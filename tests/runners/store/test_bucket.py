"""A bucket's address, and the errors of servers, in sentences that hold no key."""

import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from obstore.store import LocalStore, MemoryStore

from dsl.errors import ArgumentError
from runners.store.bucket import Bucket, BucketError, open_bucket

pytestmark = pytest.mark.slow

KEY, SECRET = "AKIAPERSONSNAME00000", "wJalrXUtnFEMI-K7MDENG-bPxRfiCY"


class Careless(BaseHTTPRequestHandler):
    """A server that writes whatever the condition, or refuses all and quotes the key."""

    denies = False
    objects: dict[str, bytes] = {}

    def do_PUT(self) -> None:
        content = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.denies:
            return self._answer(403, f"<Error><AWSAccessKeyId>{KEY}</AWSAccessKeyId></Error>".encode())
        self.objects[self.path] = content
        return self._answer(200, b"")

    def do_GET(self) -> None:
        self._answer(200, self.objects[self.path])

    def do_POST(self) -> None:
        asked = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        (key,) = re.findall(rb"<Key>.*?</Key>", asked)
        self._answer(200, b"<DeleteResult><Deleted>" + key + b"</Deleted></DeleteResult>")

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("ETag", '"one"')
        self.send_header("Last-Modified", "Mon, 30 Nov 2026 09:00:00 GMT")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def careless(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Careless]]:
    handler = type("Handler", (Careless,), {"objects": {}})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.server_port}")
        monkeypatch.setenv("AWS_ALLOW_HTTP", "true")
        monkeypatch.setenv("AWS_REGION", "us-east-1")
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY)
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
        yield handler
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("address", "says"),
    [
        ("s3://AKIA:secret@bucket/prefix", "without credentials"),
        ("s3://bucket/prefix?token=secret", "without credentials"),
        ("file:///srv/share", "A folder that several machines see is shared as it is, with --store"),
        ("/srv/share", "it takes a bucket, as s3://bucket/prefix"),
        ("s3://", "it takes a bucket"),
        ("s3://bucket//prefix", "empty path segment"),
    ],
)
def test_an_address_that_is_no_bucket_s_is_refused_and_no_credential_repeated(
    address: str, says: str
) -> None:
    with pytest.raises(ArgumentError, match=says) as refused:
        open_bucket(address)
    assert "secret" not in str(refused.value)


@pytest.mark.usefixtures("careless")
def test_a_server_that_does_not_heed_conditions_is_refused() -> None:
    with pytest.raises(BucketError, match="does not heed conditions"):
        open_bucket("s3://bucket/prefix").check()


def test_a_folder_behind_the_same_interface_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BucketError, match="conditional writes are missing"):
        Bucket("file://", LocalStore(tmp_path)).check()


def test_refused_credentials_are_a_sentence_without_them(careless: type[Careless]) -> None:
    careless.denies = True
    with pytest.raises(BucketError, match=r"access denied\. Are AWS_ACCESS_KEY_ID") as refused:
        open_bucket("s3://bucket/prefix").check()
    assert KEY not in str(refused.value)
    assert refused.value.__cause__ is None


@pytest.mark.usefixtures("careless")
def test_a_server_that_does_not_answer_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(BucketError, match=r"s3://bucket/prefix cannot be used: .*error sending") as no:
        open_bucket("s3://bucket/prefix").check()
    assert KEY not in str(no.value)
    assert "\n" not in str(no.value)


def test_a_file_comes_back_as_it_was_sent_and_a_short_one_is_known(tmp_path: Path) -> None:
    bucket, file = Bucket("memory://", MemoryStore()), tmp_path / "weights"
    file.write_bytes(bytes(range(256)) * 160_000)  # more than two parts
    bucket.send(file, "files/a")
    assert bucket.fetch("files/a", tmp_path / "again", file.stat().st_size)
    assert (tmp_path / "again").read_bytes() == file.read_bytes()
    assert not bucket.fetch("files/a", tmp_path / "again", file.stat().st_size + 1)
    assert not bucket.fetch("files/b", tmp_path / "again", 1)
    assert bucket.fetch("files/b", tmp_path / "empty", 0)
    assert (tmp_path / "empty").read_bytes() == b""
