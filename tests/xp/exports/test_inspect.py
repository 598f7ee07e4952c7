"""Logs of Inspect, read by the project's own import and by Inspect itself."""

import json
import math
import zipfile
from pathlib import Path
from typing import Any

import pytest

from tests.xp.exports.exported import ANSWERS, HOSTILE, exported, in_environment
from tests.xp.imports.imported import imported, scores_after_apply
from xp.imports import inspect


def _log(folder: Path, *words: str) -> Path:
    (path,) = [path for path in folder.glob("*.eval") if all(word in path.name for word in words)]
    return path


def _member(path: Path, name: str) -> Any:
    with zipfile.ZipFile(path) as archive:
        return json.loads(archive.read(name))


def test_each_cell_is_a_log_that_the_import_reads_back(store: Path, tmp_path: Path) -> None:
    found = exported("inspect", store, tmp_path)
    assert len(found.files) == 4
    (run,) = inspect.read([_log(tmp_path, "theirs", "-en-")])
    assert (run.task, run.model) == ("asked", "acme__tiny")
    assert {answer.item: answer.response for answer in run.answers} == ANSWERS
    assert {answer.item: answer.scores for answer in run.answers} == {
        "a/../b": {"correct": 1, "grade": 5, "length": 4},
        "two": {"correct": 0, "grade": 1, "length": len(HOSTILE)},
        "three": {"correct": None, "grade": None, "length": None},
        "four": {"correct": 0, "grade": None, "length": 4},
    }
    assert run.answers[0].answers == ("Rome",)


def test_logs_are_imported_as_the_study_that_they_are_of(store: Path, tmp_path: Path) -> None:
    exported("inspect", store, tmp_path / "logs")
    (study,) = imported("inspect", sorted((tmp_path / "logs").iterdir()), tmp_path / "again")
    assert set(scores_after_apply(tmp_path / "again" / "asked.yaml", tmp_path / "store")) == {
        (language, model, method, measure)
        for language in ("en", "fr")
        for model, method in (("acme__tiny", "theirs"), ("echo", "zero_shot"))
        for measure in ("grade", "correct", "length")
    }
    assert study.n_answers == 16


def test_a_log_holds_settings_means_and_the_number_of_scores(store: Path, tmp_path: Path) -> None:
    exported("inspect", store, tmp_path)
    header = _member(_log(tmp_path, "zero-shot", "-fr-"), "header.json")
    assert header["plan"]["config"] == {"max_tokens": 32, "temperature": 0.5, "top_p": 1.0, "top_k": 7}
    assert header["eval"]["task_args"] == {
        "experiment": "hard",
        "dataset": "asked",
        "language": "fr",
        "method": "zero_shot",
        "seed": "0",
    }
    scores = {
        one["name"]: one
        for one in _member(_log(tmp_path, "theirs", "-en-"), "header.json")["results"]["scores"]
    }
    assert (scores["grade"]["scored_samples"], scores["grade"]["unscored_samples"]) == (2, 2)
    assert scores["grade"]["metrics"]["mean"]["value"] == 3
    assert scores["grade"]["metrics"]["stderr"]["value"] == pytest.approx(math.sqrt(8) / math.sqrt(2))


def test_an_unscored_verdict_keeps_its_reason(store: Path, tmp_path: Path) -> None:
    exported("inspect", store, tmp_path)
    four = _member(_log(tmp_path, "theirs", "-en-"), "samples/four_epoch_1.json")
    assert math.isnan(four["scores"]["grade"]["value"])
    assert four["scores"]["grade"]["reason"]


def test_a_second_export_has_the_same_bytes(store: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        exported("inspect", store, tmp_path / name)
    assert [path.read_bytes() for path in sorted((tmp_path / "one").iterdir())] == [
        path.read_bytes() for path in sorted((tmp_path / "two").iterdir())
    ]


@pytest.mark.other_tools
def test_inspect_opens_every_log(store: Path, tmp_path: Path) -> None:
    exported("inspect", store, tmp_path / "logs")
    read = """
import json, sys
from inspect_ai.log import list_eval_logs, read_eval_log, read_eval_log_sample_summaries
found = []
for info in list_eval_logs(sys.argv[1]):
    log = read_eval_log(info)
    assert len(read_eval_log_sample_summaries(info)) == len(log.samples) == log.results.total_samples
    found.append([log.status, log.eval.task, log.eval.model, log.eval.task_args["language"],
        {s.id: s.output.completion for s in log.samples},
        {s.id: s.scores["grade"].value for s in log.samples if s.scores["grade"].value > 0},
        {s.name: s.metrics["mean"].value for s in log.results.scores}])
print(json.dumps(found))
"""
    logs: Any = in_environment("inspect", read, tmp_path / "logs")
    assert len(logs) == 4
    theirs = {log[3]: log for log in logs if log[2] == "acme__tiny"}
    assert theirs["fr"][:2] == ["success", "asked"]
    assert theirs["fr"][4] == {item: text or "" for item, text in ANSWERS.items()}
    assert theirs["fr"][5] == {"a/../b": 5, "two": 1}
    assert theirs["fr"][6]["grade"] == 3


@pytest.mark.other_tools
def test_a_log_that_inspect_wrote_again_is_imported(store: Path, tmp_path: Path) -> None:
    exported("inspect", store, tmp_path / "logs")
    again = """
import json, sys
from inspect_ai.log import read_eval_log, write_eval_log
for form in ("eval", "json"):
    write_eval_log(read_eval_log(sys.argv[1]), f"{sys.argv[2]}.{form}")
print(json.dumps(True))
"""
    log = _log(tmp_path / "logs", "theirs", "-en-")
    in_environment("inspect", again, log, tmp_path / "again")
    first, *others = [
        inspect.read([path])[0].answers for path in (log, tmp_path / "again.eval", tmp_path / "again.json")
    ]
    assert others == [first, first]
