"""`recorded`: verdicts from files, each with the answer it is about, or unscored and saying why."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dsl.data.fingerprints import Fingerprints
from dsl.data.paths import CellNames
from dsl.data.records import Verdict
from dsl.errors import DataError
from dsl.judges.recorded import Settings
from dsl.steps.identity import digest
from runners.judges.contract import Answer
from tests.runners.judges.answers import HOSTILE, answer, verdicts

PREFERENCE = {"columns": {"instruction": "q", "preference": "p"}, "against": "davinci"}


def settings(folder: Path, rows: list[dict[str, Any]], **said: Any) -> Settings:
    """Settings as a plan makes them for the cell en × m × first, of a file with these rows."""
    (folder / "first.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return of_cell(folder, **said)


def of_cell(folder: Path, method: str = "first", **said: Any) -> Settings:
    found = Settings.model_validate({"verdicts": {"path": "{method}.jsonl"}, **said})
    return found.of_cell(CellNames("d", "en", "m", method), Fingerprints(), folder)


def one(found: list[Verdict]) -> Verdict:
    (verdict,) = found
    return verdict


def of_item(item: str, text: str = "an answer", **example: Any) -> Answer:
    made = answer(text, **example)
    return replace(
        made,
        example=made.example.model_copy(update={"item": item}),
        completion=made.completion.model_copy(update={"item": item}),
    )


@pytest.mark.parametrize(
    ("preference", "score"), [(1, 0), (2.0, 1), (1.5, 0.5), (0, 0.5), (1.25, 0.25), ("2", 1)]
)
def test_a_preference_is_read_as_alpacaeval_writes_it(
    preference: object, score: float, tmp_path: Path
) -> None:
    judge = settings(tmp_path, [{"q": "Say  something. ", "p": preference}], **PREFERENCE)
    assert one(verdicts(judge, answer("x"))).score == score


@pytest.mark.parametrize(("better", "score"), [(True, 1), (False, 0)])
def test_a_preference_is_true_or_false_where_its_values_say_what_that_means(
    better: bool, score: float, tmp_path: Path
) -> None:
    column = {"column": "better", "values": {"true": 2, "false": 1}}
    judge = settings(
        tmp_path,
        [{"q": "Say something.", "better": better}],
        columns={"instruction": "q", "preference": column},
        against="davinci",
    )
    assert one(verdicts(judge, answer("x"))).score == score


@pytest.mark.parametrize(
    ("row", "why"),
    [
        ({"q": "Say something.", "p": None}, "row 1 holds null for `p` in first.jsonl"),
        ({"q": "Say something.", "p": 3}, "row 1: `3` is no preference (`p`) in first.jsonl"),
        ({"q": "Say something.", "p": 0.5}, "`0.5` is no preference"),
        ({"q": "Say something.", "p": float("nan")}, "row 1 holds NaN for `p` in first.jsonl"),
        ({"q": "Say something.", "p": " "}, "row 1: it is empty (`p`) in first.jsonl"),
        (
            {"q": "Say something.", "p": True},
            "row 1: `true` names no answer. Write `{column: p, values: {true: 2, false: 1}}`",
        ),
        ({"q": "Say something."}, "row 1: no column `p`"),
        ({"q": "Say something.", "p": [2]}, "row 1: `p` holds a list, not text"),
        ({"q": "Say nothing.", "p": 2}, "no recorded verdict in first.jsonl"),
    ],
)
def test_what_is_no_preference_is_unscored_and_says_why(
    row: dict[str, Any], why: str, tmp_path: Path
) -> None:
    judge = settings(tmp_path, [row, {"q": "another", "p": 2}], **PREFERENCE)
    found = one(verdicts(judge, answer("x")))
    assert found.score is None
    assert why in (found.unscored_reason or "")


def test_a_column_that_no_row_has_is_refused_before_anything_runs(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"first\.jsonl: row 1: no column `p`; there are: q, preference"):
        settings(tmp_path, [{"q": "a", "preference": 1}, {"q": "b", "preference": 2}], **PREFERENCE)
    with pytest.raises(DataError, match=r"row 1: no column `c2`"):
        settings(
            tmp_path,
            [{"q": "a", "c": 1}],
            columns={"instruction": "q", "scores": {"clarity": "c", "depth": "c2"}},
        )


def test_an_error_on_a_missing_file_names_its_path(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"second\.jsonl: No such file"):
        of_cell(tmp_path, "second", **PREFERENCE)


def test_each_method_reads_its_own_file(tmp_path: Path) -> None:
    (tmp_path / "second.jsonl").write_text('{"q": "Say something.", "p": 1}\n')
    settings(tmp_path, [{"q": "Say something.", "p": 2}], **PREFERENCE)
    scores = [
        one(verdicts(of_cell(tmp_path, method, **PREFERENCE), answer("x"))).score
        for method in ("first", "second")
    ]
    assert scores == [1, 0]


def test_the_content_of_a_file_counts_and_its_place_does_not(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    rows = [{"q": "Say something.", "p": 2}]
    here, there = settings(tmp_path, rows, **PREFERENCE), settings(tmp_path / "elsewhere", rows, **PREFERENCE)
    changed = settings(tmp_path, [{"q": "Say something.", "p": 1}], **PREFERENCE)
    assert digest(here) == digest(there) != digest(changed)


def test_a_verdict_on_another_text_is_none(tmp_path: Path) -> None:
    columns = {"instruction": "q", "response": "a", "preference": "p"}
    rows = [{"q": "Say something.", "a": "  my\nanswer", "p": 2}]
    judge = settings(tmp_path, rows, columns=columns, against="davinci")
    mine, other = verdicts(judge, answer("my answer "), answer("your answer"))
    assert mine.score == 1
    assert other.unscored_reason == "the verdict recorded in first.jsonl is about another answer"


def test_several_verdicts_on_an_answer_are_averaged_and_each_is_kept(tmp_path: Path) -> None:
    rows = [
        {"id": "a", "s": 3},
        {"id": "a", "s": 4},
        {"id": "a", "s": "N/A"},
        {"id": "b", "s": 5},
        {"id": "b", "s": "5.0"},
        {"id": "b", "s": None},
        {"id": "c", "s": 2},
        {"id": "d", "s": 1e308},
        {"id": "d", "s": 1e308},
    ]
    judge = settings(tmp_path, rows, columns={"item": "id", "score": "s"})
    a, b, c, d = verdicts(judge, of_item("a"), of_item("b"), of_item("c"), of_item("d"))
    assert (a.score, a.parts) == (3.5, {"row 1": 3, "row 2": 4})
    assert (b.score, b.parts) == (5, {"row 4": 5, "row 5": 5})
    assert (c.score, c.parts) == (2, None)
    assert d.score == 1e308


def test_two_replies_of_one_score_agree_whatever_their_words(tmp_path: Path) -> None:
    rows = [
        {"id": "a", "r": json.dumps({"clarity": {"reason": word, "score": 4}})} for word in ("plain", "short")
    ]
    judge = settings(
        tmp_path, rows, columns={"item": "id", "raw": "r"}, format="just_eval", aspects=["clarity"]
    )
    found = one(verdicts(judge, of_item("a")))
    assert (found.score, found.reason) == (4, "plain\n\nshort")


def test_a_reply_that_cannot_be_read_beside_one_that_can_is_named(tmp_path: Path) -> None:
    good = json.dumps({"clarity": {"reason": "plain", "score": 4}})
    rows = [{"id": "a", "r": good}, {"id": "a", "r": "I'd rather not"}, {"id": "b", "r": good}]
    judge = settings(
        tmp_path, rows, columns={"item": "id", "raw": "r"}, format="just_eval", aspects=["clarity"]
    )
    a, b = verdicts(judge, of_item("a"), of_item("b"))
    assert (a.score, a.parts) == (4, {"row 1": 4})
    assert a.reason is not None
    assert a.reason.startswith("plain\n\nnot counted: row 2: ")
    assert (b.score, b.parts, b.reason) == (4, None, "plain")


WORDS = {"column": "s", "values": {"C": 1, "I": 0, "true": 1, "false": 0}, "missing": [-1]}


@pytest.mark.parametrize(
    ("given", "score", "why"),
    [
        ("C", 1, None),
        (" I ", 0, None),
        (True, 1, None),
        (False, 0, None),
        ("True", 1, None),
        (-1, None, "`-1` stands for no verdict"),
        ("-1.0", None, "`-1.0` stands for no verdict"),
        ("P", None, "row 1: `P` is not among the `values`: `C`, `I`, `true`, `false` (`s`) in first.jsonl"),
        (1, None, "`1` is not among the `values`"),
        (None, None, "row 1 holds null"),
        (float("nan"), None, "row 1 holds NaN"),
    ],
)
def test_words_stand_for_the_scores_that_the_spec_gives_them(
    given: object, score: float | None, why: str | None, tmp_path: Path
) -> None:
    rows = [{"id": "a", "s": given}, {"id": "z", "s": "C"}]
    judge = settings(tmp_path, rows, columns={"item": "id", "score": WORDS})
    found = one(verdicts(judge, of_item("a")))
    assert found.score == score
    assert (why or "") in (found.unscored_reason or "")
    assert judge.scale("recorded") == (0, 1)


@pytest.mark.parametrize(
    ("given", "score"),
    [
        (True, 1),
        (False, 0),
        ("true", 1),
        ("False", 0),
        (4, 4),
        (float("nan"), None),
        (float("inf"), None),
        ("N/A", None),
    ],
)
def test_without_words_numbers_are_scores_and_so_are_true_and_false(
    given: object, score: float | None, tmp_path: Path
) -> None:
    judge = settings(
        tmp_path, [{"id": "a", "s": given}, {"id": "z", "s": 1}], columns={"item": "id", "score": "s"}
    )
    found = one(verdicts(judge, of_item("a")))
    assert (found.score, found.unscored_reason is None) == (score, score is not None)


def test_a_column_of_words_needs_values_or_missing(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="name `values` or `missing`"):
        settings(tmp_path, [], columns={"item": "id", "score": {"column": "s"}})


def _winner(column: str) -> dict[str, Any]:
    return {"column": column, "values": {"model_1": 1, "model_2": 2, "tie": 1.5}, "missing": ["error"]}


@pytest.mark.parametrize(
    ("first", "second", "score", "parts"),
    [
        ("model_2", "model_2", 1, {"first": 1, "second": 1}),
        ("model_1", "model_1", 0, {"first": 0, "second": 0}),
        ("model_2", "model_1", 0.5, {"first": 1, "second": 0}),
        ("model_2", "tie", 0.5, {"first": 1, "second": 0.5}),
        ("model_2", "error", None, {"first": 1}),
    ],
)
def test_both_orders_of_a_comparison_make_one_verdict_and_a_tie_where_they_disagree(
    first: str, second: str, score: float | None, parts: dict[str, float], tmp_path: Path
) -> None:
    columns = {"item": "id", "preference": {"first": _winner("g1"), "second": _winner("g2")}}
    judge = settings(tmp_path, [{"id": "a", "g1": first, "g2": second}], columns=columns, against="other")
    found = one(verdicts(judge, of_item("a")))
    assert (found.score, found.parts) == (score, parts)


def test_item_and_instruction_of_a_verdict_have_to_agree_where_both_are_named(tmp_path: Path) -> None:
    rows = [{"id": "a", "q": " Say  something.", "s": 3}, {"id": "b", "q": "Say nothing.", "s": 4}]
    judge = settings(tmp_path, rows, columns={"item": "id", "instruction": "q", "score": "s"})
    a, b = verdicts(judge, of_item("a"), of_item("b"))
    assert a.score == 3
    assert b.unscored_reason == "the instruction of row 2 in first.jsonl is another one"


def test_one_row_that_names_no_item_is_left_out_and_counted(tmp_path: Path) -> None:
    rows = [{"s": 1}, {"id": "cut \ud83d", "s": 2}, {"id": "a", "s": 3, "o": "cut \ud83d"}]
    judge = settings(tmp_path, rows, columns={"item": "id", "score": "s"})
    assert one(verdicts(judge, of_item("a"))).score == 3
    assert [why[:6] for why in judge.read().unmatched] == ["row 1:", "row 2:"]


def test_items_of_equal_text_keep_their_own_verdicts(tmp_path: Path) -> None:
    judge = settings(
        tmp_path, [{"id": "a", "s": 3}, {"id": "b", "s": 4}], columns={"item": "id", "score": "s"}
    )
    a, b = verdicts(judge, of_item("a", "same"), of_item("b", "same"))
    assert (a.score, b.score) == (3, 4)
    assert a.row_key != b.row_key


def test_a_file_of_several_languages_gives_each_its_own(tmp_path: Path) -> None:
    rows = [{"id": "a", "la": "en", "s": 3}, {"id": "a", "la": "fr", "s": 4}]
    judge = settings(tmp_path, rows, columns={"item": "id", "score": "s", "language": "la"})
    found = verdicts(judge, of_item("a"), of_item("a", language="fr"), of_item("a", language="es"))
    assert [verdict.score for verdict in found] == [3, 4, None]


def test_a_file_may_call_languages_otherwise_than_the_study(tmp_path: Path) -> None:
    rows = [
        {"id": "a", "la": "eng", "s": 3},
        {"id": "a", "la": "fra", "s": 4},
        {"id": "a", "la": "de", "s": 2},
    ]
    language = {"column": "la", "values": {"en": "eng", "fr": "fra"}}
    judge = settings(tmp_path, rows, columns={"item": "id", "score": "s", "language": language})
    found = verdicts(judge, *(of_item("a", language=one) for one in ("en", "fr", "de", "es")))
    assert [verdict.score for verdict in found] == [3, 4, 2, None]


def test_a_missing_value_of_a_text_of_several_columns_names_these(tmp_path: Path) -> None:
    rows = [{"id": "a", "t": None, "s": 3}, {"id": "a", "t": 1, "s": 3}]
    judge = settings(tmp_path, rows, columns={"item": {"template": "{id}/{t}"}, "score": "s"})
    assert judge.read().unmatched == ("row 1 holds null for `{id}/{t}`",)


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (
            [{"id": "a", "h": 4, "c": 2.5}],
            {"columns": {"item": "id", "scores": {"helpfulness": "h", "clarity": "c"}}},
        ),
        (
            [
                {"id": "a", "k": "clarity", "s": "2.5"},
                {"id": "a", "k": "helpfulness", "s": "4"},
                {"id": "a", "k": "wit", "s": "1"},
            ],
            {"columns": {"item": "id", "aspect": "k", "score": "s"}, "aspects": ["helpfulness", "clarity"]},
        ),
    ],
)
def test_aspects_stand_in_columns_or_in_rows(
    rows: list[dict[str, Any]], said: dict[str, Any], tmp_path: Path
) -> None:
    found = verdicts(settings(tmp_path, rows, **said), of_item("a"))
    assert {verdict.aspect: verdict.score for verdict in found} == {"helpfulness": 4, "clarity": 2.5}


def raw(folder: Path, reply: str | None, **said: Any) -> dict[str, Verdict]:
    columns = {"item": "id", "raw": "r"}
    judge = settings(
        folder,
        [{"id": "a", "r": reply}],
        columns=columns,
        format="just_eval",
        aspects=["clarity", "depth"],
        **said,
    )
    return {verdict.aspect: verdict for verdict in verdicts(judge, of_item("a"))}


def test_a_judge_s_words_are_read_and_kept(tmp_path: Path) -> None:
    reply = (
        'Here: {"clarity": {"reason": "plain", "score": "4"}, "depth": {"reason": "none asked", "score":'
        ' "N/A"}}'
    )
    found = raw(tmp_path, reply)
    assert (found["clarity"].score, found["clarity"].reason, found["clarity"].raw) == (4, "plain", reply)
    assert found["depth"].score is None
    assert found["depth"].raw == reply


def test_not_applicable_counts_as_five_only_where_that_is_asked_for(tmp_path: Path) -> None:
    reply = '{"clarity": {"score": 2}, "depth": {"score": "N/A"}}'
    assert raw(tmp_path, reply)["depth"].score is None
    assert {aspect: verdict.score for aspect, verdict in raw(tmp_path, reply, na_as=5).items()} == {
        "clarity": 2,
        "depth": 5,
    }


@pytest.mark.parametrize("reply", [*HOSTILE, None])
def test_words_that_hold_no_score_are_unscored(reply: str | None, tmp_path: Path) -> None:
    found = raw(tmp_path, reply)
    assert all(verdict.score is None and verdict.unscored_reason for verdict in found.values())


def test_examples_of_other_categories_get_no_verdict(tmp_path: Path) -> None:
    judge = settings(
        tmp_path, [{"id": "a", "s": 3}], columns={"item": "id", "score": "s"}, categories=["math"]
    )
    found = verdicts(judge, of_item("a", category="math"), of_item("a", category="law"), of_item("a"))
    assert [verdict.score for verdict in found] == [3]


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_answers_are_matched_like_others(text: str, tmp_path: Path) -> None:
    rows = [{"q": text, "a": text, "p": 2}]
    judge = settings(
        tmp_path, rows, columns={"instruction": "q", "response": "a", "preference": "p"}, against="davinci"
    )
    assert one(verdicts(judge, answer(text, instruction=text))).score == 1


@pytest.mark.parametrize("n_silent", [1, 2])
def test_a_verdict_that_cannot_be_read_beside_one_that_can_is_told_with_the_score(
    n_silent: int, tmp_path: Path
) -> None:
    spoken = {"item": "a", "w": '{"helpfulness": {"reason": "Useful.", "score": "4"}}'}
    rows = [spoken, *[{"item": "a", "w": f"no JSON {n}"} for n in range(n_silent)]]
    judge = settings(
        tmp_path,
        rows,
        columns={"item": "item", "raw": "w"},
        format="just_eval",
        aspects=["helpfulness"],
    )
    found = one(verdicts(judge, of_item("a")))
    assert found.score == 4
    told = (found.reason or "").split("\n\n")
    assert told[0] == "Useful."
    assert [line[:19] for line in told[1:]] == [f"not counted: row {n}:" for n in range(2, 2 + n_silent)]


def test_of_several_scores_those_that_are_none_are_told(tmp_path: Path) -> None:
    judge = settings(
        tmp_path, [{"item": "a", "s": 1}, {"item": "a", "s": None}], columns={"item": "item", "score": "s"}
    )
    found = one(verdicts(judge, of_item("a")))
    assert (found.score, found.reason) == (1, "not counted: row 2 holds null for `s`")


def test_verdicts_of_a_rule_are_nobody_s_opinion_and_are_read_as_others_are(tmp_path: Path) -> None:
    given = {"columns": {"item": "i", "score": "s"}}
    rows = [{"i": "item-1", "s": 1}]
    opinion, rule = settings(tmp_path, rows, **given), settings(tmp_path, rows, **given, rule=True)
    assert (opinion.opinion(), rule.opinion()) == (
        "the opinion of a judge outside this study, as it was recorded",
        None,
    )
    assert digest(opinion) == digest(rule)
    assert not rule.is_by_rule(), "nothing is decided here"


@pytest.mark.parametrize("said", [{"people": True}, {"columns": {"item": "i", "raw": "s"}}])
def test_people_s_verdicts_and_a_judge_s_words_are_no_rule_s(said: dict[str, Any], tmp_path: Path) -> None:
    words = {"format": "just_eval", "aspects": ["clarity"]} if "columns" in said else {}
    with pytest.raises(ValueError, match="`rule` is for verdicts that a rule gave"):
        settings(tmp_path, [], **{"columns": {"item": "i", "score": "s"}, **said, **words, "rule": True})
