"""Samples of lm-evaluation-harness, as it wrote them, and in forms of older versions and of hostile hands."""

import json
from pathlib import Path
from typing import Any

import pytest

from dsl.checks.load import load
from dsl.data.fingerprints import Fingerprints
from dsl.errors import ArgumentError
from dsl.plan.compile import compile
from tests.xp.imports.imported import SAMPLES, imported, is_read_without_a_warning, rows, scores_after_apply

TEXT = {
    "doc_id": 3,
    "doc": {"question": "2 + 2?"},
    "target": "4",
    "arguments": {"gen_args_0": {"arg_0": "Q: 2 + 2?\nA:", "arg_1": {"until": ["\n"]}}},
    "resps": [["4"]],
    "filtered_resps": ["4"],
    "filter": "none",
    "metrics": ["exact_match"],
    "exact_match": 1.0,
}


def _samples(folder: Path, *samples: object, task: str = "sums", model: str = "org__model") -> Path:
    path = folder / model / f"samples_{task}_2026-01-02T03-04-05.678.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(one) + "\n" for one in samples), "utf-8")
    return path


def _choice(prompts: list[str], ends: list[str], likelihoods: list[float], **other: Any) -> dict[str, Any]:
    requests = {
        f"gen_args_{i}": {"arg_0": p, "arg_1": e} for i, (p, e) in enumerate(zip(prompts, ends, strict=True))
    }
    replies = [[[str(value), "False"]] for value in likelihoods]
    return TEXT | {"arguments": requests, "resps": replies, "filtered_resps": None, "target": "1"} | other


def test_tasks_of_a_pattern_are_one_study_in_two_languages(tmp_path: Path) -> None:
    studies = imported("lm-eval", SAMPLES, tmp_path, "sums_{language}", "en")
    assert [(study.name, study.n_answers, study.left_out) for study in studies] == [
        ("choice", 2, ()),
        ("sums", 6, ()),
    ]
    assert is_read_without_a_warning(tmp_path / "sums.yaml")
    scores = scores_after_apply(tmp_path / "sums.yaml", tmp_path / "store")
    assert scores == {
        (language, "acme__tiny", "recorded", measure): (0.0, 3, 0)
        for language in ("en", "fr")
        for measure in ("exact_match_strict-match", "exact_match_flexible-extract")
    }
    (first, *_), spec = (
        rows(tmp_path / "sums/questions_fr.jsonl"),
        (tmp_path / "sums.yaml").read_text("utf-8"),
    )
    assert first["doc"] == {"question": "Combien font 2 + 3 ?", "answer": "5"}
    assert first["instruction"].endswith("Question: Combien font 2 + 3 ?\nAnswer:")
    assert "num_fewshot: 1" in spec
    assert "acme__tiny: {parameters: 631936}  # acme/tiny" in spec
    assert "lm-evaluation-harness 0.4.13" in spec


@pytest.mark.parametrize(
    ("metric", "filter", "opinion"),
    [
        ("exact_match", "none", None),
        ("exact_match", "strict-match", None),
        ("helpfulness", "none", "the opinion of a judge outside this study, as it was recorded"),
    ],
)
def test_metrics_of_the_harness_are_rules_and_others_an_opinion(
    metric: str, filter: str, opinion: str | None, tmp_path: Path
) -> None:
    sample = TEXT | {"metrics": [metric], metric: 1.0, "filter": filter}
    imported("lm-eval", [_samples(tmp_path, sample)], tmp_path / "out", "en")
    loaded = load(tmp_path / "out" / "sums.yaml")
    (judge,) = compile(loaded.experiment, Fingerprints(), loaded.origin).study.judges
    assert judge.opinion == opinion


def test_the_answer_of_multiple_choice_is_the_likeliest_choice(tmp_path: Path) -> None:
    imported("lm-eval", SAMPLES, tmp_path, "en")
    assert scores_after_apply(tmp_path / "choice.yaml", tmp_path / "store") == {
        ("en", "acme__tiny", "recorded", measure): (1.0, 2, 0) for measure in ("acc", "acc_norm")
    }
    assert [row["response"] for row in rows(tmp_path / "choice/recorded/en/acme__tiny.jsonl")] == [
        "red",
        "cat",
    ]
    assert [row["answers"] for row in rows(tmp_path / "choice/questions_en.jsonl")] == [["red"], ["cat"]]


