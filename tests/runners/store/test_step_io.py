from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsl.data.records import TrainMetric
from dsl.values import Value
from runners.store.step_io import RowWriter, read_rows, write_json


class Note(Value):
    text: str


def test_rows_come_back_as_they_were_written(tmp_path: Path) -> None:
    rows = [Note(text=text) for text in ("one", "línea\nzwei\r\n", "\u2028 \u0085 \x00", "")]
    with RowWriter(tmp_path / "rows.jsonl") as writer:
        for row in rows:
            writer.write(row)
    assert list(read_rows(tmp_path / "rows.jsonl", Note)) == rows


def test_a_row_is_on_the_disk_as_soon_as_it_is_written(tmp_path: Path) -> None:
    with RowWriter(tmp_path / "rows.jsonl") as writer:
        writer.write(Note(text="é"))
        assert list(read_rows(tmp_path / "rows.jsonl", Note)) == [Note(text="é")]


def test_a_missing_file_has_no_rows(tmp_path: Path) -> None:
    assert list(read_rows(tmp_path / "rows.jsonl", Note)) == []


@given(cut=st.integers(min_value=0, max_value=60))
def test_a_file_cut_anywhere_has_its_whole_rows_and_takes_new_ones(
    tmp_path_factory: pytest.TempPathFactory, cut: int
) -> None:
    path = tmp_path_factory.mktemp("rows") / "rows.jsonl"
    rows = [Note(text="año"), Note(text="日本"), Note(text="x")]
    whole = b"".join(row.model_dump_json().encode() + b"\n" for row in rows)
    path.write_bytes(whole[:cut])
    kept = rows[: whole[:cut].count(b"\n")]
    assert list(read_rows(path, Note)) == kept
    with RowWriter(path) as writer:
        writer.write(Note(text="new"))
    assert list(read_rows(path, Note)) == [*kept, Note(text="new")]


def test_a_broken_row_that_is_not_the_last_half_one_is_an_error_with_its_place(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"text": "a"}\n{"text": 1}\n{"text": "b"}\n')
    with pytest.raises(ValueError, match=r"rows\.jsonl:2: not a Note"):
        list(read_rows(path, Note))


def test_json_is_written_whole_in_the_place_of_what_was_there(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"n": 1})
    write_json(tmp_path / "a.json", TrainMetric(global_step=1, name="loss", value=0.5))
    assert TrainMetric.model_validate_json((tmp_path / "a.json").read_text()).value == 0.5
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]


class Keyed(Value):
    row_key: str
    n: int


def test_rows_with_other_keys_are_passed_over_unread(tmp_path: Path) -> None:
    keys = [str(n) * 64 for n in range(3)]
    lines = [Keyed(row_key=key, n=n).model_dump_json() for n, key in enumerate(keys)]
    lines[1] = lines[1].replace('"n":1', '"n":"one"')
    (tmp_path / "rows.jsonl").write_text("".join(line + "\n" for line in lines), "utf-8")
    assert [row.n for row in read_rows(tmp_path / "rows.jsonl", Keyed, keys={keys[0], keys[2]})] == [0, 2]
    with pytest.raises(ValueError, match="2: not a Keyed"):
        list(read_rows(tmp_path / "rows.jsonl", Keyed, keys={keys[1]}))
