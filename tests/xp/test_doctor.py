"""`xp doctor` finds what hinders and says what to do."""

import datetime
import importlib.metadata
import json
import shutil
import threading
from collections.abc import Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from typer.testing import CliRunner

from dsl.data.records import Run, read_record
from runners.store.store import Store
from tests.xp.small_study import plan_of, step_ids, write_study
from xp import load
from xp.cli import app
from xp.doctor import Finding, examine
from xp.lock import lock, lock_file


@pytest.fixture(scope="module")
def applied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("doctor")
    load(write_study(folder, n_items=2), store=folder / "store").apply(in_process=True, report=False)
    return folder


@pytest.fixture
def folder(applied: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(applied, tmp_path / "study"))


def of(subject: str, *findings: Finding) -> list[tuple[str, str]]:
    return [(one.level, one.says) for one in findings if one.subject == subject]


def test_a_sound_store_has_no_fault_and_the_exit_code_is_0(folder: Path) -> None:
    found = [*examine(folder / "store", [folder / "small.yaml"])]
    assert [one for one in found if one.level == "fault"] == []
    assert {one.subject for one in found} >= {"disk", "store", "warehouse", str(folder / "small.yaml")}
    said = CliRunner().invoke(app, ["doctor", "--store", str(folder / "store")])
    assert (said.exit_code, "ok    warehouse: 6 steps loaded" in said.output) == (0, True)


def test_the_lock_of_a_spec_is_read_and_what_has_moved_since_is_a_fault(folder: Path) -> None:
    spec, store = folder / "small.yaml", folder / "store"
    path = lock_file(spec)
    assert of(str(path), *examine(store, [spec])) == [], "it has none"
    lock(spec, (), store)
    ((level, says),) = of(str(path), *examine(store, [spec]))
    assert (level, "are as it says" in says) == ("ok", True)
    data = spec.with_name("en.jsonl")
    data.write_text(data.read_text("utf-8").replace("viel", "wenig"), "utf-8")
    ((level, says),) = of(str(path), *examine(store, [spec]))
    assert (level, "files.en.jsonl: it was" in says, "--update-lock" in says) == ("fault", True, True)
    path.write_text("[1, 2]", "utf-8")
    ((level, says),) = of(str(path), *examine(store, [spec]))
    assert (level, "`xp lock` writes it again" in says) == ("fault", True)


def test_a_store_that_is_not_there_yet_is_no_fault(tmp_path: Path) -> None:
    assert of("store", *examine(tmp_path / "none")) == [
        ("note", f"there is none at {tmp_path / 'none'} yet; `xp apply` makes it")
    ]
    assert not (tmp_path / "none").exists()


def test_damage_to_steps_and_warehouse_is_named_with_its_remedy(folder: Path) -> None:
    store = Store(folder / "store")
    damaged, gone = step_ids(plan_of(folder / "small.yaml"), "judge")
    (store.step_folder(damaged) / "verdicts.jsonl").write_text("")
    shutil.rmtree(store.step_folder(gone))
    (store.steps / f"{gone}.tmp").mkdir()
    found = [*examine(store.root)]
    assert of("store", *found) == [
        (
            "fault",
            f"{damaged}: verdicts.jsonl has 0 of the 2 rows it was written with. `xp apply` makes the step"
            " again",
        ),
        ("note", "1 step unfinished: `xp apply` goes on with them"),
    ]
    assert of("warehouse", *found) == [
        ("fault", "1 step in the store or the warehouse alone. `xp rebuild` makes it again")
    ]
    store.warehouse.unlink()
    assert of("warehouse", *examine(store.root)) == [
        ("fault", "there is none for the store's steps. `xp rebuild` makes it")
    ]
    store.warehouse.write_bytes(b"no database")
    ((level, says),) = of("warehouse", *examine(store.root))
    assert (level, "this is no readable warehouse" in says) == ("fault", True)
    assert CliRunner().invoke(app, ["doctor", "--store", str(store.root)]).exit_code == 1


def test_an_apply_at_work_an_interrupted_one_and_a_clock_set_back_are_noted(folder: Path) -> None:
    store = Store(folder / "store")
    with store.lock():
        ((level, says),) = of("lock", *examine(store.root))
    assert (level, says.startswith("an apply is at work: process ")) == ("note", True)
    (store.root / "lock").write_text("{}")
    assert "was interrupted" in of("lock", *examine(store.root))[0][1]
    later = (datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=2)).isoformat()
    path = next(store.runs.glob("*.json"))
    path.write_text(read_record(path, Run).model_copy(update={"started_at": later}).model_dump_json())
    assert of("clock", *examine(store.root))[0][1].startswith("1 attempt dated later than now")


