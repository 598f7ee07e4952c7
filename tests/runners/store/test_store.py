import contextlib
import fcntl
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from dsl.data.records import Outcome, Run
from dsl.data.source import Columns, FileSource
from dsl.errors import StoreError, StoreLocked
from dsl.steps.identity import step_id
from dsl.steps.steps import DataStep
from runners.store import locks
from runners.store.applies import at_work
from runners.store.disk_errors import is_disk_full
from runners.store.faults import MARKER
from runners.store.store import Finished, Store, read_step

STEP = DataStep(
    source=FileSource(path="x.jsonl", sha256="0" * 64, format="jsonl"),
    columns=Columns(instruction="q"),
    language="en",
)
ID = step_id(STEP)
OUTCOME = Outcome(step_id=ID, seconds=1.0, n_rows=3)
RUN = Run(
    run_id="20260102T030405-x",
    step_id=ID,
    experiment="e",
    started_at="2026-01-02T03:04:05+00:00",
    seconds=0.0,
    status="interrupted",
    host="h",
)


def finish(store: Store, outcome: Outcome = OUTCOME) -> None:
    with store.begin(ID, STEP) as folder:
        (folder / "examples.jsonl").write_text("{}\n")
        store.finish(ID, outcome)


def test_a_store_that_is_not_there_yet_has_nothing_done(tmp_path: Path) -> None:
    assert Store(tmp_path / "no").done() == frozenset()
    assert not (tmp_path / "no").exists()


def test_a_finished_step_has_its_settings_and_outcome_and_leaves_no_attempt(tmp_path: Path) -> None:
    store = Store(tmp_path)
    finish(store)
    assert store.is_done(ID)
    assert store.done() == {ID}
    assert sorted(path.name for path in store.step_folder(ID).iterdir()) == [
        "examples.jsonl",
        "outcome.json",
        "step.json",
    ]
    assert DataStep.model_validate_json((store.step_folder(ID) / "step.json").read_text()) == STEP
    outcome = Outcome.model_validate_json((store.step_folder(ID) / "outcome.json").read_text())
    assert outcome.model_copy(update={"files": {}}) == OUTCOME
    assert {name: (file.n_bytes, file.n_rows) for name, file in outcome.files.items()} == {
        "examples.jsonl": (3, 1),
        "step.json": (len(STEP.model_dump_json(indent=1)), None),
    }
    assert not store.unfinished_folder(ID).exists()