def test_choices_may_stand_in_the_prompts_and_begin_with_a_whole_word(tmp_path: Path) -> None:
    path = _samples(
        tmp_path, _choice(["Ann saw Mary, so Maria", "Ann saw Mary, so Mary"], [" left."] * 2, [-3, -1])
    )
    imported("lm-eval", [path], tmp_path / "out")
    assert rows(tmp_path / "out/sums/questions_und.jsonl")[0]["instruction"] == "Ann saw Mary, so "
    assert rows(tmp_path / "out/sums/recorded/und/org__model.jsonl")[0]["response"] == "Mary left."


def test_requests_without_a_prompt_are_no_choices(tmp_path: Path) -> None:
    path = _samples(tmp_path, _choice(["Q:", "Q:", "", ""], [" a", " b", " a", " b"], [-2, -3, -9, -1]))
    imported("lm-eval", [path], tmp_path / "out")
    (row,) = rows(tmp_path / "out/sums/recorded/und/org__model.jsonl")
    assert (row["response"], row["log_likelihoods"]) == ("a", [["a", -2.0], ["b", -3.0]])


@pytest.mark.parametrize(("is_greedy", "answer"), [("True", "end"), ("False", None)])
def test_a_single_continuation_is_the_answer_where_greedy_decoding_gives_it(
    is_greedy: str, answer: str | None, tmp_path: Path
) -> None:
    sample = _choice(["The"], [" end"], [-1], resps=[[["-1.0", is_greedy]]])
    imported("lm-eval", [_samples(tmp_path, sample)], tmp_path / "out")
    assert rows(tmp_path / "out/sums/recorded/und/org__model.jsonl")[0]["response"] == answer


def test_lists_of_arguments_and_rows_without_metrics_are_read_as_older_versions_wrote_them(
    tmp_path: Path,
) -> None:
    older = {key: value for key, value in TEXT.items() if key not in ("metrics", "filter", "filtered_resps")}
    path = _samples(tmp_path, older | {"arguments": [["Q: 2 + 2?\nA:", {"until": []}]]})
    (study,) = imported("lm-eval", [path], tmp_path / "out", "en")
    assert study.left_out == (
        "1 × file of settings: results_2026-01-02T03-04-05.678.json is not beside the samples, and the"
        " folder names the model",
    )
    scores = scores_after_apply(tmp_path / "out/sums.yaml", tmp_path / "store")
    assert scores == {("en", "org__model", "recorded", "exact_match"): (1.0, 1, 0)}


def test_scores_that_are_no_number_are_null_and_counted(tmp_path: Path) -> None:
    odd = [
        TEXT | {"doc_id": i, "exact_match": score}
        for i, score in enumerate([1, float("nan"), [0.5, 2], None])
    ]
    (study,) = imported("lm-eval", [_samples(tmp_path, *odd)], tmp_path / "out", "en")
    assert "3 × scores `exact_match` that are no finite number" in study.left_out
    ((mean, n, n_unscored),) = scores_after_apply(tmp_path / "out/sums.yaml", tmp_path / "store").values()
    assert (mean, n, n_unscored) == (1.0, 1, 3)


def test_an_answer_cut_in_a_character_keeps_its_half(tmp_path: Path) -> None:
    path = _samples(tmp_path, TEXT | {"resps": [["so \ud83d"]]})
    imported("lm-eval", [path], tmp_path / "out")
    assert rows(tmp_path / "out/sums/recorded/und/org__model.jsonl")[0]["response"] == "so \ud83d"


TURNS = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "1 + 1?"},
    {"role": "assistant", "content": "2"},
    {"role": "user", "content": "2 + 2?"},
]


@pytest.mark.parametrize("chat", [[json.dumps(TURNS)], TURNS])
def test_a_chat_gives_its_last_question_and_keeps_its_other_turns(chat: object, tmp_path: Path) -> None:
    path = _samples(tmp_path, TEXT | {"arguments": {"gen_args_0": {"arg_0": chat, "arg_1": {}}}})
    (study,) = imported("lm-eval", [path], tmp_path / "out")
    (row,) = rows(tmp_path / "out/sums/questions_und.jsonl")
    assert (row["instruction"], row["messages"]) == ("2 + 2?", TURNS[:3])
    assert (
        "1 × questions with a system message or earlier turns, which stand beside them under `messages`"
        in study.left_out
    )


