"""Records of Every Eval Ever, as its converter wrote them and changed in one place each."""

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from dsl.checks.load import load
from dsl.errors import ArgumentError
from tests.xp.imports.imported import RECORD, imported, is_read_without_a_warning, rows, scores_after_apply

ITEMS = RECORD.with_name(f"{RECORD.stem}_samples.jsonl")


def _record(folder: Path, items: list[dict[str, Any]], **changes: Any) -> Path:
    """Write the fixture's record with other items."""
    record = json.loads(RECORD.read_text("utf-8")) | changes
    text = "".join(json.dumps(item) + "\n" for item in items)
    if record["detailed_evaluation_results"]:
        record["detailed_evaluation_results"]["checksum"] = hashlib.sha256(text.encode()).hexdigest()
    (folder / ITEMS.name).write_text(text, "utf-8")
    (folder / RECORD.name).write_text(json.dumps(record), "utf-8")
    return folder / RECORD.name


def test_a_record_becomes_a_study_with_its_answers_scores_and_settings(tmp_path: Path) -> None:
    (study,) = imported("every-eval-ever", [RECORD], tmp_path, "en")
    assert study.left_out == ()
    assert is_read_without_a_warning(tmp_path / "choice.yaml")
    assert scores_after_apply(tmp_path / "choice.yaml", tmp_path / "store") == {
        ("en", "acme__tiny", "recorded", measure): (1.0, 2, 0) for measure in ("acc", "acc_norm")
    }
    spec = (tmp_path / "choice.yaml").read_text("utf-8")
    assert "#   eval_library: lm_eval 0.4.13\n" in spec
    assert "acme__tiny: {parameters: 631936}  # acme/tiny" in spec
    assert rows(tmp_path / "choice/questions_en.jsonl")[0]["choices"] == ["red", "dog"]


@pytest.mark.parametrize(
    ("metric", "is_rule"),
    [
        ({"metric_name": "exact_match"}, True),
        ({"metric_id": "acc"}, True),
        ({"metric_name": "helpfulness"}, False),
        ({"metric_name": "exact_match", "llm_scoring": {"judges": []}}, False),
        ({}, False),
    ],
)
def test_metrics_that_are_known_to_be_rules_are_no_opinions(
    metric: dict[str, Any], is_rule: bool, tmp_path: Path
) -> None:
    results = json.loads(RECORD.read_text("utf-8"))["evaluation_results"]
    for result in results:
        del result["metric_config"]["metric_name"], result["metric_config"]["metric_id"]
        result["metric_config"] |= metric
    imported(
        "every-eval-ever",
        [_record(tmp_path, rows(ITEMS), evaluation_results=results)],
        tmp_path / "out",
        "en",
    )
    judges = load(tmp_path / "out" / "choice.yaml").experiment.judges
    assert {judge.opinion() is None for judge in judges.values()} == {is_rule}


def test_results_about_different_texts_are_methods_of_their_own(tmp_path: Path) -> None:
    items = rows(ITEMS)
    for item in items:
        if item["evaluation_result_id"] == "acc_norm":
            item["output"]["raw"] = ["another text"]
    imported("every-eval-ever", [_record(tmp_path, items)], tmp_path / "out", "en")
    scores = scores_after_apply(tmp_path / "out/choice.yaml", tmp_path / "store")
    assert {(method, measure): n for (_, _, method, measure), (_, n, _) in scores.items()} == {
        ("acc", "acc"): 2,
        ("acc", "acc_norm"): 0,
        ("acc_norm", "acc"): 0,
        ("acc_norm", "acc_norm"): 2,
    }


def test_a_transcript_gives_its_last_answer_and_is_counted(tmp_path: Path) -> None:
    items = rows(ITEMS)
    turns = [{"turn_idx": i, "role": "assistant", "content": text} for i, text in enumerate(("Hm.", "red"))]
    items[0] |= {"interaction_type": "multi_turn", "output": None, "messages": turns}
    (study,) = imported("every-eval-ever", [_record(tmp_path, items)], tmp_path / "out")
    assert rows(tmp_path / "out/choice/recorded/und/acme__tiny.jsonl")[0]["response"] == "red"
    assert study.left_out == (
        "1 × transcripts of several turns: the first question and the last answer are carried over",
    )


def test_scores_of_repeats_and_of_unknown_results_are_counted(tmp_path: Path) -> None:
    items = rows(ITEMS)
    items += [items[0], items[0] | {"evaluation_result_id": "unknown"}]
    (study,) = imported("every-eval-ever", [_record(tmp_path, items)], tmp_path / "out")
    assert study.left_out == (
        "1 × scores of no result that the record names",
        "1 × scores of further repeats",
    )


def test_items_without_a_row_are_counted_as_the_aggregates_count_them(tmp_path: Path) -> None:
    results = json.loads(RECORD.read_text("utf-8"))["evaluation_results"]
    results[0]["score_details"] |= {"details": {"n": "2", "n_unscored": "3"}}
    results[1]["score_details"]["uncertainty"]["num_samples"] = 7
    path = _record(tmp_path, rows(ITEMS), evaluation_results=results)
    (study,) = imported("every-eval-ever", [path], tmp_path / "out")
    assert study.left_out == (
        "3 × verdicts without a score, which have no row of items",
        "5 × items that an aggregate score is over and that have no row",
    )


def test_aggregates_alone_are_refused(tmp_path: Path) -> None:
    path = _record(tmp_path, [], detailed_evaluation_results=None)
    with pytest.raises(ArgumentError, match="it holds 2 aggregate scores and names no file of items"):
        imported("every-eval-ever", [path], tmp_path / "out")


def test_items_of_another_record_are_refused(tmp_path: Path) -> None:
    shutil.copy(RECORD, tmp_path)
    (tmp_path / ITEMS.name).write_text(ITEMS.read_text("utf-8").replace("red", "rot"), "utf-8")
    with pytest.raises(ArgumentError, match="its checksum is another"):
        imported("every-eval-ever", [tmp_path / RECORD.name], tmp_path / "out")


def test_a_file_of_items_is_refused_with_the_name_of_its_record(tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match=f"Name the record itself: {RECORD.name}"):
        imported("every-eval-ever", [ITEMS], tmp_path / "out")


def test_items_that_are_missing_are_refused(tmp_path: Path) -> None:
    shutil.copy(RECORD, tmp_path)
    with pytest.raises(ArgumentError, match=f"{ITEMS.name}: No such file"):
        imported("every-eval-ever", [tmp_path / RECORD.name], tmp_path / "out")


def test_another_json_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"version": 2, "eval": {}}', "utf-8")
    with pytest.raises(ArgumentError, match=r"it lacks `schema_version`, .* Found: `version`, `eval`"):
        imported("every-eval-ever", [tmp_path / "a.json"], tmp_path / "out")
