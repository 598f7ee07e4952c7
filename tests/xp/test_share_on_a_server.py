"""Stores that share steps through a bucket of a real server, from processes that are killed."""

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from runners.store.bucket import open_bucket
from runners.store.store import Store
from tests.xp.small_study import (
    HANG_SECONDS,
    all_rows,
    in_warehouse,
    plan_of,
    step_ids,
    unfinished_rows,
    wait_for,
    workers_of,
    write_study,
)
from xp import load

SERVER = Path(__file__).resolve().parents[2] / ".venv-moto" / "bin" / "moto_server"
KEY, SECRET = "AKIAPERSONSNAME00000", "wJalrXUtnFEMI-K7MDENG-bPxRfiCY"
PROGRAM = """
import os, signal, sys
from runners.store import leases
from runners.store.bucket import Bucket
leases.BEAT_SECONDS = 0.5
if killed_at := os.environ.get("KILLED_AT"):
    create = Bucket.create
    def die(self, path, content):
        if path.startswith(killed_at):
            os.kill(os.getpid(), signal.SIGKILL)
        return create(self, path, content)
    Bucket.create = die
from xp.__main__ import main
main()
"""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.other_tools,
    pytest.mark.skipif(not SERVER.exists(), reason="needs .venv-moto: `make test-servers`"),
    pytest.mark.skipif(sys.platform != "linux", reason="kills processes"),
]


class Server:
    """A moto server in a process of its own, with one bucket."""

    def __init__(self, log: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.address = f"http://127.0.0.1:{free.getsockname()[1]}"
        self._log = log
        self.start()

    def start(self) -> None:
        port = self.address.rpartition(":")[2]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen([SERVER, "-H", "127.0.0.1", "-p", port], stdout=log, stderr=log)
        wait_for(lambda: self._is_done("PUT", "/bucket"))

    def end(self) -> None:
        self._process.kill()
        self._process.wait()

    def check_credentials(self, *, after: str) -> None:
        """Have the server refuse credentials after so many requests."""
        assert self._is_done("POST", "/moto-api/reset-auth", after.encode())

    def _is_done(self, method: str, path: str, body: bytes | None = None) -> bool:
        headers = {"Content-Type": "text/plain"}
        asked = urllib.request.Request(self.address + path, body, headers, method=method)
        try:
            with urllib.request.urlopen(asked, timeout=10) as answered:
                return answered.status == 200
        except OSError:
            return False


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    server = Server(tmp_path / "server.log")
    monkeypatch.setenv("AWS_ENDPOINT_URL", server.address)
    monkeypatch.setenv("AWS_ALLOW_HTTP", "true")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("XP_SHARE", "s3://bucket/of a group/studies")
    yield server
    server.end()


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_study(tmp_path_factory.mktemp("study"), n_items=8, seconds_per_row=0.2)


@pytest.fixture(scope="module")
def alone(spec: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    store = tmp_path_factory.mktemp("alone") / "store"
    load(spec, store=store).apply(in_process=True, report=False, share="")
    return store


def begin(spec: Path, store: Path, **environment: str) -> subprocess.Popen[str]:
    """`xp apply` in a process of its own, with leases that expire after five seconds."""
    options = ["apply", str(spec), "--yes", "--no-report", "--store", str(store)]
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, **environment},
    )


def ended(process: subprocess.Popen[str], code: int = 0) -> str:
    said, _ = process.communicate(timeout=HANG_SECONDS)
    assert process.returncode == code, said
    assert KEY not in said
    assert SECRET not in said
    return said


def assert_as_alone(store: Path, alone: Path) -> None:
    assert all_rows(store) == all_rows(alone)
    assert in_warehouse(store) == in_warehouse(alone)
    written = [path for path in store.rglob("*") if path.is_file()]
    assert not [path for path in written if {KEY, SECRET} & {*re.findall(r"[\w-]{20,}", text_of(path))}]


def text_of(path: Path) -> str:
    return path.read_bytes().decode("latin-1")


def test_two_applies_on_two_stores_share_the_work_and_their_tables_are_equal(
    server: Server, spec: Path, alone: Path, tmp_path: Path
) -> None:
    stores = [tmp_path / "one", tmp_path / "other"]
    said = [ended(one) for one in [begin(spec, store) for store in stores]]
    n_done = [int(n) for one in said for n in re.findall(r"(\d+) steps? done", one)]
    assert sum(n_done) == 6, said
    assert min(n_done) > 0, said
    for store in stores:
        assert_as_alone(store, alone)
    bucket = open_bucket(os.environ["XP_SHARE"])
    assert len(bucket.names("steps")) == 6
    assert bucket.names("leases") == bucket.names("checks") == []


