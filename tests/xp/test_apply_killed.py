"""`xp apply` and its workers are stopped in every rude way there is; what is there afterwards is compared
with an undisturbed run. What is stopped, or meets a full disk, is a process; what goes on is not."""

import contextlib
import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from runners.store.store import Store
from tests.xp.commands import xp
from tests.xp.small_study import (
    HANG_SECONDS,
    all_rows,
    apply_here,
    apply_to_end,
    begin_apply,
    in_warehouse,
    rows_of,
    unfinished_rows,
    wait_for,
    workers_of,
    write_study,
)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc"),
]

SECONDS_PER_ROW = 0.05


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_study(tmp_path_factory.mktemp("study"), n_items=18, seconds_per_row=SECONDS_PER_ROW)


@pytest.fixture(scope="module")
def undisturbed(spec: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    store = tmp_path_factory.mktemp("undisturbed") / "store"
    go_on(spec, store)
    return store


def go_on(spec: Path, store: Path, *options: str) -> None:
    """Apply to the end where nothing disturbs."""
    finished = apply_here(spec, store, "--in-process", *options)
    assert finished.returncode == 0, finished.stdout + finished.stderr


def assert_same(store: Path, undisturbed: Path) -> None:
    """Every row is there, once, in files and in the warehouse."""
    assert all_rows(store) == all_rows(undisturbed)
    assert in_warehouse(store) == in_warehouse(undisturbed)
    assert not list((store / "steps").glob("*.tmp"))
    assert not list((store / "runs").glob("*.begun"))


def runs_of(store: Path) -> list[dict[str, object]]:
    return [json.loads(path.read_text("utf-8")) for path in sorted((store / "runs").glob("*.json"))]


def kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def assert_no_row_is_made_again(store: Path, on_disk: dict[str, int]) -> None:
    """Assert that every step finished since has reused the rows that were on the disk."""
    for step_id, n_rows in on_disk.items():
        outcome = store / "steps" / step_id / "outcome.json"
        if outcome.exists():
            assert json.loads(outcome.read_text("utf-8"))["n_reused"] >= n_rows


@pytest.mark.parametrize(("victims", "seed"), [("apply", 0), ("worker", 1), ("both", 0), ("both", 1)])
def test_kill_9_at_any_moment_loses_the_rows_in_flight_at_most(
    spec: Path, undisturbed: Path, tmp_path: Path, victims: str, seed: int
) -> None:
    chance, store = random.Random(f"{victims} {seed}"), tmp_path / "store"
    for _ in range(3):
        if len(Store(store).done()) == 6:
            break
        on_disk = dict(unfinished_rows(store))
        process = begin_apply(spec, store, "--jobs", str(1 + seed))
        wait_for(lambda: workers_of(store))
        time.sleep(chance.uniform(0.0, 1.5))
        workers = workers_of(store)
        if victims in ("apply", "both"):
            kill(process.pid)
        if victims in ("worker", "both"):
            for worker in workers:
                kill(worker)
        process.communicate(timeout=HANG_SECONDS)
        wait_for(lambda: not workers_of(store))
        assert_no_row_is_made_again(store, on_disk)
        for step_id, n_rows in unfinished_rows(store):
            assert n_rows >= on_disk.get(step_id, 0)
    on_disk = dict(unfinished_rows(store))
    go_on(spec, store)
    assert_no_row_is_made_again(store, on_disk)
    assert_same(store, undisturbed)


def test_a_dead_worker_costs_the_step_it_was_in_and_a_new_one_takes_the_rest(
    spec: Path, undisturbed: Path, tmp_path: Path
) -> None:
    store = tmp_path / "store"
    process = begin_apply(spec, store)
    wait_for(lambda: any(n > 3 for _, n in unfinished_rows(store)))
    (worker,) = workers_of(store)
    kill(worker)
    out, err = process.communicate(timeout=HANG_SECONDS)
    assert process.returncode == 1
    assert "worker died: signal 9 (killed; out of memory?)" in out
    assert "4 steps done, 1 failed, 1 skipped" in out
    assert "Traceback" not in err
    go_on(spec, store)
    assert_same(store, undisturbed)


def test_no_worker_outlives_a_killed_apply_by_its_step(spec: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    process = begin_apply(spec, store, "--jobs", "2")
    wait_for(lambda: len(workers_of(store)) == 2 and len(list(unfinished_rows(store))) == 2)
    kill(process.pid)
    process.communicate(timeout=HANG_SECONDS)
    wait_for(lambda: not workers_of(store))
    assert len(list(unfinished_rows(store))) == 2


def test_an_attempt_whose_apply_was_killed_is_in_the_books_afterwards(spec: Path, tmp_path: Path) -> None:
    store, begun = tmp_path / "store", time.monotonic()
    process = begin_apply(spec, store)
    wait_for(lambda: any(n > 3 for _, n in unfinished_rows(store)))
    kill(process.pid)
    process.communicate(timeout=HANG_SECONDS)
    seconds = time.monotonic() - begun
    go_on(spec, store)
    (killed,) = [run for run in runs_of(store) if run["status"] == "interrupted"]
    assert str(killed["step_id"]).startswith("generate-")
    assert 3 * SECONDS_PER_ROW < float(str(killed["seconds"])) < seconds


def test_a_half_written_row_is_cut_off_and_made_again(spec: Path, undisturbed: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    process = begin_apply(spec, store)
    step_id, _ = wait_for(lambda: next((pair for pair in unfinished_rows(store) if pair[1] > 3), None))
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate(timeout=HANG_SECONDS)
    wait_for(lambda: not workers_of(store))
    rows = Store(store).unfinished_folder(step_id) / "completions.jsonl"
    whole = rows.read_bytes()
    rows.write_bytes(whole[: whole.rindex("é".encode()) + 1])  # half a character, too
    n_whole = len(rows_of(rows.parent))
    go_on(spec, store)
    assert json.loads((store / "steps" / step_id / "outcome.json").read_text("utf-8"))["n_reused"] == n_whole
    assert_same(store, undisturbed)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupted_apply_ends_with_130_and_goes_on_from_there(
    spec: Path, undisturbed: Path, tmp_path: Path, number: signal.Signals
) -> None:
    store = tmp_path / "store"
    process = begin_apply(spec, store)
    wait_for(lambda: any(n > 3 for _, n in unfinished_rows(store)))
    os.killpg(process.pid, number)  # as a terminal does: to all of its processes
    out, err = process.communicate(timeout=HANG_SECONDS)
    assert process.returncode == 130
    assert "Traceback" not in out + err
    assert not workers_of(store)
    assert [run["status"] for run in runs_of(store)].count("interrupted") == 1
    on_disk = dict(unfinished_rows(store))
    assert sum(on_disk.values()) > 3
    go_on(spec, store)
    assert_no_row_is_made_again(store, on_disk)
    assert_same(store, undisturbed)


def test_an_interrupted_apply_lists_what_failed_until_then_with_the_reason_and_the_log(
    tmp_path: Path,
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and does not listen: who connects is refused
        port = taken.getsockname()[1]
        dead = {
            "engine": "openai",
            "name": "tiny",
            "base_url": f"http://127.0.0.1:{port}/v1",
            "max_retries": 1,
            "timeout": 2.0,
        }
        spec = write_study(tmp_path / "study", languages=("en",), seconds_per_row=HANG_SECONDS)
        study = json.loads(spec.read_text("utf-8"))
        study["models"] = {"dead": {"base": dead, "parameters": 1_000_000}, **study["models"]}
        spec.write_text(json.dumps(study), "utf-8")
        store = tmp_path / "store"
        process = begin_apply(spec, store)
        wait_for(lambda: "failed" in {run["status"] for run in runs_of(store)})
        wait_for(lambda: len(list((store / "steps").glob("generate-*.tmp"))) == 2)
        os.killpg(process.pid, signal.SIGINT)
        out, err = process.communicate(timeout=HANG_SECONDS)
    assert process.returncode == 130, out + err
    (failed,) = (run for run in runs_of(store) if run["status"] == "failed")
    log = store / "steps" / f"{failed['step_id']}.tmp" / "log.txt"
    (line,) = (line for line in out.splitlines() if line.startswith(f"  {failed['step_id']} failed after "))
    assert str(failed["error"]) in line
    assert "did not answer for tiny in 2 tries" in line
    assert line.endswith(f"Log: {log}")
    assert log.exists()
    assert "1 failed" in out
    assert "interrupted; `xp apply` goes on from here" in err


def test_an_apply_under_nohup_goes_on_when_the_terminal_is_closed(
    spec: Path, undisturbed: Path, tmp_path: Path
) -> None:
    store = tmp_path / "store"
    process = begin_apply(spec, store, before=("nohup",))
    wait_for(lambda: any(n > 3 for _, n in unfinished_rows(store)))
    os.killpg(process.pid, signal.SIGHUP)
    _, err = process.communicate(timeout=HANG_SECONDS)
    assert process.returncode == 0, err
    assert_same(store, undisturbed)


def test_a_rebuild_beside_an_apply_says_who_holds_the_store_and_since_when(
    spec: Path, undisturbed: Path, tmp_path: Path
) -> None:
    store = tmp_path / "store"
    first = begin_apply(spec, store)
    wait_for(lambda: workers_of(store))
    beside = xp("rebuild", "--store", str(store), cwd=tmp_path)
    assert beside.returncode == 1
    assert re.search(
        rf"in use: process {first.pid} on \S+ since \d{{4}}-\d\d-\d\dT\d\d:\d\d:\d\d", beside.stderr
    )
    assert "Traceback" not in beside.stderr
    first.communicate(timeout=HANG_SECONDS)
    assert first.returncode == 0
    assert_same(store, undisturbed)


@contextlib.contextmanager
def small_disk(folder: Path, kilobytes: int) -> Iterator[Path]:
    """A file system of its own with so much room."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", str(folder)]
    mounted = subprocess.run(command, capture_output=True, text=True, check=False)
    if mounted.returncode:
        pytest.skip(f"may not mount a small file system here: {mounted.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.fixture(scope="module")
def with_data(spec: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store in which the data steps are done."""
    store = tmp_path_factory.mktemp("with data") / "store"
    go_on(spec, store, "--target", "data")
    return store


@pytest.mark.parametrize("room", [0, 12, 120])
def test_a_full_disk_ends_in_a_clear_error_and_goes_on_when_there_is_room(
    spec: Path, undisturbed: Path, with_data: Path, tmp_path: Path, room: int
) -> None:
    """`room`: kilobytes left for the generate and judge steps, so that it runs out in different places."""
    with small_disk(tmp_path / "disk", 40_000) as disk:
        store, ballast = disk / "store", disk / "ballast"
        shutil.copytree(with_data, store)
        with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
            while True:
                file.write(bytes(4096))
        os.truncate(ballast, max(0, ballast.stat().st_size - 1024 * room))

        full = apply_to_end(spec, store)
        assert full.returncode == 1
        assert re.search(r"no space left on device", full.stderr + full.stdout, re.IGNORECASE)
        assert "Traceback" not in full.stderr + full.stdout
        assert not workers_of(store)

        ballast.unlink()
        on_disk = dict(unfinished_rows(store))
        go_on(spec, store)
        assert_no_row_is_made_again(store, on_disk)
        assert_same(store, undisturbed)


def test_jobs_share_the_cores_and_every_worker_has_the_environment_that_libraries_read_at_start(
    spec: Path, tmp_path: Path
) -> None:
    store = tmp_path / "store"
    process = begin_apply(spec, store, "--jobs", "2")
    worker = wait_for(lambda: workers_of(store))[0]
    words = dict(
        word.split("=", 1) for word in Path(f"/proc/{worker}/environ").read_text().split("\0") if "=" in word
    )
    os.killpg(process.pid, signal.SIGINT)
    process.communicate(timeout=HANG_SECONDS)
    assert words["TOKENIZERS_PARALLELISM"] == "false"
    assert int(words["OMP_NUM_THREADS"]) == max(1, len(os.sched_getaffinity(0)) // 2)
    assert int(words["MALLOC_TRIM_THRESHOLD_"]) > 2**30
