"""Logs of Inspect, as it wrote them and changed in one place each."""

import copy
import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dsl.checks.load import load
from dsl.errors import ArgumentError
from tests.xp.imports.imported import RESULTS, imported, is_read_without_a_warning, rows, scores_after_apply

EVAL, JSON = RESULTS / "inspect" / "capitals.eval", RESULTS / "inspect" / "capitals.json"
LOG: dict[str, Any] = json.loads(JSON.read_text("utf-8"))
ANSWERS = "capitals/recorded/und/mockllm__acme__tiny.jsonl"


def _changed(folder: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    log = copy.deepcopy(LOG)
    change(log)
    path = folder / "log.json"
    path.write_text(json.dumps(log), "utf-8")
    return path


def _said(**fields: object) -> Callable[[dict[str, Any]], object]:
    """Change the first sample."""
    return lambda log: log["samples"][0].update(fields)


def test_a_log_becomes_a_study_with_its_answers_scores_and_settings(tmp_path: Path) -> None:
    (study,) = imported("inspect", [EVAL], tmp_path, "en")
    assert study.left_out == (
        "3 × questions with a system message or earlier turns, which stand beside them under `messages`",
    )
    assert is_read_without_a_warning(tmp_path / "capitals.yaml")
    assert scores_after_apply(tmp_path / "capitals.yaml", tmp_path / "store") == {
        ("en", "mockllm__acme__tiny", "recorded", measure): (pytest.approx(2 / 3), 3, 0)
        for measure in ("includes", "match")
    }
    spec = (tmp_path / "capitals.yaml").read_text("utf-8")
    assert "#   temperature: 0.5\n" in spec
    assert '#   solvers: ["system_message", "generate"]\n' in spec
    spain = next(row for row in rows(tmp_path / "capitals/questions_en.jsonl") if row["item"] == "spain")
    assert spain == {
        "item": "spain",
        "instruction": "What is the capital of Spain?",
        "answers": ["Madrid", "madrid"],
        "messages": [{"role": "system", "content": "Answer in one word."}],
    }


@pytest.mark.parametrize(
    ("scorer", "package", "is_rule"),
    [
        ("includes", "inspect_ai/includes", True),
        ("includes1", "includes", True),
        ("includes", "acme/includes", False),
        ("model_graded_qa", "inspect_ai/model_graded_qa", False),
        ("includes", None, True),
    ],
)
def test_scorers_of_inspect_that_decide_by_rule_are_no_opinions(
    scorer: str, package: str | None, is_rule: bool, tmp_path: Path
) -> None:
    def change(log: dict[str, Any]) -> None:
        log["eval"]["scorers"] = None if package is None else [{"name": package}]
        for sample in log["samples"]:
            sample["scores"] = {scorer: {"value": "C"}}

    imported("inspect", [_changed(tmp_path, change)], tmp_path / "out", "en")
    (judge,) = load(tmp_path / "out" / "capitals.yaml").experiment.judges.values()
    assert (judge.opinion() is None) == is_rule


def test_both_forms_of_a_log_give_the_same_files(tmp_path: Path) -> None:
    with zipfile.ZipFile(EVAL) as archive:
        assert {info.compress_type for info in archive.infolist()} == {93}, "Zstandard"
    of_eval, of_json = (imported("inspect", [path], tmp_path / path.suffix)[0].files for path in (EVAL, JSON))
    assert {path: text for path, text in of_eval.items() if not path.endswith(".yaml")} == {
        path: text for path, text in of_json.items() if not path.endswith(".yaml")
    }


def test_an_archive_of_an_older_version_is_read(tmp_path: Path) -> None:
    path = tmp_path / "older.eval"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("header.json", json.dumps({key: v for key, v in LOG.items() if key != "samples"}))
        for sample in LOG["samples"]:
            archive.writestr(f"samples/{sample['id']}_epoch_1.json", json.dumps(sample))
    assert imported("inspect", [path], tmp_path / "out")[0].n_answers == 3


def test_a_log_that_was_not_finished_is_read_and_said_to_be_so(tmp_path: Path) -> None:
    path = tmp_path / "begun.eval"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("_journal/start.json", json.dumps({"version": 2, "eval": LOG["eval"]}))
        archive.writestr("samples/a_epoch_1.json", json.dumps(LOG["samples"][0]))
    (study,) = imported("inspect", [path], tmp_path / "out")
    assert "1 × log that is not whole: its status is `started`" in study.left_out


@pytest.mark.parametrize(
    ("value", "score"),
    [
        ("C", 1.0),
        ("I", 0.0),
        ("P", 0.5),
        ("N", 0.0),
        (True, 1.0),
        (0.25, 0.25),
        (float("nan"), None),
        ("B", None),
    ],
)
def test_scores_count_as_inspect_counts_them(value: object, score: float | None, tmp_path: Path) -> None:
    path = _changed(tmp_path, _said(scores={"match": {"value": value}}))
    (study,) = imported("inspect", [path], tmp_path / "out")
    assert rows(tmp_path / "out" / ANSWERS)[0]["scores"] == {"match": score, "includes": None}
    assert any("scores `match`" in one for one in study.left_out) == (score is None)


def test_each_part_of_a_score_is_a_judge(tmp_path: Path) -> None:
    path = _changed(
        tmp_path, _said(scores={"graded": {"value": {"style": 3, "facts": 5}, "explanation": "Fine."}})
    )
    imported("inspect", [path], tmp_path / "out")
    first = rows(tmp_path / "out" / ANSWERS)[0]
    assert (first["scores"]["graded_style"], first["scores"]["graded_facts"]) == (3, 5)
    assert first["explanations"] == {"graded": "Fine."}


def test_long_texts_are_put_back_into_their_places(tmp_path: Path) -> None:
    output = {"choices": [{"message": {"role": "assistant", "content": "attachment://ab"}}]}
    path = _changed(tmp_path, _said(output=output, attachments={"ab": "a long answer"}))
    imported("inspect", [path], tmp_path / "out")
    assert rows(tmp_path / "out" / ANSWERS)[0]["response"] == "a long answer"


def _again(log: dict[str, Any]) -> None:
    log["samples"].append(log["samples"][0] | {"epoch": 2})


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (_again, "1 × answers of further epochs"),
        (
            _said(error={"message": "time out"}),
            "1 × answers that failed: they are missing, with their error beside them",
        ),
        (
            _said(messages=[], input=[{"role": "user", "content": [{"type": "image", "image": "a.png"}]}]),
            "1 × questions with pictures or other files",
        ),
        (
            lambda log: log["samples"][0]["messages"].append({"role": "tool", "content": "3"}),
            "1 × transcripts of several turns or with tools: the last answer alone is carried over",
        ),
        (
            lambda log: log["samples"][0]["output"]["choices"].append(
                log["samples"][0]["output"]["choices"][0]
            ),
            "1 × further choices of an answer",
        ),
    ],
)
def test_what_cannot_be_carried_over_is_counted(
    change: Callable[[dict[str, Any]], object], said: str, tmp_path: Path
) -> None:
    (study,) = imported("inspect", [_changed(tmp_path, change)], tmp_path / "out", "en")
    assert said in study.left_out
    assert said in (tmp_path / "out/capitals.yaml").read_text("utf-8")
    scores_after_apply(tmp_path / "out/capitals.yaml", tmp_path / "store")


