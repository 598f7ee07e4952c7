"""The data step: the file that was planned, as examples."""

import hashlib
import json
from pathlib import Path

import pytest
from datasets import DatasetBuilder, load_dataset_builder

from dsl.data.fingerprints import Fingerprints
from dsl.data.records import Example
from dsl.data.rows import Rows
from dsl.data.source import Columns, FileSource, HubSource
from dsl.data.sources import source_of
from dsl.errors import DataError
from dsl.steps.steps import DataStep
from runners.steps import data
from runners.store.step_io import StepContext, StepResult, read_rows


def run(folder: Path, rows: list[dict[str, str]], **changes: object) -> tuple[StepResult, list[Example]]:
    path = folder / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    source = FileSource(
        path=str(path),
        sha256=str(changes.pop("sha256", hashlib.sha256(path.read_bytes()).hexdigest())),
        format="jsonl",
    )
    step = DataStep.model_validate(
        {"source": source, "columns": Columns(item="id", instruction="q"), "language": "en", **changes}
    )
    made = data.run(step, StepContext({}, cache=folder), folder)
    return made, list(read_rows(folder / "examples.jsonl", Example))


def test_rows_become_examples_in_their_order_up_to_the_limit(tmp_path: Path) -> None:
    made, found = run(
        tmp_path, [{"id": "b", "q": "1"}, {"id": "a", "q": "2"}, {"id": "c", "q": "3"}], limit=2
    )
    assert made.n_rows == 2
    assert [(e.item, e.instruction, e.language) for e in found] == [("b", "1", "en"), ("a", "2", "en")]


def test_running_again_over_an_earlier_attempt_doubles_nothing(tmp_path: Path) -> None:
    run(tmp_path, [{"id": "a", "q": "1"}])
    assert len(run(tmp_path, [{"id": "a", "q": "1"}])[1]) == 1


def test_a_file_that_changed_since_it_was_planned_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="has changed since it was planned"):
        run(tmp_path, [{"id": "a", "q": "1"}], sha256="0" * 64)


def test_an_item_that_occurs_twice_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="these items occur more than once: a"):
        run(tmp_path, [{"id": "a", "q": "1"}, {"id": "a", "q": "2"}])


def test_a_language_without_rows_is_told_what_the_column_calls_those_there_are(tmp_path: Path) -> None:
    columns = Columns(item="id", instruction="q", language="l")
    rows = [{"id": "a", "q": "1", "l": "eng"}, {"id": "b", "q": "2", "l": "fra"}]
    with pytest.raises(
        DataError, match="no rows in `en`: none is called `en` in `l`, which has `eng` 1, `fra`"
    ):
        run(tmp_path, rows, columns=columns)


def test_rows_of_other_languages_and_what_the_checks_warn_of_are_facts(tmp_path: Path) -> None:
    columns = Columns(item="id", instruction="q", response="r", language="l")
    rows = [
        {"id": "a", "q": "1", "r": "x", "l": "en"},
        {"id": "b", "q": "2", "r": "", "l": "en"},
        {"id": "c", "q": "3", "r": "y", "l": "fr"},
    ]
    assert run(tmp_path, rows, columns=columns)[0].facts == {
        "commit": None,
        "rows_of_other_languages": 1,
        "in `en` rows without a text in `response`, of which nothing is learnt: 1 of 2 (b)": True,
    }


def test_a_file_without_rows_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no rows in `en`"):
        run(tmp_path, [])


@pytest.mark.parametrize(
    ("revision", "digest", "recorded"),
    [
        (None, "c" * 40, "c" * 40),
        ("main", "c" * 40, "c" * 40),
        ("c" * 40, "c" * 40, None),
        (None, "of a folder", None),
    ],
    ids=["no revision", "a branch", "the commit itself", "a folder"],
)
def test_the_commit_that_a_data_sets_name_stood_for_is_recorded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, revision: str | None, digest: str, recorded: str | None
) -> None:
    (tmp_path / "rows.jsonl").write_text('{"id": "a", "q": "1"}\n', "utf-8")
    built = load_dataset_builder(
        "json", data_files={"test": str(tmp_path / "rows.jsonl")}, cache_dir=str(tmp_path / "cache")
    )

    def found(hub: str, name: str | None, revision: str | None) -> DatasetBuilder:
        assert (hub, name) == ("us/quiz", "en")
        built.hash = digest  # on the hub, the commit
        return built

    monkeypatch.setattr("datasets.load_dataset_builder", found)
    source = HubSource(hub="us/quiz", name="en", split="test", revision=revision)
    step = DataStep(source=source, columns=Columns(item="id", instruction="q"), language="en")
    made = data.run(step, StepContext({}, cache=tmp_path), tmp_path)
    assert [(e.item, e.instruction) for e in read_rows(tmp_path / "examples.jsonl", Example)] == [("a", "1")]
    assert made.facts == {"commit": recorded}


def data_set(folder: Path, **changes: object) -> tuple[StepResult, list[Example]]:
    (folder / "set").mkdir(exist_ok=True)
    (folder / "set" / "train-00000-of-00001.jsonl").write_text(
        '{"id": "a", "q": "1", "s": "x"}\n{"id": "b", "q": "2", "s": "y"}\n', "utf-8"
    )
    rows = Rows.model_validate({"hub": "./set", "split": "train", **changes})
    step = DataStep(
        source=source_of(rows, Fingerprints(), folder, "en"),
        columns=Columns(item="id", instruction="q"),
        language="en",
    )
    return data.run(step, StepContext({}, cache=folder), folder), list(
        read_rows(folder / "examples.jsonl", Example)
    )


def test_a_data_set_in_a_folder_is_read_and_filtered_and_refused_once_it_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    assert [e.item for e in data_set(tmp_path)[1]] == ["a", "b"]
    made, found = data_set(tmp_path, where={"s": "y"})
    assert [e.item for e in found] == ["b"]
    assert made.facts == {"commit": None, "rows_read": 2, "rows_kept": 1}

    planned = source_of(
        Rows.model_validate({"hub": "./set", "split": "train"}), Fingerprints(), tmp_path, "en"
    )
    (tmp_path / "set" / "train-00000-of-00001.jsonl").write_text('{"id": "c", "q": "3"}\n', "utf-8")
    step = DataStep(source=planned, columns=Columns(item="id", instruction="q"), language="en")
    with pytest.raises(DataError, match="has changed since it was planned"):
        data.run(step, StepContext({}, cache=tmp_path), tmp_path)
