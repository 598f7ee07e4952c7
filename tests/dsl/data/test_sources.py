"""Rows that a spec names, as files with their digests: lists, patterns, folders, data sets in folders."""

from pathlib import Path
from typing import Any

import pyarrow.parquet
import pytest
from pydantic import ValidationError

from dsl.data.files import read_file
from dsl.data.fingerprints import Fingerprints
from dsl.data.rows import Rows
from dsl.data.source import Columns, FileSource, HubSource
from dsl.data.sources import source_of
from dsl.errors import DataError
from dsl.steps.identity import step_id
from dsl.steps.steps import DataStep


@pytest.fixture(autouse=True)
def _no_other_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XP_DATA", raising=False)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    shards = tmp_path / "shards"
    shards.mkdir()
    for n in (2, 0, 1):
        (shards / f"part-{n}.jsonl").write_text(f'{{"id": "q{n}"}}\n', "utf-8")
    return tmp_path


def source(folder: Path, language: str = "en", **rows: Any) -> FileSource | HubSource:
    return source_of(Rows.model_validate(rows), Fingerprints(), folder, language)


def files(folder: Path, **rows: Any) -> FileSource:
    found = source(folder, **rows)
    assert isinstance(found, FileSource)
    return found


def ids(found: FileSource) -> list[str]:
    return [row["id"] for row in read_file(found)]  # type: ignore[call-overload]


def id_of(found: FileSource | HubSource) -> str:
    return step_id(DataStep(source=found, columns=Columns(), language="en"))


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("shards", ["q0", "q1", "q2"]),
        ("shards/*.jsonl", ["q0", "q1", "q2"]),
        ("**/part-[12].jsonl", ["q1", "q2"]),
        (["shards/part-2.jsonl", "shards/part-0.jsonl"], ["q2", "q0"]),
        (["shards/part-2.jsonl", "shards/part-[01].jsonl"], ["q2", "q0", "q1"]),
    ],
)
def test_several_files_are_one_source_in_a_stable_order(path: Any, expected: list[str], folder: Path) -> None:
    assert ids(files(folder, path=path)) == expected


def test_a_new_shard_and_a_changed_one_make_another_step_and_the_same_rows_elsewhere_do_not(
    folder: Path,
) -> None:
    before = id_of(source(folder, path="shards"))
    assert id_of(source(folder, path="shards/*.jsonl")) == before
    (folder / "shards").rename(folder / "elsewhere")
    assert id_of(source(folder, path="elsewhere")) == before
    (folder / "elsewhere" / "part-3.jsonl").write_text('{"id": "q3"}\n', "utf-8")
    with_one_more = id_of(source(folder, path="elsewhere"))
    (folder / "elsewhere" / "part-3.jsonl").write_text('{"id": "q4"}\n', "utf-8")
    assert len({before, with_one_more, id_of(source(folder, path="elsewhere"))}) == 3


def test_a_list_or_folder_of_one_file_is_the_step_of_that_file(folder: Path) -> None:
    one = id_of(source(folder, path="shards/part-0.jsonl"))
    assert id_of(source(folder, path=["shards/part-0.jsonl"])) == one
    for n in (1, 2):
        (folder / "shards" / f"part-{n}.jsonl").unlink()
    assert id_of(source(folder, path="shards")) == one


def test_a_name_with_the_signs_of_a_pattern_is_that_file(folder: Path) -> None:
    (folder / "part-[0].jsonl").write_text('{"id": "itself"}\n', "utf-8")
    assert ids(files(folder, path="part-[0].jsonl")) == ["itself"]


def test_a_folder_s_files_that_hold_no_rows_are_passed_over_and_others_are_refused(folder: Path) -> None:
    for name in ("README.md", ".gitattributes", "_SUCCESS", "dataset_info.json", "state.json"):
        (folder / "shards" / name).write_text("{}", "utf-8")
    assert ids(files(folder, path="shards")) == ["q0", "q1", "q2"]
    (folder / "shards" / "more.xlsx").write_bytes(b"PK")
    with pytest.raises(DataError, match=r"`more\.xlsx` in this folder can't be read"):
        source(folder, path="shards")


def test_files_of_different_formats_are_refused_until_one_is_named(folder: Path) -> None:
    pyarrow.parquet.write_table(pyarrow.table({"id": ["p"]}), folder / "shards" / "a.parquet")
    for path in ("shards", ["shards/a.parquet", "shards/part-0.jsonl"]):
        with pytest.raises(DataError, match="files of different formats"):
            source(folder, path=path)
    assert ids(files(folder, path="shards", format="parquet")) == ["p"]
    assert ids(files(folder, path="shards", format="jsonl")) == ["q0", "q1", "q2"]


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("shards/*.csv", "no file matches this pattern"),
        ("empty", "no data file in this folder"),
        ("nowhere", r"nowhere: No such file or directory\. XP_DATA may name another folder"),
        ("shards/part-9.jsonl", "No such file or directory"),
        (["shards/part-0.jsonl", "shards"], "named more than once"),
        ("q.xlsx", "is a spreadsheet"),
        ("q_{lang}.jsonl", r"nothing is known of `\{lang\}` here\. Did you mean `\{language\}`"),
        ("q_{model}.jsonl", r"nothing is known of `\{model\}`"),
    ],
)
def test_a_path_to_no_file_says_why(path: Any, says: str, folder: Path) -> None:
    (folder / "empty").mkdir()
    (folder / "book.xlsx").write_bytes(b"PK")
    with pytest.raises(DataError, match=says):
        source(folder, path=path)