def test_of_several_epochs_the_first_counts_wherever_it_stands(tmp_path: Path) -> None:
    output = {"choices": [{"message": {"role": "assistant", "content": "the second"}}]}
    path = _changed(
        tmp_path,
        lambda log: log["samples"].insert(0, log["samples"][0] | {"epoch": 2, "output": output}),
    )
    imported("inspect", [path], tmp_path / "out")
    assert rows(tmp_path / "out" / ANSWERS)[0]["response"] == "Rome."


def test_two_samples_under_one_id_in_one_epoch_are_refused(tmp_path: Path) -> None:
    other = {"id": "1", "input": "Another question?"}
    path = _changed(
        tmp_path,
        lambda log: log["samples"].__setitem__(
            slice(2), [log["samples"][0] | {"id": 1}, log["samples"][1] | other]
        ),
    )
    with pytest.raises(ArgumentError, match="two samples of epoch 1 have the id `1`"):
        imported("inspect", [path], tmp_path / "out")


@pytest.mark.parametrize(
    ("value", "score"),
    [("0.8", 0.8), ("True", 1.0), ("No", 0.0), ("C", 1.0), ("c", None), ("nan", None), ("8 of 10", None)],
)
def test_scores_in_words_and_digits_are_read_as_inspect_reads_them(
    value: str, score: float | None, tmp_path: Path
) -> None:
    path = _changed(tmp_path, lambda log: log["samples"][0].update(scores={"mine": {"value": value}}))
    imported("inspect", [path], tmp_path / "out")
    assert rows(tmp_path / "out" / ANSWERS)[0]["scores"].get("mine") == score


def _no_zip(path: Path) -> None:
    path.write_text("root:x:0", "utf-8")


def _no_header(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.txt", "root:x:0")


def _broken(path: Path) -> None:
    shutil.copyfile(EVAL, path)
    with zipfile.ZipFile(path) as archive:
        place = archive.getinfo("header.json").header_offset + 200
    content = bytearray(path.read_bytes())
    content[place] ^= 0xFF
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (_no_zip, "an `.eval` file is a ZIP archive, and this is none"),
        (_no_header, "the archive has no `header.json`"),
        (_broken, "header.json: cannot be unpacked"),
    ],
)
def test_an_archive_that_is_no_log_is_refused(
    make: Callable[[Path], None], said: str, tmp_path: Path
) -> None:
    make(tmp_path / "log.eval")
    with pytest.raises(ArgumentError, match=said) as refused:
        imported("inspect", [tmp_path / "log.eval"], tmp_path / "out")
    assert "root:x" not in str(refused.value)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda log: log.update(version=1), "it has invalid `version`"),
        (lambda log: log.pop("eval"), "it lacks `eval`"),
        (lambda log: log.update(samples=None), "it holds no sample whose question is text"),
        (lambda log: log["samples"][1].pop("input"), "it lacks `samples.1.input`"),
    ],
)
def test_json_that_is_no_log_is_refused(
    change: Callable[[dict[str, Any]], object], said: str, tmp_path: Path
) -> None:
    with pytest.raises(ArgumentError, match=said):
        imported("inspect", [_changed(tmp_path, change)], tmp_path / "out")