def test_a_full_disk_is_a_fault(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    full = shutil.disk_usage("/")._replace(free=5_000)

    def usage(path: object) -> object:
        return full

    monkeypatch.setattr("shutil.disk_usage", usage)
    (store, _) = of("disk", *examine(folder / "store"))
    assert store[0] == "fault"
    assert store[1].endswith("1.0 GB are needed. `xp gc` shows what can go")


def test_packages_that_are_missing_or_untested_are_named(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = importlib.metadata.version

    def version(name: str) -> str:
        if name == "duckdb":
            raise importlib.metadata.PackageNotFoundError(name)
        return "0.1" if name == "scipy" else known(name)

    monkeypatch.setattr("importlib.metadata.version", version)
    (missing, other) = of("packages", *examine(folder / "store"))
    assert missing == ("fault", "not installed: `duckdb`. pip install duckdb")
    assert (other[0], "scipy 0.1 (tested: " in other[1]) == ("note", True)


def served(folder: Path, url: str, name: str) -> Path:
    study = json.loads((folder / "small.yaml").read_text("utf-8"))
    base = {"engine": "openai", "name": name, "base_url": url, "api_key_env": "XP_TEST_KEY"}
    study["models"] = {"echo": {"base": base, "parameters": 1}}
    (folder / "served.yaml").write_text(json.dumps(study), "utf-8")
    return folder / "served.yaml"


@contextmanager
def listing(status: int, body: object) -> Generator[tuple[str, list[tuple[str, str]]]]:
    """A server that says this to whatever is asked; its address, and the paths and keys that it was sent."""
    asked: list[tuple[str, str]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append((self.path, self.headers["authorization"]))
            content = body.encode() if isinstance(body, str) else json.dumps(body).encode()
            self.send_response(status)
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/v1", asked
        server.shutdown()
        thread.join()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (200, {"data": [{"id": "m"}, {"id": "n"}]}, ("ok", "answers and serves m")),
        (200, {"data": [{"id": "n"}]}, ("fault", "serves `n`, not m: correct `name`")),
        (200, "<html>", ("fault", "that is not JSON")),
        (200, {"choices": []}, ("fault", "has not the form of the API")),
        (401, {"detail": "no key"}, ("ok", "does not allow XP_TEST_KEY to be sent yet")),
        (404, {"detail": "not found"}, ("ok", "does not say which models it serves")),
        (503, {"error": "down"}, ("fault", "cannot be used (503): down.")),
    ],
)
def test_a_server_is_asked_for_its_models_and_gets_no_key_that_was_not_allowed(
    status: int, body: object, expected: tuple[str, str], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XP_TEST_KEY", "sk-test-0123456789")
    with listing(status, body) as (url, asked):
        spec = served(folder, url, "m")
        level, says = of(str(spec), *examine(folder / "store", [spec]))[-1]
    assert (level, expected[1] in says) == (expected[0], True), says
    assert asked == [("/v1/models", "Bearer none")]


@pytest.mark.slow
def test_a_server_is_sent_the_key_that_the_store_allows(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XP_TEST_KEY", "sk-test-0123456789")
    with listing(200, {"data": [{"id": "m"}]}) as (url, asked):
        Store(folder / "store").allow([("XP_TEST_KEY", url.removesuffix("/v1"))])
        spec = served(folder, url, "m")
        assert of(str(spec), *examine(folder / "store", [spec]))[-1][0] == "ok"
    assert asked == [("/v1/models", "Bearer sk-test-0123456789")]


def test_a_server_that_is_not_there_and_a_spec_that_is_not_valid_are_faults(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XP_TEST_KEY", "sk-test-0123456789")
    spec = served(folder, "http://127.0.0.1:9/v1", "m")
    assert [level for level, _ in of(str(spec), *examine(folder / "store", [spec]))][-2:] == [
        "fault",
        "fault",
    ]
    (folder / "en.jsonl").unlink()
    ((level, says),) = of(str(spec), *examine(folder / "store", [spec]))
    assert (level, says.startswith("1 problem, the first: ")) == ("fault", True)
