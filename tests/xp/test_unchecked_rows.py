"""Rows that are not there when a spec is checked meet the checks of files before anything is made of them."""

import json
from pathlib import Path
from typing import Any

import duckdb
import pytest
import yaml

from dsl.errors import DataError
from runners.store.store import Store
from tests.xp.small_study import diff_of
from xp.apply import apply
from xp.attempts import Applied

ROWS = {
    "en": [{"id": "q1", "q": "One?"}, {"id": "q2", "q": "Two?"}],
    "fr": [{"id": "q1", "q": "Un ?"}, {"id": "q2", "q": "Deux ?"}],
}


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "hub_cache")


def applied(folder: Path, rows: dict[str, list[dict[str, str]]], **changes: Any) -> Applied:
    """Apply a study whose rows lie in a data set's folder for each language; `changes` replace sections."""
    for language, table in rows.items():
        (folder / language).mkdir(exist_ok=True)
        (folder / language / "train.jsonl").write_text("\n".join(map(json.dumps, table)) + "\n", "utf-8")
    spec = folder / "s.yaml"
    study = {
        "experiment": "late",
        "languages": ["en", "fr"],
        "models": {"m": {"base": {"engine": "echo"}}},
        "data": {
            "d": {
                "rows": {"hub": "./{language}", "split": "train"},
                "columns": {"item": "id", "instruction": "q"},
            }
        },
        "evaluate": ["d"],
        "methods": {"zero_shot": {"method": "icl", "num_fewshot": 0}},
        **changes,
    }
    spec.write_text(json.dumps(study), "utf-8")
    return apply(diff_of(spec, folder / "store"), folder / "store", in_process=True)


def made(folder: Path) -> set[str]:
    return {step_id.split("-")[0] for step_id in Store(folder / "store").done()}


def test_rows_without_a_fault_are_asked(tmp_path: Path) -> None:
    assert applied(tmp_path, ROWS).failures == ()
    assert made(tmp_path) == {"data", "generate"}


def test_an_empty_instruction_fails_the_step_that_reads_it_and_nothing_is_asked_of_it(tmp_path: Path) -> None:
    found = applied(tmp_path, {**ROWS, "en": [*ROWS["en"], {"id": "q3", "q": " "}], "fr": ROWS["fr"]})
    (failure,) = found.failures
    assert "in `en` these items have an empty instruction: q3" in failure.error
    assert found.n_skipped == 1, "the question in English"


def test_items_that_do_not_pair_stop_the_study_before_anything_is_asked(tmp_path: Path) -> None:
    rows = {**ROWS, "fr": [{"id": "q1", "q": "Un ?"}, {"id": "z9", "q": "Neuf ?"}]}
    for _ in range(2):  # the second time the rows are read already
        with pytest.raises(
            DataError, match=r"data\.d\.columns\.item: `en` lacks items that other languages have: z9"
        ) as caught:
            applied(tmp_path, rows)
        assert "`fr` lacks items that other languages have: q2" in str(caught.value)
        assert made(tmp_path) == {"data"}


def test_languages_with_the_same_texts_are_refused_before_anything_is_asked(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="`en` and `fr` have the same texts"):
        applied(tmp_path, {"en": ROWS["en"], "fr": ROWS["en"]})
    assert made(tmp_path) == {"data"}


def shows(folder: Path, query: str, *, allow_overlap: bool) -> dict[str, Any]:
    text = {
        "language": "en",
        "query_tag": "Q:",
        "answer_tag": "A:",
        "stop_strings": ["Q:"],
        "demonstrations": [{"query": query, "answer": "1"}],
    }
    (folder / "p.yaml").write_text(yaml.safe_dump(text), "utf-8")
    rows = {"hub": "./{language}", "split": "train"}
    columns = {"item": "id", "instruction": "q"}
    return {
        "methods": {"icl": {"method": "icl", "prompt": {"file": "p.yaml"}, "num_fewshot": 1}},
        "data": {"d": {"rows": rows, "columns": columns, "allow_overlap": allow_overlap}},
    }


AMONG = "1 of 2 items of `d` are among the worked examples that `icl` shows: q2"


def test_asked_rows_that_a_method_shows_are_refused_before_anything_is_asked(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=rf"methods\.icl: {AMONG}\. Take them out"):
        applied(tmp_path, ROWS, **shows(tmp_path, "deux", allow_overlap=False))
    assert made(tmp_path) == {"data"}


def test_an_overlap_that_is_allowed_is_recorded_with_the_study_and_stays_there(tmp_path: Path) -> None:
    for n_done in (4, 0):
        found = applied(tmp_path, ROWS, **shows(tmp_path, "deux", allow_overlap=True))
        assert (found.failures, found.n_done) == ((), n_done)
        study = json.loads((tmp_path / "store" / "experiments" / "late.json").read_text("utf-8"))
        assert study["notes"] == [f"{AMONG}."]
        with duckdb.connect(str(tmp_path / "store" / "warehouse.duckdb"), read_only=True) as warehouse:
            assert warehouse.sql("select notes from experiments").fetchall() == [([f"{AMONG}."],)]


def test_rows_in_another_language_and_repeated_questions_are_told_at_the_end(tmp_path: Path) -> None:
    english = [
        "Which planet of the solar system is the largest one?",
        "How many legs does a spider have, and how many an ant?",
        "Name the ocean that lies between Europe and America.",
    ]
    found = applied(
        tmp_path,
        {
            "en": [{"id": f"q{n}", "q": text} for n, text in enumerate([*english, english[0]])],
            "fr": [{"id": f"q{n}", "q": f"{text} Why?"} for n, text in enumerate(english)]
            + [{"id": "q3", "q": "Quoi ?"}],
        },
    )
    again, language = found.notes
    assert again.startswith(
        "data.d.columns.instruction: in `en` rows that ask what another item asks: 1 of 4 (q3)"
    )
    assert "3 of 3 rows looked at that are read as `fr` look like another language (en 3)" in language


def test_a_changed_row_makes_the_step_again(tmp_path: Path) -> None:
    applied(tmp_path, ROWS)
    again = applied(tmp_path, {**ROWS, "en": [{"id": "q1", "q": "1?"}, {"id": "q2", "q": "2?"}]})
    assert again.n_done == 2, "the rows and the answers in English"
