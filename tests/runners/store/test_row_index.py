"""The index of row keys says where a row cannot be; it never decides what is valid."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dsl.data.records import RefLogps
from runners.store import row_index
from runners.store.digests import describe
from runners.store.reusable_rows import reuse_rows
from runners.store.row_index import FOLDER, may_hold, prefixes
from runners.store.step_io import RowWriter, StepContext, write_json

KEYS = st.lists(st.integers(0, 2**256 - 1).map("{:064x}".format), max_size=8, unique=True)
STEP = "reference_logps-0000000000000000"
A, B, C = (digit * 64 for digit in "abc")


def row(key: str) -> RefLogps:
    return RefLogps(
        row_key=key, item="1", language="en", ref_chosen_logps=-1.0, ref_rejected_logps=-2.0, n_tokens=2
    )


def rows_of(store: Path, *keys: str, step_id: str = STEP) -> Path:
    """The file of a finished step's rows."""
    folder = store / "steps" / step_id
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "ref_logps.jsonl"
    path.unlink(missing_ok=True)
    with RowWriter(path) as writer:
        for key in keys:
            writer.write(row(key))
    outcome = {"step_id": step_id, "seconds": 0.0}
    files = {name: file.model_dump() for name, file in describe(folder).items()}
    write_json(folder / "outcome.json", {**outcome, "files": files})
    return path


def index_of(store: Path) -> Path:
    return store / "cache" / FOLDER / STEP


def reused(store: Path, *keys: str) -> list[str]:
    context = StepContext(folders={}, cache=store / "cache", reuse_from=(str(store / "steps" / STEP),))
    found = reuse_rows(RefLogps, "ref_logps.jsonl", {key: [key] for key in keys}, store / "out", context)
    return [row.row_key for _, row in found]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40, deadline=None)
@given(held=KEYS, wanted=KEYS, shared=KEYS)
def test_a_file_is_left_out_only_where_it_has_no_wanted_row(
    tmp_path: Path, held: list[str], wanted: list[str], shared: list[str]
) -> None:
    path, asked = rows_of(tmp_path, *held, *shared), {*wanted, *shared}
    for _ in range(2):  # first it is made, then read
        found = may_hold(str(path), prefixes(asked), tmp_path / "cache")
        assert found == bool(prefixes([*held, *shared]) & prefixes(asked))


def test_rows_of_an_unfinished_step_are_found_without_an_index(tmp_path: Path) -> None:
    path = rows_of(tmp_path, A, step_id=f"{STEP}.tmp")
    (path.parent / "outcome.json").unlink()
    assert reused(tmp_path, A, B) == [A]
    assert not (tmp_path / "cache").exists()


def test_a_step_that_is_gone_has_nothing_to_reuse(tmp_path: Path) -> None:
    assert reused(tmp_path, A) == []


def test_an_index_is_read_once_by_a_process_and_again_where_the_file_has_changed(tmp_path: Path) -> None:
    rows_of(tmp_path, A)
    assert reused(tmp_path, A) == [A]
    index_of(tmp_path).unlink()
    assert reused(tmp_path, A, B) == [A]
    assert not index_of(tmp_path).exists()
    rows_of(tmp_path, A, B)
    assert reused(tmp_path, B) == [B]
    assert index_of(tmp_path).exists()


def test_a_process_keeps_the_indexes_of_a_limited_number_of_small_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(row_index, "_MOST_FILES", 2)
    monkeypatch.setattr(row_index, "_MOST_ROWS", 2)
    monkeypatch.setattr(row_index, "_kept", kept := {})
    paths = [str(rows_of(tmp_path, A, step_id=f"reference_logps-{n:016}")) for n in range(3)]
    large = rows_of(tmp_path, A, B, C, step_id=STEP)
    for path in (*paths, str(large)):
        assert may_hold(path, prefixes([A]), tmp_path / "cache")
    assert [*kept] == paths[1:]


def test_a_file_whose_lines_do_not_begin_with_their_key_is_always_looked_into(tmp_path: Path) -> None:
    path = rows_of(tmp_path, A)
    path.write_text('{"item": "1", "row_key": "' + A + '"}\n')
    assert may_hold(str(path), prefixes([B]), tmp_path / "cache")


@pytest.mark.parametrize(("n_lost", "instead"), [(10_000, b""), (3, b""), (1, b"\x07")])
def test_a_damaged_index_is_made_again(
    tmp_path: Path, n_lost: int, instead: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = rows_of(tmp_path, A, B)
    may_hold(str(path), prefixes([A]), tmp_path / "cache")
    whole = index_of(tmp_path).read_bytes()
    index_of(tmp_path).write_bytes(whole[:-n_lost] + instead)
    monkeypatch.setattr(row_index, "_kept", {})  # as in another process
    assert may_hold(str(path), prefixes([B]), tmp_path / "cache")
    assert index_of(tmp_path).read_bytes() == whole


def test_an_index_of_rows_that_were_made_again_since_is_made_again(tmp_path: Path) -> None:
    rows_of(tmp_path, A)
    assert reused(tmp_path, A, B) == [A]
    rows_of(tmp_path, A, B)
    assert reused(tmp_path, A, B) == [A, B]


def test_an_index_that_leads_to_a_file_without_the_row_gives_none_and_one_that_cannot_be_written_costs_none(
    tmp_path: Path,
) -> None:
    rows_of(tmp_path, A)
    assert reused(tmp_path, A) == [A]
    own = index_of(tmp_path).read_bytes()
    rows_of(tmp_path, B, step_id="reference_logps-0000000000000001")
    index_of(tmp_path).write_bytes(own)
    assert reused(tmp_path, "a" * 16 + "0" * 48) == []  # which begins as the key of a row that is there
    index_of(tmp_path).unlink()
    index_of(tmp_path).mkdir()
    assert reused(tmp_path, A, C) == [A]