def test_a_finished_step_is_on_the_disk_before_its_name_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every file, every folder around it, then the new name, then the folder that holds the name: whatever a
    power cut leaves is whole."""
    store, done, rename = Store(tmp_path), list[str](), Path.rename

    def synced(handle: int) -> None:
        done.append(os.readlink(f"/proc/self/fd/{handle}"))

    def renamed(path: Path, target: Path) -> Path:
        done.append(f"{path.name} -> {Path(target).name}")
        return rename(path, target)

    with store.begin(ID, STEP) as folder:
        (folder / "adapter").mkdir()
        for name in ("examples.jsonl", "adapter/model.safetensors"):
            (folder / name).write_text("{}\n")
        monkeypatch.setattr(os, "fsync", synced)
        monkeypatch.setattr(Path, "rename", renamed)
        store.finish(ID, OUTCOME)
    at = done.index(f"{ID}.tmp -> {ID}")
    names = ("", "examples.jsonl", "adapter", "adapter/model.safetensors", "outcome.json", "step.json")
    assert {str(folder / name).rstrip("/") for name in names} <= {
        name.removesuffix(".tmp") for name in done[:at]
    } | {str(folder)}
    assert done[at + 1 :][:1] == [str(store.steps)]
    assert sorted(set(done)) == sorted(done), "each of them once"
    assert f"{folder}/.lock" not in done


def test_neither_an_attempt_nor_a_folder_without_outcome_is_done(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with store.begin(ID, STEP):
        assert store.done() == frozenset()
    finish(store)
    (store.step_folder(ID) / "outcome.json").unlink()
    assert not store.is_done(ID)
    assert store.done() == frozenset()


def test_rows_are_left_open_by_finished_steps_alone(tmp_path: Path) -> None:
    store = Store(tmp_path)
    finish(store)
    folder = store.step_folder(OUTCOME.step_id)
    (folder / MARKER).touch()
    assert store.left_open() == {OUTCOME.step_id}
    (folder / "outcome.json").unlink()
    assert store.left_open() == frozenset()


def test_an_attempt_finds_what_the_one_before_left(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with store.begin(ID, STEP) as folder:
        (folder / "rows.jsonl").write_text("{}\n")
    with store.begin(ID, STEP) as folder:
        assert (folder / "rows.jsonl").read_text() == "{}\n"


def test_a_reopened_step_is_not_done_and_keeps_its_rows(tmp_path: Path) -> None:
    store = Store(tmp_path)
    finish(store)
    store.reopen(ID)
    assert store.done() == frozenset()
    assert (store.unfinished_folder(ID) / "examples.jsonl").exists()
    finish(store)
    assert store.done() == {ID}


def test_what_is_no_folder_in_a_step_s_place_is_moved_aside_by_its_attempt(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for _ in range(2):  # what was moved aside before is replaced
        store.steps.mkdir(exist_ok=True)
        shutil.rmtree(store.step_folder(ID), ignore_errors=True)
        store.step_folder(ID).symlink_to(tmp_path / "nowhere")
        finish(store)
        assert store.done() == {ID}
        assert (tmp_path / "damaged" / ID).is_symlink()


def test_reopening_what_is_not_finished_changes_nothing(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with store.begin(ID, STEP) as folder:
        (folder / "rows.jsonl").write_text("{}\n")
    store.reopen(ID)
    assert (store.unfinished_folder(ID) / "rows.jsonl").exists()


@pytest.mark.parametrize("is_finished", [True, False])
def test_an_attempt_where_another_step_has_the_same_id_is_refused_and_leaves_that_step_alone(
    tmp_path: Path, is_finished: bool
) -> None:
    store, other = Store(tmp_path), STEP.model_copy(update={"limit": 7})
    if is_finished:
        finish(store)
    else:
        with store.begin(ID, STEP):
            pass
    with pytest.raises(StoreError, match=f"holds another step with the id {ID}"), store.begin(ID, other):
        pass
    assert store.is_done(ID) is is_finished
    assert read_step(store.step_folder(ID) if is_finished else store.unfinished_folder(ID)) == STEP


def test_a_step_whose_file_lies_elsewhere_now_or_whose_settings_cannot_be_read_is_no_other_step(
    tmp_path: Path,
) -> None:
    store, moved = (
        Store(tmp_path),
        STEP.model_copy(update={"source": STEP.source.model_copy(update={"path": "elsewhere/x.jsonl"})}),
    )
    finish(store)
    with store.begin(ID, moved) as folder:
        (folder / "step.json").write_text('{"kind": "data", "of_old": 1}')
    with store.begin(ID, STEP) as folder:
        assert read_step(folder) == STEP


def test_two_attempts_at_one_step_at_once_are_refused_and_the_first_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locks, "ORPHAN_SECONDS", 0.1)
    store = Store(tmp_path)
    with (
        store.begin(ID, STEP),
        pytest.raises(StoreLocked, match=f"{ID} is being made already: process {os.getpid()} on "),
        store.begin(ID, STEP),
    ):
        pass


def _hold(root: Path, seconds: float, is_finished: bool) -> None:
    store = Store(root)
    with store.begin(ID, STEP) as folder:
        (folder / "held").touch()
        time.sleep(seconds)
        if is_finished:
            store.finish(ID, OUTCOME)


@pytest.mark.parametrize("is_finished", [False, True])
def test_an_attempt_waits_for_the_one_that_is_ending(tmp_path: Path, is_finished: bool) -> None:
    store = Store(tmp_path)
    other = multiprocessing.get_context("spawn").Process(target=_hold, args=(tmp_path, 0.3, is_finished))
    other.start()
    while not (store.unfinished_folder(ID) / "held").exists():
        time.sleep(0.01)
    with (
        pytest.raises(Finished) if is_finished else contextlib.nullcontext(),
        store.begin(ID, STEP) as folder,
    ):
        assert folder == store.unfinished_folder(ID)
        assert (folder / "held").exists()  # what it has made is reused
        store.finish(ID, OUTCOME)
    other.join()
    assert store.done() == {ID}
    assert not store.unfinished_folder(ID).exists()


def test_the_lock_lets_one_in_and_tells_the_next_who_and_since_when(tmp_path: Path) -> None:
    store = Store(tmp_path)
    assert store.holder() is None
    with store.lock():
        said = rf"process {os.getpid()} on \S+ since \d{{4}}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00 \(.*python.*\)"
        with pytest.raises(StoreLocked, match=said), Store(tmp_path).lock():
            pass
        assert "process" in (store.holder() or "")
    with store.lock():
        pass
    assert store.holder() is None


def test_the_lock_of_a_killed_process_is_free(tmp_path: Path) -> None:
    program = (
        f"import pathlib, runners.store.store as s\nwith s.Store(pathlib.Path({str(tmp_path)!r})).lock():\n"
        " print('held', flush=True); input()"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(StoreLocked, match=f"process {holder.pid} on"), Store(tmp_path).lock():
            pass
        holder.send_signal(signal.SIGKILL)
        holder.wait()
    with Store(tmp_path).lock():
        pass


def test_a_lock_file_with_nonsense_in_it_says_that_someone_holds_the_store(tmp_path: Path) -> None:
    (tmp_path / "lock").write_bytes(b"\xff{")
    with (tmp_path / "lock").open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(StoreLocked, match="is in use: another process"), Store(tmp_path).lock():
            pass


def test_a_store_that_cannot_be_made_is_an_error_of_the_store(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="cannot be written"), Store(tmp_path / "file" / "store").lock():
        pass


def test_a_begun_run_whose_recorder_was_killed_is_recorded_as_interrupted(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.record_begun(RUN)
    with store.begin(ID, STEP) as folder:
        os.utime(folder / "step.json", (0, 1767323045 + 7))  # 2026-01-02T03:04:05 and seven seconds
        os.utime(folder / ".lock", (0, 0))
    store.record_killed_runs()
    (file,) = store.runs.iterdir()
    assert file.name == f"{RUN.run_id}.json"
    assert Run.model_validate_json(file.read_text()) == RUN.model_copy(update={"seconds": 7.0})


@pytest.mark.parametrize("left", [b"", b"{", b"\0" * 200, b"[]"])
def test_a_begun_run_that_a_power_cut_left_empty_is_reported_once(tmp_path: Path, left: bytes) -> None:
    store = Store(tmp_path)
    store.record_begun(RUN)
    (store.runs / f"{RUN.run_id}.begun").write_bytes(left)
    (note,) = store.record_killed_runs()
    assert note.startswith(f"{store.runs / RUN.run_id}.begun: cannot be read as BegunRun: ")
    assert store.record_killed_runs() == ()


def test_a_run_that_ended_is_not_taken_for_a_killed_one(tmp_path: Path) -> None:
    store = Store(tmp_path)
    ended = RUN.model_copy(update={"status": "done", "seconds": 3.0})
    store.record_begun(RUN)
    store.record_run(ended)
    store.record_begun(RUN)  # as if killed before the begun one was removed
    store.record_killed_runs()
    (file,) = store.runs.iterdir()
    assert Run.model_validate_json(file.read_text()) == ended


def test_the_run_of_an_apply_at_work_is_none_of_a_killed_one(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with at_work(tmp_path, "e", "0" * 64) as applying:
        store.apply = applying.name
        store.record_begun(RUN)
        Store(tmp_path).record_killed_runs()
        assert [file.suffix for file in store.runs.iterdir()] == [".begun"]
    Store(tmp_path).record_killed_runs()
    assert [file.suffix for file in store.runs.iterdir()] == [".json"]


def test_a_run_that_was_never_written_down_as_begun_can_end(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.record_run(RUN)
    assert [file.name for file in store.runs.iterdir()] == [f"{RUN.run_id}.json"]


@pytest.mark.parametrize(
    ("error", "is_full"),
    [
        (OSError(28, "No space left on device"), True),
        (OSError(122, "Disk quota exceeded"), True),
        (OSError(13, "Permission denied"), False),
        (RuntimeError("I/O error: No space left on device (os error 28)"), True),
        (ValueError("nothing left"), False),
    ],
)
def test_a_full_disk_is_recognised_in_any_library_s_words(error: Exception, is_full: bool) -> None:
    assert is_disk_full(error) is is_full
    wrapped = RuntimeError("could not save")
    wrapped.__cause__ = error
    assert is_disk_full(wrapped) is is_full