@pytest.mark.parametrize("chat", [["[{"], ["plain"], [], {"a": 1}, [{"role": "user"}], [["[]"]]])
def test_a_prompt_that_is_no_chat_is_kept_as_its_json(chat: object, tmp_path: Path) -> None:
    path = _samples(tmp_path, TEXT | {"arguments": {"gen_args_0": {"arg_0": chat, "arg_1": {}}}})
    imported("lm-eval", [path], tmp_path / "out")
    assert rows(tmp_path / "out/sums/questions_und.jsonl")[0]["instruction"] == json.dumps(chat)


@pytest.mark.parametrize(
    ("target", "answers"),
    [
        ("['Paris', 'the city of Paris']", ["Paris", "the city of Paris"]),
        (["Paris", "Lutetia"], ["Paris", "Lutetia"]),
        ("[1, 2]", ["[1, 2]"]),
        ("[ (", ["[ ("]),
        (r"['\d']x", [r"['\d']x"]),
        ("__import__('os')", ["__import__('os')"]),
        (4, ["4"]),
        ([4, 5.0, 0.5], ["4", "5", "0.5"]),
    ],
)
def test_several_targets_are_read_as_they_are_written(
    target: object, answers: list[str], tmp_path: Path
) -> None:
    imported("lm-eval", [_samples(tmp_path, TEXT | {"target": target})], tmp_path / "out")
    assert rows(tmp_path / "out/sums/questions_und.jsonl")[0]["answers"] == answers


@pytest.mark.parametrize("target", [None, {"x": 1}, [["a"]], True, float("nan")])
def test_a_target_that_is_no_text_is_no_accepted_answer_and_counted(target: object, tmp_path: Path) -> None:
    (study,) = imported("lm-eval", [_samples(tmp_path, TEXT | {"target": target})], tmp_path / "out")
    assert "1 × targets that are no text" in study.left_out
    assert rows(tmp_path / "out/sums/questions_und.jsonl")[0].get("answers", []) == []


def test_half_a_character_in_a_question_leaves_it_out_and_the_study_is_read(tmp_path: Path) -> None:
    cut = {"gen_args_0": {"arg_0": "2 + 2? \ud83d", "arg_1": {}}}
    path = _samples(tmp_path, TEXT | {"target": ["4", "\ud83d"]}, TEXT | {"doc_id": 4, "arguments": cut})
    (study,) = imported("lm-eval", [path], tmp_path / "out", "en")
    assert {"1 × targets that are no text", "1 × questions with half a character"} <= {*study.left_out}
    assert is_read_without_a_warning(tmp_path / "out/sums.yaml")
    assert [row["answers"] for row in rows(tmp_path / "out/sums/questions_en.jsonl")] == [["4"]]


def test_a_reply_that_is_null_is_a_missing_answer(tmp_path: Path) -> None:
    path = _samples(tmp_path, TEXT, TEXT | {"doc_id": 4, "resps": [[None]], "exact_match": 0.0})
    (study,) = imported("lm-eval", [path], tmp_path / "out", "en")
    assert "1 × replies that are null: these answers are missing" in study.left_out
    assert [row["response"] for row in rows(tmp_path / "out/sums/recorded/en/org__model.jsonl")] == [
        "4",
        None,
    ]


def test_a_log_likelihood_that_is_no_number_makes_no_choice(tmp_path: Path) -> None:
    sample = _choice(["Q:"] * 2, [" a", " b"], [-2, float("nan")])
    (study,) = imported("lm-eval", [_samples(tmp_path, sample)], tmp_path / "out")
    assert "1 × log-likelihoods that are no number: these answers are missing" in study.left_out
    assert rows(tmp_path / "out/sums/recorded/und/org__model.jsonl")[0]["response"] is None


