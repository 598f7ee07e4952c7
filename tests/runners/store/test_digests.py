"""A finished step's files are compared with the digests in its outcome."""

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from dsl.data.records import Outcome
from runners.store.digests import Checks, Damaged, content, describe
from runners.store.step_io import CHECKS, tuned_weights
from runners.store.store import Store
from tests.runners.store.test_store import ID, STEP


def finished(root: Path, *rows: dict[str, object], inputs: dict[str, str] | None = None) -> Store:
    store = Store(root)
    with store.begin(ID, STEP) as folder:
        (folder / "examples.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
        store.finish(ID, Outcome(step_id=ID, seconds=1.0, n_rows=len(rows), inputs=inputs or {}))
    return store


ROWS: tuple[dict[str, object], ...] = (
    {"item": "1", "text": "a", "seconds": 1.0},
    {"item": "2", "text": "b", "seconds": 2.0},
)


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 5)


def row_gone(path: Path) -> None:
    path.write_bytes(path.read_bytes().split(b"\n", 1)[1])


def edited_in_place(path: Path) -> None:
    """Size and modification time stay as they were."""
    before = path.stat()
    path.write_bytes(path.read_bytes().replace(b'"a"', b'"z"'))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (cut, "examples.jsonl has 81 of the 86 bytes it was written with"),
        (row_gone, "examples.jsonl has 1 of the 2 rows it was written with"),
        (edited_in_place, "examples.jsonl holds other bytes than it was written with"),
        (Path.unlink, "examples.jsonl cannot be read: No such file or directory"),
    ],
)
@pytest.mark.parametrize("is_remembered", [False, True])
def test_a_file_that_is_not_as_it_was_written_is_named(
    tmp_path: Path, damage: Callable[[Path], None], words: str, is_remembered: bool
) -> None:
    store, memory = finished(tmp_path, *ROWS), tmp_path / "memory.json"
    if is_remembered:
        checks = Checks(memory)
        assert checks.states(store.steps, [ID]).done == {ID}
        checks.save()
    damage(store.step_folder(ID) / "examples.jsonl")
    held = Checks(memory).states(store.steps, [ID])
    assert (held.done, held.damaged) == (frozenset(), {ID: words})


def test_a_file_whose_name_a_memory_cannot_hold_is_read_each_time(tmp_path: Path) -> None:
    store, memory = Store(tmp_path), tmp_path / "memory.json"
    with store.begin(ID, STEP) as folder:
        (folder / "a|b.txt").write_text("text", "utf-8")
        store.finish(ID, Outcome(step_id=ID, seconds=1.0))
    for _ in range(2):
        checks = Checks(memory)
        assert checks.states(store.steps, [ID]).done == {ID}
        checks.save()
    assert not memory.exists()
    edited = store.step_folder(ID) / "a|b.txt"
    edited.write_text("tex2", "utf-8")
    assert Checks(memory).states(store.steps, [ID]).damaged.keys() == {ID}


def test_a_memory_of_an_earlier_version_is_written_anew(tmp_path: Path) -> None:
    store, memory = finished(tmp_path, *ROWS), tmp_path / "memory.json"
    earlier = json.dumps(["0" * 64, {}, {"outcome.json": [1, 2, 3, 4]}])
    memory.write_text(json.dumps({str(store.step_folder(ID)): earlier}), "utf-8")
    checks = Checks(memory)
    assert checks.states(store.steps, [ID]).done == {ID}
    checks.save()
    assert "outcome.json" in json.loads(memory.read_bytes())[str(store.step_folder(ID))].split("|")[2]


def test_bytes_are_read_once_and_again_when_a_file_was_touched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, memory, read = finished(tmp_path, *ROWS), tmp_path / "memory.json", list[str]()
    was = Checks._check_bytes  # pyright: ignore[reportPrivateUsage]
    monkeypatch.setattr(
        Checks,
        "_check_bytes",
        lambda self, folder, step_id: (read.append(folder), was(self, folder, step_id))[1],
    )
    for _ in range(3):
        checks = Checks(memory)
        assert checks.states(store.steps, [ID]).done == {ID}
        checks.save()
    assert len(read) == 1
    os.utime(store.step_folder(ID) / "examples.jsonl", (0, 0))
    assert Checks(memory).states(store.steps, [ID]).done == {ID}
    assert len(read) == 2


def test_weights_that_were_checked_are_known_by_their_outcome_and_not_hashed_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(tmp_path)
    with store.begin(ID, STEP) as folder:
        for name in ("adapter", "policy/model"):
            (folder / name).mkdir(parents=True)
            (folder / name / "model.safetensors").write_bytes(name.encode())
        unfinished = tuned_weights(folder)
        store.finish(ID, Outcome(step_id=ID, seconds=1.0))
    hashed: list[object] = []
    digest = hashlib.file_digest
    monkeypatch.setattr(
        hashlib, "file_digest", lambda file, kind: (hashed.append(file.name), digest(file, kind))[1]
    )
    assert CHECKS.check(str(store.step_folder(ID))) is not None
    n_hashed = len(hashed)
    assert tuned_weights(store.step_folder(ID)) == unfinished
    assert [name.split()[0] for name in unfinished] == [
        "adapter/model.safetensors",
        "policy/model/model.safetensors",
    ]
    assert len(hashed) == n_hashed
    (store.step_folder(ID) / "adapter" / "model.safetensors").write_bytes(b"another")
    with pytest.raises(
        Damaged, match=r"^adapter/model.safetensors holds other bytes than it was written with"
    ):
        tuned_weights(store.step_folder(ID))


@pytest.mark.parametrize(
    "memory", ["", "[]", "null", "7", '{"/x": 5}', '{"%s": [1]}', '{"%s": ["", {}, 3]}', "\udcff{"]
)
def test_a_memory_of_nonsense_is_no_memory(tmp_path: Path, memory: str) -> None:
    store = finished(tmp_path, *ROWS)
    text = memory.replace("%s", str(store.step_folder(ID)))
    (tmp_path / "memory.json").write_text(text, "utf-8", errors="surrogateescape")
    assert Checks(tmp_path / "memory.json").states(store.steps, [ID]).done == {ID}


def test_rows_made_again_in_other_order_and_time_are_the_same_content(tmp_path: Path) -> None:
    folders = [tmp_path / name for name in ("one", "again", "other")]
    rows = (ROWS, ({**ROWS[1], "seconds": 7.0}, ROWS[0]), (ROWS[0], {**ROWS[1], "text": "c"}))
    for folder, written in zip(folders, rows, strict=True):
        folder.mkdir()
        (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in written), "utf-8")
    one, again, other = (content(describe(folder)) for folder in folders)
    assert one == again
    assert one != other


def test_a_step_made_from_other_rows_than_its_input_holds_now_is_outdated(tmp_path: Path) -> None:
    store, reader = finished(tmp_path, *ROWS), "generate-0000000000000000"
    held = Checks().check(str(store.step_folder(ID)))
    assert held is not None
    folder = store.steps / reader
    folder.mkdir()
    for digest, is_outdated in ((held.content, False), ("0" * 64, True)):
        (folder / "outcome.json").write_text(
            Outcome(step_id=reader, seconds=1.0, inputs={ID: digest}).model_dump_json(), "utf-8"
        )
        assert (reader in Checks().states(store.steps, [ID, reader]).outdated) is is_outdated
