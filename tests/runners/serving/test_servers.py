"""Servers that a process starts: ready when they are asked, and nothing of them left behind."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from dsl.errors import ServerError
from runners.serving import servers
from runners.serving.servers import PORT, Launch, running

SERVER = Path(__file__).with_name("vllm_server.py")
OPTIONS = ("--tokenizer", "t", "--served-model-name", "model", "--host", "127.0.0.1", "--port", PORT)

pytestmark = pytest.mark.slow


def launch(model: str = "m") -> Launch:
    command = (sys.executable, str(SERVER), "--model", model, *OPTIONS)
    return Launch(f"the model {model}", command, "VLLM_API_KEY", (("VLLM_SERVER_HAS_CHILD", "1"),))


def ending(code: str) -> Launch:
    return Launch("no server", (sys.executable, "-c", code, PORT), "VLLM_API_KEY")


@pytest.fixture(autouse=True)
def ended() -> Iterator[None]:
    yield
    servers.end()


def below(pid: int) -> set[int]:
    """Processes that a process has started, and theirs, as long as they live."""
    parents: dict[int, int] = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                state, parent = (folder / "stat").read_text().rpartition(")")[2].split()[:2]
            except OSError:
                continue
            if state != "Z":
                parents[int(folder.name)] = int(parent)
    found = {pid}
    while new := {child for child, parent in parents.items() if parent in found} - found:
        found |= new
    return found - {pid}


def left_of(pids: set[int]) -> set[int]:
    """Those of some processes that still run after a while."""
    patience, alive = time.monotonic() + 60, pids
    while time.monotonic() < patience:
        alive = {pid for pid in pids if Path(f"/proc/{pid}").exists() and not _is_zombie(pid)}
        if not alive:
            return set()
        time.sleep(0.05)
    return alive


def _is_zombie(pid: int) -> bool:
    try:
        return "\nState:\tZ" in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return True


def test_a_server_is_kept_for_its_next_steps_and_ended_with_its_children_for_another_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")  # the way to a server of one's own has no proxy
    before = below(os.getpid())
    first = running(launch(), tmp_path)
    of_first = below(os.getpid()) - before
    assert len(of_first) == 3  # the guard, the server and its child
    assert running(launch(), tmp_path) is first
    second = running(launch("other"), tmp_path)
    assert second is not first
    assert first.has_ended()
    assert not left_of(of_first)
    of_second = below(os.getpid()) - before
    servers.end()
    assert not left_of(of_second)


def test_a_server_is_reached_from_this_machine_alone_with_a_key_that_no_one_reads(tmp_path: Path) -> None:
    server = running(launch(), tmp_path)
    key = server.server.key.get_secret_value()
    assert len(key) >= 32
    assert str(server.settings.base_url).startswith("http://127.0.0.1:")
    commands = [Path(f"/proc/{pid}/cmdline").read_text() for pid in below(os.getpid())]
    assert not any(key in text for text in (*commands, server.log.read_text(), repr(vars(server))))


def test_nothing_is_left_of_a_server_whose_process_was_killed(tmp_path: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from tests.runners.serving.test_servers import launch;"
        " from runners.serving.servers import running; running(launch(), Path(sys.argv[1]));"
        " sys.stdout.write('ready\\n'); sys.stdout.flush(); time.sleep(600)"
    )
    root = str(Path(__file__).parents[3])
    with subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": root},
        start_new_session=True,
    ) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == b"ready\n"
        started = below(parent.pid)
        assert len(started) == 3
        os.kill(parent.pid, signal.SIGKILL)
    assert not left_of(started)


def test_a_server_that_ends_is_noticed_and_another_one_takes_its_place(tmp_path: Path) -> None:
    first = running(launch(), tmp_path)
    (server,) = (
        pid for pid in below(os.getpid()) if "vllm_server" in _command(pid) and "-I" not in _command(pid)
    )
    os.kill(server, signal.SIGKILL)
    assert first.has_ended(60)
    assert "the server of the model m ended with exit code 137" in first.why_ended()
    assert running(launch(), tmp_path) is not first


def _command(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")


def test_a_server_that_does_not_start_is_an_error_with_its_own_reason(tmp_path: Path) -> None:
    said = "print('ValueError: no such weights\\nRuntimeError: Engine core failed'); raise SystemExit(7)"
    with pytest.raises(
        ServerError, match=r"no server ended with exit code 7: ValueError: no such weights\. Its"
    ):
        running(ending(said), tmp_path)


def test_a_command_that_is_not_there_is_an_error_that_names_it(tmp_path: Path) -> None:
    missing = Launch("no server", (str(tmp_path / "nothing"), PORT), "VLLM_API_KEY")
    with pytest.raises(ServerError, match=r"exit code 127: .*nothing: No such file"):
        running(missing, tmp_path)


def test_a_server_does_not_see_the_modules_of_this_python(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(ServerError, match="exit code 8"):
        running(ending("import os; raise SystemExit(9 if 'PYTHONPATH' in os.environ else 8)"), tmp_path)


def test_a_launch_that_failed_is_not_tried_again_until_that_is_forgotten(tmp_path: Path) -> None:
    code = f"open({str(tmp_path / 'starts')!r}, 'a').write('x'); raise ValueError('no such quantisation')"
    for _ in range(2):
        with pytest.raises(ServerError, match=r"ended with exit code 1: .*no such quantisation"):
            running(ending(code), tmp_path / "servers")
    assert (tmp_path / "starts").read_text() == "x"
    with pytest.raises(ServerError, match=r"^not started again: the server of no server ended"):
        running(ending(code), tmp_path / "servers")
    servers.forget_failed(tmp_path / "servers")
    with pytest.raises(ServerError, match=r"^the server of no server ended"):
        running(ending(code), tmp_path / "servers")
    assert (tmp_path / "starts").read_text() == "xx"


def test_a_server_that_ran_and_does_not_start_again_at_once_is_tried_by_the_next_step(tmp_path: Path) -> None:
    full = tmp_path / "full"
    command = ("sh", "-c", f'test -e {full} && exit 3; exec "$@"', "sh", *launch().command)
    starting = Launch("the model m", command, "VLLM_API_KEY")
    running(starting, tmp_path).end()
    full.touch()
    with pytest.raises(ServerError, match=r"^the server of the model m ended with exit code 3"):
        running(starting, tmp_path)
    full.unlink()
    assert not running(starting, tmp_path).has_ended()