def test_a_score_behind_another_filter_is_of_the_same_reply(tmp_path: Path) -> None:
    other = TEXT | {"filter": "last", "resps": [["5"]], "exact_match": 0.0}
    (study,) = imported("lm-eval", [_samples(tmp_path, TEXT, other)], tmp_path / "out")
    assert "1 × scores behind another filter that are of another reply" in study.left_out
    (row,) = rows(tmp_path / "out/sums/recorded/und/org__model.jsonl")
    assert row["scores"] == {"exact_match": 1.0}


def test_another_document_under_the_same_id_is_refused(tmp_path: Path) -> None:
    path = _samples(tmp_path, TEXT, TEXT | {"doc": {"question": "3 + 3?"}})
    with pytest.raises(ArgumentError, match=":2: another document than before has the `doc_id` `3`"):
        imported("lm-eval", [path], tmp_path / "out")


def test_a_pattern_that_no_task_has_is_refused_and_a_file_named_twice_is_read_once(tmp_path: Path) -> None:
    path = _samples(tmp_path, TEXT)
    with pytest.raises(ArgumentError, match=r"_{language}` is the name of no task here. There are: `sums`"):
        imported("lm-eval", [path], tmp_path / "out", "mgsm_{language}")
    (study,) = imported("lm-eval", [path, path.parent, path], tmp_path / "out")
    assert study.n_answers == 1


def test_several_right_choices_are_all_accepted(tmp_path: Path) -> None:
    sample = _choice(["Q:"] * 3, [" a", " b", " c"], [-2, -3, -1], target="[0, 2]")
    imported("lm-eval", [_samples(tmp_path, sample)], tmp_path / "out")
    assert rows(tmp_path / "out/sums/questions_und.jsonl")[0]["answers"] == ["a", "c"]


def test_further_repeats_are_counted(tmp_path: Path) -> None:
    (study,) = imported("lm-eval", [_samples(tmp_path, TEXT | {"resps": [["4", "5"]]})], tmp_path / "out")
    assert "1 × answers of further repeats" in study.left_out


def test_a_second_row_under_one_filter_is_counted_and_changes_nothing(tmp_path: Path) -> None:
    again = TEXT | {"resps": [["5"]], "exact_match": 0.0}
    (study,) = imported("lm-eval", [_samples(tmp_path, TEXT, again)], tmp_path / "out")
    (row,) = rows(tmp_path / "out/sums/recorded/und/org__model.jsonl")
    assert (row["response"], row["scores"]) == ("4", {"exact_match": 1.0})
    assert "1 × further rows of a document under one filter" in study.left_out


@pytest.mark.parametrize(
    ("sample", "said"),
    [
        (
            {"a key": "secret text", "b": 1},
            "it lacks `doc_id`, `doc`, `target` and 2 more. Found: `a key`, `b`",
        ),
        ({key: value for key, value in TEXT.items() if key != "resps"}, "it lacks `resps`"),
        ([1, 2], "it is no JSON object"),
        (TEXT | {"doc_id": 4, "resps": []}, "1 `arguments`, and 0 `resps` with a reply"),
        (TEXT | {"resps": "secret text"}, "it has invalid `resps`"),
        (TEXT | {"doc_id": 4, "resps": [[-7.5]]}, "log-likelihoods of whole texts are no answers"),
    ],
)
def test_what_is_no_sample_is_refused_with_what_was_found(sample: object, said: str, tmp_path: Path) -> None:
    path = _samples(tmp_path, TEXT, sample)
    with pytest.raises(ArgumentError) as refused:
        imported("lm-eval", [path], tmp_path / "out")
    assert f"{path}:2: " in str(refused.value)
    assert said in str(refused.value)
    assert "secret text" not in str(refused.value)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("results_x.json", "{}", "are called `samples_<task>_<date>.jsonl`"),
        ("samples_x.jsonl", "", "it holds no sample"),
        ("samples_x.jsonl", "root:x:0", "samples_x.jsonl:1: not JSON, so not a sample"),
        ("samples_x.jsonl", None, "No such file"),
    ],
)
def test_other_files_are_refused(name: str, content: str | None, said: str, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / name).write_text(content, "utf-8")
    with pytest.raises(ArgumentError, match=said) as refused:
        imported("lm-eval", [tmp_path / name], tmp_path / "out")
    assert "root:x" not in str(refused.value)