def test_a_relative_path_that_is_not_beside_the_spec_is_looked_for_in_the_folder_of_xp_data(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "study").mkdir()
    monkeypatch.setenv("XP_DATA", str(folder))
    assert ids(files(folder / "study", path="shards/part-1.jsonl")) == ["q1"]
    assert ids(files(folder / "study", path="shards")) == ["q0", "q1", "q2"]
    (folder / "study" / "shards").mkdir()
    (folder / "study" / "shards" / "part-1.jsonl").write_text('{"id": "own"}\n', "utf-8")
    assert ids(files(folder / "study", path="shards/part-1.jsonl")) == ["own"]
    with pytest.raises(DataError, match="nor in the folder that XP_DATA names"):
        source(folder / "study", path="nowhere.jsonl")


def test_the_language_stands_in_every_part_of_a_source(folder: Path) -> None:
    (folder / "shards" / "fr").mkdir()
    (folder / "shards" / "fr" / "a_echo.jsonl").write_text('{"id": "fr"}\n', "utf-8")
    found = source(folder, "fr", path="shards/{language}/*_echo.jsonl")
    assert isinstance(found, FileSource)
    assert ids(found) == ["fr"]
    hub = source(folder, "fr", hub="us/quiz-{language}", name="{language}_all", split="test.{language}")
    assert hub == HubSource(hub="us/quiz-fr", name="fr_all", split="test.fr")
    for name in ("hub", "name", "split"):
        with pytest.raises(DataError, match=r"nothing is known of `\{lang\}`"):
            source(folder, **{"hub": "us/quiz", "split": "test", name: "a/{lang}"})


def test_a_data_set_s_folder_is_relative_to_the_spec_and_its_content_counts(folder: Path) -> None:
    found = source(folder, hub="./shards", split="train")
    assert isinstance(found, HubSource)
    assert Path(found.hub) == folder / "shards"
    before = id_of(found)
    (folder / "shards").rename(folder / "moved")
    assert id_of(source(folder, hub="./moved", split="train")) == before
    (folder / "moved" / "part-3.jsonl").write_text('{"id": "q3"}\n', "utf-8")
    assert id_of(source(folder, hub="./moved", split="train")) != before
    with pytest.raises(DataError, match="no file in such a folder"):
        source(folder, hub="./nowhere", split="train")


def test_a_name_on_the_hub_that_is_also_a_folder_is_refused(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(DataError, match=r"write its place from the spec: `hub: \./shards`"):
        source(folder, hub="shards", split="train")
    monkeypatch.chdir(folder)
    with pytest.raises(DataError, match=r"`hub: \.\./shards`"):
        source(folder / "study", hub="shards", split="train")


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ({}, "exactly one of"),
        ({"path": "a", "hub": "b/c", "split": "d"}, "exactly one of"),
        ({"path": []}, "an empty list"),
        ({"hub": "b/c"}, "needs its `split`"),
        ({"hub": "b/c", "split": "d", "format": "jsonl"}, "`format` is for files"),
        ({"hub": "b/c", "split": "d", "field": "e"}, "`field` is for files"),
        ({"path": "a.jsonl", "split": "d"}, "for a data set on the hub"),
        ({"path": "a.csv", "delimiter": "||"}, "at most 1 character"),
        ({"url": "https://a.example/b.jsonl"}, "`url` and `sha256` belong together"),
        ({"path": "a.jsonl", "sha256": "0" * 64}, "`url` and `sha256` belong together"),
        ({"url": "http://a.example/b.jsonl", "sha256": "0" * 64}, "begins with https://"),
        ({"url": "https://me:secret@a.example/b.jsonl", "sha256": "0" * 64}, "no name, key or query"),
        ({"url": "https://a.example/b.jsonl?token=1", "sha256": "0" * 64}, "no name, key or query"),
    ],
)
def test_rows_that_name_no_place_or_two_are_refused(rows: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        Rows.model_validate(rows)


def test_errors_about_rows_say_that_they_are_counted_among_those_that_where_keeps() -> None:
    where = {"l": ("fr",)}
    hub = HubSource(hub="us/quiz", split="test", where=where)
    file = FileSource(path="a.csv", sha256="0" * 64, format="csv", where=where)
    assert (hub.at, file.at) == tuple(
        f"{name} (rows that `where: {{l}}` keeps)" for name in ("us/quiz", "a.csv")
    )


def test_a_tab_that_yaml_does_not_read_as_one_says_how_it_is_written() -> None:
    with pytest.raises(ValidationError, match="a tab is written in double quotes"):
        Rows.model_validate({"path": "q.csv", "delimiter": "\\t"})
    assert Rows.model_validate({"path": "q.csv", "delimiter": "\t"}).delimiter == "\t"


@pytest.mark.parametrize(
    ("names", "is_refused"),
    [
        (["train/a.jsonl", "test/b.jsonl"], True),
        (["train-00000-of-00001.jsonl", "validation-00000-of-00001.jsonl"], True),
        (["val/a.jsonl", "dev/b.jsonl"], False),
        (["train/a.jsonl", "train/b.jsonl"], False),
        (["trained.jsonl", "tests.jsonl"], False),
    ],
)
def test_a_folder_of_several_splits_is_no_one_set(names: list[str], is_refused: bool, tmp_path: Path) -> None:
    for name in names:
        file = tmp_path / "s" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text('{"q": "a"}\n', "utf-8")
    rows, known = Rows(path="s"), Fingerprints()
    if is_refused:
        with pytest.raises(DataError, match="files of several splits in one folder"):
            source_of(rows, known, tmp_path, "en")
    every = Rows(path=tuple(f"s/{name}" for name in names)) if is_refused else rows
    assert len(list(read_file(source_of(every, known, tmp_path, "en")))) == 2