def test_a_killed_apply_s_step_is_made_by_the_other_once_its_lease_has_expired(
    server: Server, spec: Path, alone: Path, tmp_path: Path
) -> None:
    store, other = tmp_path / "one", tmp_path / "other"
    killed = begin(spec, store)
    wait_for(lambda: any(n >= 1 for _, n in unfinished_rows(store)))
    for worker in (workers := workers_of(store)):
        os.kill(worker, signal.SIGSTOP)
    going_on = begin(spec, other)
    assert going_on.stdout is not None
    with contextlib.ExitStack() as stack:
        stack.callback(going_on.kill)
        line = next(line for line in going_on.stdout if "being made by another apply" in line)
        assert f"process {killed.pid} on " in line
        for one in (killed.pid, *workers):
            os.kill(one, signal.SIGKILL)
        killed.communicate()
        ended(going_on)
    assert_as_alone(other, alone)
    assert open_bucket(os.environ["XP_SHARE"]).names("leases") == []
    ended(begin(spec, store))  # the killed one's store, from what the other has made
    assert_as_alone(store, alone)


def test_an_upload_that_a_kill_cut_is_made_anew_by_the_next_apply(
    server: Server, spec: Path, alone: Path, tmp_path: Path
) -> None:
    store, bucket = tmp_path / "one", open_bucket(os.environ["XP_SHARE"])
    killed = begin(spec, store, KILLED_AT="steps/generate")
    killed.communicate(timeout=HANG_SECONDS)
    assert killed.returncode == -signal.SIGKILL
    assert bucket.names("steps")
    assert not [name for name in bucket.names("steps") if name.startswith("generate")]
    ended(begin(spec, store))
    assert len(bucket.names("steps")) == 6
    assert bucket.names("leases") == []
    said = ended(begin(spec, tmp_path / "other"))
    assert "0 sent, 6 fetched" in said
    assert_as_alone(tmp_path / "other", alone)


def test_a_damaged_object_is_refused_by_its_digest_and_the_step_made_here(
    server: Server, spec: Path, alone: Path, tmp_path: Path
) -> None:
    ended(begin(spec, tmp_path / "one"))
    bucket, step_id = open_bucket(os.environ["XP_SHARE"]), step_ids(plan_of(spec), "generate")[0]
    outcome = Store(tmp_path / "one").outcome(step_id)
    path = f"files/{outcome.files['completions.jsonl'].sha256}"
    found = bucket.read(path)
    assert found is not None
    bucket.delete(path)
    assert bucket.create(path, found.content.replace(b"q3", b"q9"))
    said = ended(begin(spec, tmp_path / "other"))
    assert re.search(rf"{step_id} of s3://bucket/of a group/studies was not fetched, and was made here", said)
    assert "completions.jsonl holds other bytes than it was written with" in said
    assert_as_alone(tmp_path / "other", alone)


def test_a_server_that_is_gone_during_the_run_costs_no_result(
    server: Server, spec: Path, alone: Path, tmp_path: Path
) -> None:
    store = tmp_path / "one"
    running = begin(spec, store)
    wait_for(lambda: any(n >= 1 for _, n in unfinished_rows(store)))
    server.end()
    said = ended(running)
    assert "Not shared, since s3://bucket/of a group/studies cannot be used:" in said
    assert "the next `xp apply` with --share sends them" in said
    assert_as_alone(store, alone)
    refused = ended(begin(spec, store), code=1)
    assert "cannot be used" in refused
    server.start()  # as new, so it has nothing
    assert "6 sent, 0 fetched" in ended(begin(spec, store))
    assert len(open_bucket(os.environ["XP_SHARE"]).names("steps")) == 6


def test_wrong_credentials_and_a_missing_bucket_are_a_sentence_each(
    server: Server, spec: Path, tmp_path: Path
) -> None:
    missing = ended(begin(spec, tmp_path / "store", XP_SHARE="s3://no-bucket/x"), code=1)
    assert "s3://no-bucket/x: there is no such bucket" in missing
    server.check_credentials(after="0")
    said = ended(begin(spec, tmp_path / "store"), code=1)
    assert "access denied. Are AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY" in said
    assert "Traceback" not in said


def test_a_large_file_is_sent_and_fetched_in_parts(server: Server, tmp_path: Path) -> None:
    bucket, weights = open_bucket(os.environ["XP_SHARE"]), tmp_path / "weights"
    weights.write_bytes(os.urandom(50 << 20))
    bucket.send(weights, "files/weights")
    assert bucket.fetch("files/weights", tmp_path / "again", 50 << 20)
    assert (tmp_path / "again").read_bytes() == weights.read_bytes()
