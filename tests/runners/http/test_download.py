"""Public files: fetched once, over https alone, and refused with another hash."""

import gzip
import hashlib
from pathlib import Path

import httpx2
import pytest

from dsl.data.public_files import other_of_its_name, public_file
from dsl.errors import DataError
from runners.http import download
from runners.http.download import fetch

CONTENT = b'{"id": "a", "q": "1"}\n' * 100
SHA256 = hashlib.sha256(CONTENT).hexdigest()
URL = "https://files.example/a/rows.jsonl"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("XP_DATA", raising=False)
    return tmp_path / "cache" / "xp" / "files"


def server(**answers: httpx2.Response) -> httpx2.MockTransport:
    """A server with an answer for each host and path."""

    def answer(request: httpx2.Request) -> httpx2.Response:
        assert "Authorization" not in request.headers
        return answers.get(f"{request.url.host}{request.url.path}", httpx2.Response(404))

    return httpx2.MockTransport(answer)


def fetched(sha256: str = SHA256, **answers: httpx2.Response) -> Path:
    return fetch(URL, sha256, lambda done, total: None, server(**answers))


def redirect(to: str) -> httpx2.Response:
    return httpx2.Response(302, headers={"Location": to})


def whole(content: bytes = CONTENT) -> httpx2.Response:
    return httpx2.Response(200, stream=httpx2.ByteStream(content))


def test_a_file_is_fetched_whole_and_found_again(cache: Path) -> None:
    path = fetched(**{"files.example/a/rows.jsonl": whole()})
    assert path.read_bytes() == CONTENT
    assert public_file(URL, SHA256) == path
    assert [one.name for one in cache.iterdir()] == [f"{SHA256}-rows.jsonl"]


def test_redirects_are_followed_over_https_only() -> None:
    assert fetched(
        **{
            "files.example/a/rows.jsonl": redirect("https://other.example/b?key=1"),
            "other.example/b": whole(),
        }
    ).is_file()
    with pytest.raises(DataError, match="redirects to http, and only https is followed"):
        fetched("0" * 64, **{"files.example/a/rows.jsonl": redirect("http://other.example/b")})
    with pytest.raises(DataError, match="redirects more than 5 times"):
        fetched("0" * 64, **{"files.example/a/rows.jsonl": redirect(URL)})


def test_another_hash_is_refused_and_leaves_nothing(cache: Path) -> None:
    with pytest.raises(DataError, match=f"has the SHA-256 {SHA256}, not {'0' * 64}"):
        fetched("0" * 64, **{"files.example/a/rows.jsonl": whole()})
    assert list(cache.iterdir()) == []


def test_a_file_that_is_not_there_and_one_too_large_are_refused(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(DataError, match="the server answers 404"):
        fetched()
    monkeypatch.setattr(download, "MAX_BYTES", 100)
    with pytest.raises(DataError, match="more than 100 bytes"):
        fetched(**{"files.example/a/rows.jsonl": whole()})
    assert list(cache.iterdir()) == []


def test_no_connection_names_the_folder_that_a_copy_can_lie_in() -> None:
    def refuse(request: httpx2.Request) -> httpx2.Response:
        raise httpx2.ConnectError("no route to host")

    with pytest.raises(DataError, match=r"no route to host.*XP_DATA"):
        fetch(URL, SHA256, lambda done, total: None, httpx2.MockTransport(refuse))


def test_another_file_of_its_name_in_the_folder_is_told_with_its_hash(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert other_of_its_name(URL) == ""
    monkeypatch.setenv("XP_DATA", str(tmp_path / "data"))
    (tmp_path / "data").mkdir()
    other = tmp_path / "data" / "rows.jsonl"
    other.write_bytes(b"another file of that name\n")
    digest = hashlib.sha256(other.read_bytes()).hexdigest()
    assert other_of_its_name(URL) == (
        f". {other}, in the folder that XP_DATA names, is another file: its SHA-256 is {digest}"
    )

    def refuse(request: httpx2.Request) -> httpx2.Response:
        raise httpx2.ConnectError("no route to host")

    with pytest.raises(DataError, match=f"is another file: its SHA-256 is {digest}"):
        fetch(URL, SHA256, lambda done, total: None, httpx2.MockTransport(refuse))


def test_a_folder_s_file_of_that_hash_is_read_instead_under_any_name_and_gzipped_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XP_DATA", str(tmp_path / "data"))
    (tmp_path / "data" / "deep").mkdir(parents=True)
    other, same = tmp_path / "data" / "rows.jsonl", tmp_path / "data" / "deep" / "renamed.jsonl"
    other.write_bytes(b"another file of that name\n")
    assert public_file(URL, SHA256).name == f"{SHA256}-rows.jsonl"
    same.write_bytes(CONTENT)
    assert public_file(URL, SHA256) == same
    same.unlink()
    packed = tmp_path / "data" / "packed.jsonl.gz"
    packed.write_bytes(gzip.compress(CONTENT))
    assert public_file(URL, SHA256) == packed
