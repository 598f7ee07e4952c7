"""Contamination across files: questions below an instruction or behind a label, and translations by id."""

from pathlib import Path
from typing import Any

import pytest

from tests.dsl.checks.test_data import data, errors, loaded, sft, warnings

LAKE = "Name a big lake in the mountains of Peru."


@pytest.mark.parametrize(
    ("learnt", "is_among"),
    [
        ({"q": "Answer the question.", "i": LAKE}, True),
        ({"q": f"Question: {LAKE}\nAnswer:"}, True),
        ({"q": f"### Frage:\n{LAKE}\n\n### Antwort:\n"}, True),
        ({"q": f"Be brief.\n{LAKE}"}, True),
        ({"q": f"1. Name a tree.\n2. {LAKE}"}, True),
        ({"q": f"{LAKE}\n\nAnswer with one word."}, True),
        ({"q": f"问题：{LAKE}"}, True),
        ({"q": f"He said: name a lake. {LAKE}"}, False),
        ({"q": "Answer the question.", "i": "Name a big lake in the mountains of Chile."}, False),
    ],
)
def test_a_question_within_a_learnt_one_is_refused(
    learnt: dict[str, str], is_among: bool, tmp_path: Path
) -> None:
    files = {
        "q.jsonl": [{"id": "q", "q": LAKE}],
        "p.jsonl": [{"id": "t", "r": "Titicaca.", "i": "", **learnt}],
    }
    sets = {"d": data("q.jsonl"), "pool": data("p.jsonl", columns={"response": "r", "input": "i"})}
    setting = sft(data=sets)
    if is_among:
        (found,) = errors(tmp_path, files, **setting)
        assert "1 of 1 items of `d` are among the rows of `pool` that `sft` is trained on: q" in found
    else:
        assert warnings(tmp_path, files, **setting) == []


def test_a_question_of_several_lines_is_found_within_and_a_short_one_is_not(tmp_path: Path) -> None:
    asked = "Which is right?\nA) A lake\nB) A sea"
    files = {
        "q.jsonl": [{"id": "q1", "q": asked}, {"id": "q2", "q": "Why?"}],
        "p.jsonl": [{"id": "t", "q": f"Choose.\n\n{asked}\n\nWhy?", "r": "A"}],
    }
    sets = {"d": data("q.jsonl"), "pool": data("p.jsonl", columns={"response": "r"})}
    (found,) = errors(tmp_path, files, **sft(data=sets))
    assert "1 of 2 items of `d` are among the rows of `pool` that `sft` is trained on: q1" in found


def test_a_question_that_is_asked_between_labels_is_found_without_them(tmp_path: Path) -> None:
    files = {
        "q.jsonl": [{"id": "q", "q": f"Question: {LAKE}\nAnswer:"}],
        "p.jsonl": [{"id": "t", "q": LAKE, "r": "Titicaca."}],
    }
    sets = {"d": data("q.jsonl"), "pool": data("p.jsonl", columns={"response": "r"})}
    (found,) = errors(tmp_path, files, **sft(data=sets))
    assert "1 of 1 items of `d` are among the rows of `pool`" in found


def in_two_languages(
    asked: list[str], learnt: list[str], language: str = "fr"
) -> tuple[dict[str, Any], dict[str, Any]]:
    files = {
        "q.jsonl": [{"id": one, "q": f"English {one}"} for one in asked],
        "p.jsonl": [{"id": one, "q": f"Autre {one}", "r": "x"} for one in learnt],
    }
    sets = {
        "d": data("q.jsonl", languages=["en"]),
        "pool": data("p.jsonl", columns={"response": "r"}, languages=[language]),
    }
    languages = ["en", "fr"] if language == "fr" else ["en"]
    return files, sft(
        languages=languages, data=sets, methods={"sft": {**METHOD, "train_languages": [language]}}
    )


METHOD = {"method": "sft", "train": "pool"}


def test_ids_that_agree_in_another_language_are_told_as_translations(tmp_path: Path) -> None:
    files, setting = in_two_languages(["a1", "a2"], ["a1", "a2", "b7"])
    (found,) = warnings(tmp_path, files, **setting)
    assert found.startswith(
        "methods.sft: 2 of 2 items of `d` have the ids of rows in other languages among the rows of `pool`"
        " that `sft` is trained on: a1, a2. If these are translations, take them out"
    )
    setting["data"]["d"]["allow_overlap"] = True
    study = loaded(tmp_path, files, **setting)
    assert (study.warnings, len(study.origin.notes)) == ((), 1)
    setting["data"]["d"]["allow_overlap"] = False
    setting["data"]["pool"]["parallel"] = False
    assert warnings(tmp_path, files, **setting) == []


@pytest.mark.parametrize(
    ("asked", "learnt", "language", "n"),
    [
        (["a1", "a2"], ["a1", "b2"], "fr", 0),
        (["1", "2"], ["1", "2"], "fr", 1),
        (["1", "2"], ["1", "2", "3", "4"], "fr", 0),
        (["a1", "a2"], ["a1", "a2"], "en", 0),
    ],
)
def test_ids_are_compared_between_languages_and_numbers_only_where_all_agree(
    asked: list[str], learnt: list[str], language: str, n: int, tmp_path: Path
) -> None:
    files, setting = in_two_languages(asked, learnt, language)
    assert len(warnings(tmp_path, files, **setting)) == n


def test_rows_without_ids_of_their_own_are_no_translations(tmp_path: Path) -> None:
    files, setting = in_two_languages(["1", "2"], ["1", "2"])
    setting["data"]["pool"]["columns"]["item"] = {"row_number": True}
    assert warnings(tmp_path, files, **setting) == []
