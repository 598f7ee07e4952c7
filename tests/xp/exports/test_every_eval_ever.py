"""Records of Every Eval Ever, read by the project's own import and checked by its own package."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.xp.exports.exported import ANSWERS, exported, in_environment
from tests.xp.imports.imported import RESULTS, SAMPLES, rows
from xp.imports import every_eval_ever


def _records(folder: Path, method: str, language: str) -> Path:
    found = [
        path
        for path in folder.glob("data/*/*/*/*.json")
        if json.loads(path.read_text("utf-8"))["evaluation_id"].startswith(f"asked_{language}_{method}")
    ]
    assert len(found) == 1
    return found[0]


def test_each_cell_is_a_record_that_the_import_reads_back(store: Path, tmp_path: Path) -> None:
    exported("every-eval-ever", store, tmp_path)
    path = _records(tmp_path, "theirs", "en")
    assert path.parent == tmp_path / "data" / "asked" / "acme" / "tiny"
    (run,) = every_eval_ever.read([path])
    assert (run.language, run.variant) == ("en", "theirs")
    assert (run.task, run.model, run.parameters, run.scales["grade"]) == ("asked", "acme/tiny", 1000, (1, 5))
    assert {a.item: (a.response, a.scores.get("grade")) for a in run.answers} == {
        "a/../b": ("Rome", 5),
        "two": (ANSWERS["two"], 1),
        "four": ("Lima", None),
    }


def test_an_aggregate_has_its_n_its_standard_error_and_what_is_unscored(store: Path, tmp_path: Path) -> None:
    exported("every-eval-ever", store, tmp_path)
    record = json.loads(_records(tmp_path, "theirs", "en").read_text("utf-8"))
    results = {result["evaluation_result_id"]: result for result in record["evaluation_results"]}
    grade = results["grade"]["score_details"]
    assert grade["score"] == 3
    assert grade["uncertainty"]["num_samples"] == 2
    assert grade["uncertainty"]["standard_error"] == {"value": pytest.approx(2), "method": "analytic"}
    assert grade["details"] == {"n": "2", "n_unscored": "2"}
    assert "min_score" not in results["length"]["metric_config"], "a measure without a scale"
    assert results["correct"]["metric_config"]["score_type"] == "binary"
    assert results["grade"]["generation_config"]["additional_details"]["method"] == "theirs"


def test_a_measure_without_a_score_is_not_written_and_said_so(store: Path, tmp_path: Path) -> None:
    said = [what for _, what in exported("every-eval-ever", store, tmp_path).files]
    assert (
        sum("2 measures of 4 answers; not written, since without a score: grade" in one for one in said) == 2
    )


def test_verdicts_without_a_score_are_counted_where_they_are_written_and_read(
    store: Path, tmp_path: Path
) -> None:
    files = dict(exported("every-eval-ever", store, tmp_path).files)
    path = _records(tmp_path, "theirs", "en")
    details = [
        r["score_details"]["details"] for r in json.loads(path.read_text("utf-8"))["evaluation_results"]
    ]
    n = sum(int(one["n_unscored"]) for one in details)
    assert n >= 2
    assert f"; {n} verdicts without a score have no row of items" in files[path]
    (run,) = every_eval_ever.read([path])
    assert run.left_out["verdicts without a score, which have no row of items"] == n


def test_only_the_highest_score_of_a_scale_is_correct(store: Path, tmp_path: Path) -> None:
    exported("every-eval-ever", store, tmp_path)
    path = _records(tmp_path, "theirs", "en")
    items = rows(path.with_name(f"{path.stem}_samples.jsonl"))
    assert {(i["evaluation_result_id"], i["sample_id"]) for i in items if i["evaluation"]["is_correct"]} == {
        ("grade", "a/../b"),
        ("correct", "a/../b"),
    }


@pytest.mark.other_tools
def test_every_eval_ever_finds_no_fault_in_a_record(store: Path, tmp_path: Path) -> None:
    exported("every-eval-ever", store, tmp_path / "out")
    check = """
import json, os, sys
from pathlib import Path
from every_eval_ever.validate import validate_file
os.chdir(sys.argv[1])
paths = sorted(Path("data").glob("*/*/*/*.json*"))
reports = [validate_file(path) for path in paths]
print(json.dumps([[report.valid, report.errors, report.warnings] for report in reports]))
"""
    reports: Any = in_environment("every-eval-ever", check, tmp_path / "out")
    assert reports == [[True, [], []]] * 8


@pytest.mark.other_tools
def test_a_record_that_its_own_converter_wrote_is_imported(tmp_path: Path) -> None:
    convert = """
import json, subprocess, sys
subprocess.run([sys.executable, "-m", "every_eval_ever", "convert", "lm_eval", "--log_path", sys.argv[2],
    "--output_dir", sys.argv[1], "--source_organization_name", "us", "--evaluator_relationship", "other",
    "--include_samples"], check=True, capture_output=True)
print(json.dumps(True))
"""
    in_environment("every-eval-ever", convert, tmp_path / "out", RESULTS / "lm_eval")
    records = sorted(tmp_path.glob("out/*/*/*/*.json"))
    assert len(records) == len(SAMPLES)
    runs = every_eval_ever.read(records)
    assert {(run.task, run.model) for run in runs} == {
        (t, "acme/tiny") for t in ("choice", "sums_en", "sums_fr")
    }
