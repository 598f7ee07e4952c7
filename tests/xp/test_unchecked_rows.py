"""Rows that are not there when a spec is checked meet the checks of files before anything is made of them."""

import json
from pathlib import Path

import pytest

from dsl.errors import DataError
from runners.store.store import Store
from tests.xp.small_study import diff_of
from xp.apply import Applied, apply

ROWS = {
    "en": [{"id": "q1", "q": "One?"}, {"id": "q2", "q": "Two?"}],
    "fr": [{"id": "q1", "q": "Un ?"}, {"id": "q2", "q": "Deux ?"}],
}


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "hub_cache")


def applied(folder: Path, rows: dict[str, list[dict[str, str]]]) -> Applied:
    """Apply a study whose rows lie in a data set's folder for each language."""
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
        with pytest.raises(DataError, match="d: `en` lacks items that other languages have: z9") as caught:
            applied(tmp_path, rows)
        assert "`fr` lacks items that other languages have: q2" in str(caught.value)
        assert made(tmp_path) == {"data"}


def test_a_changed_row_makes_the_step_again(tmp_path: Path) -> None:
    applied(tmp_path, ROWS)
    again = applied(tmp_path, {**ROWS, "en": [{"id": "q1", "q": "1?"}, {"id": "q2", "q": "2?"}]})
    assert again.n_done == 2, "the rows and the answers in English"
