"""The judge `ifeval`: verdicts, strict and loose, and items it cannot judge."""

import json
import re
from dataclasses import replace
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsl.data.records import Verdict
from dsl.judges.ifeval import Settings
from runners.judges._ifeval.loose import variants
from runners.judges.contract import Answer
from runners.judges.ifeval import missing
from tests.runners.judges.answers import HOSTILE, answer, verdicts

NO_COMMA = ("punctuation:no_comma", {})
TWO_PARAGRAPHS = ("length_constraints:number_paragraphs", {"num_paragraphs": 2})


def asked(text: str, *instructions: tuple[str, dict[str, Any]], language: str = "en") -> Answer:
    """An answer to an item with instructions."""
    extra = {
        "instruction_id_list": json.dumps([name for name, _ in instructions]),
        "kwargs": json.dumps([arguments for _, arguments in instructions]),
    }
    return answer(text, language=language, extra=extra)


def judged(one: Answer, benchmark: Literal["ifeval", "m_ifeval"] | None = None) -> dict[str, Verdict]:
    return {verdict.aspect: verdict for verdict in verdicts(Settings(benchmark=benchmark), one)}


def test_an_item_is_followed_when_each_of_its_instructions_is() -> None:
    both = judged(asked("one\n***\ntwo", NO_COMMA, TWO_PARAGRAPHS))
    assert both["strict"].score == both["loose"].score == 1
    assert both["strict"].parts == {"0 punctuation:no_comma": 1, "1 length_constraints:number_paragraphs": 1}
    assert both["strict"].reason == "follows punctuation:no_comma, length_constraints:number_paragraphs"
    one = judged(asked("one, two", NO_COMMA, TWO_PARAGRAPHS, ("startend:end_checker", {"end_phrase": "two"})))
    assert one["strict"].score == 0
    assert one["strict"].parts == {
        "0 punctuation:no_comma": 0,
        "1 length_constraints:number_paragraphs": 0,
        "2 startend:end_checker": 1,
    }
    assert (
        one["strict"].reason == "does not follow punctuation:no_comma, length_constraints:number_paragraphs"
    )


def test_an_instruction_named_twice_counts_twice() -> None:
    keywords = [("keywords:existence", {"keywords": [word]}) for word in ("tea", "milk")]
    assert judged(asked("tea only", *keywords))["strict"].parts == {
        "0 keywords:existence": 1,
        "1 keywords:existence": 0,
    }


@pytest.mark.parametrize(
    "text",
    [
        "Sure, here it is:\nno comma",
        "no comma\nI hope it helps, friend.",
        "Sure, yes:\nno comma\nSo, that is it.",
    ],
)
def test_an_introduction_and_a_closing_are_no_fault_when_read_loosely(text: str) -> None:
    both = judged(asked(text, NO_COMMA))
    assert (both["strict"].score, both["loose"].score) == (0, 1)


def test_each_instruction_may_be_followed_by_another_version_of_the_answer() -> None:
    text = "Well, a title:\n**Tea**\nGood bye"
    both = judged(asked(text, NO_COMMA, ("keywords:existence", {"keywords": ["title"]})))
    assert both["strict"].parts == {"0 punctuation:no_comma": 0, "1 keywords:existence": 1}
    assert both["loose"].score == 1


def test_the_eight_versions() -> None:
    assert variants("*a*\nb\n*c*") == ("*a*\nb\n*c*", "b\n*c*", "*a*\nb", "b", "a\nb\nc", "b\nc", "a\nb")
    assert variants("a") == ("a",)
    assert variants(" \n") == variants("***")[1:] == ()


def test_an_answer_of_nothing_follows_nothing() -> None:
    both = judged(asked(" \n ", NO_COMMA))
    assert (both["strict"].score, both["loose"].score) == (0, 0)


@given(st.text(alphabet="ab,*\n. \"'", max_size=40))
def test_what_is_followed_strictly_is_followed_loosely(text: str) -> None:
    both = judged(
        asked(
            text,
            NO_COMMA,
            TWO_PARAGRAPHS,
            ("startend:quotation", {}),
            ("length_constraints:number_words", {"num_words": 2, "relation": "at least"}),
            ("detectable_format:number_highlighted_sections", {"num_highlights": 1}),
        )
    )
    strict, loose = both["strict"], both["loose"]
    assert strict.parts is not None
    assert loose.parts is not None
    assert strict.parts.keys() == loose.parts.keys()
    assert all(loose.parts[name] >= followed for name, followed in strict.parts.items())
    assert strict.score == min(strict.parts.values())
    assert loose.score == min(loose.parts.values())


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_answers_are_scored(text: str) -> None:
    both = judged(
        asked(
            text,
            NO_COMMA,
            ("detectable_format:json_format", {}),
            ("en:length_constraints:number_sentences", SENTENCES),
        )
    )
    assert {verdict.score for verdict in both.values()} <= {0.0, 1.0}


def test_an_item_without_instructions_is_left_out() -> None:
    facts = answer("Paris", extra={"instruction_id_list": "", "kwargs": ""})
    assert verdicts(Settings(), facts, asked("Paris", NO_COMMA)) == verdicts(
        Settings(), asked("Paris", NO_COMMA)
    )


SENTENCES = {"num_sentences": 3, "relation": "less than"}


@pytest.mark.parametrize(
    ("extra", "why"),
    [
        ({}, "the item has no `instruction_id_list`"),
        (
            {"instruction_id_list": "[]", "kwargs": "[]"},
            "`instruction_id_list` is no list, or an empty one: '[]'",
        ),
        ({"instruction_id_list": '["punctuation:no_comma"]'}, "the item has no `kwargs`"),
        (
            {"instruction_id_list": "['punctuation:no_comma']", "kwargs": "[{}]"},
            "`instruction_id_list` is not JSON",
        ),
        (
            {"instruction_id_list": '["punctuation:no_comma"]', "kwargs": "[{}, {}]"},
            "1 instructions with arguments for 2",
        ),
        (
            {"instruction_id_list": '["punctuation:no_comma"]', "kwargs": "[3]"},
            "instruction 0 is not an id with named arguments",
        ),
        (
            {"instruction_id_list": '["letters:kanji"]', "kwargs": "[{}]"},
            "letters:kanji: no such instruction in en",
        ),
        (
            {"instruction_id_list": '["keywords:existence"]', "kwargs": "[{}]"},
            "keywords:existence: `keywords` is missing",
        ),
    ],
)
def test_an_item_that_cannot_be_checked_is_unscored_and_says_why(extra: dict[str, str], why: str) -> None:
    both = judged(answer("yes", extra=extra))
    assert set(both) == {"strict", "loose"}
    for verdict in both.values():
        assert verdict.score is None
        assert verdict.parts is None
        assert str(verdict.unscored_reason).startswith(why)


def test_arguments_that_are_null_are_not_given() -> None:
    given = {"num_words": None, "num_paragraphs": 1, "relation": None}
    assert judged(asked("one", ("length_constraints:number_paragraphs", given)))["strict"].score == 1


CHINESE = "今天天气很好，我们去公园散步，然后在那里吃午饭，晚上回家看书。"
LETTER = "keywords:letter_frequency"


def test_a_language_is_that_of_most_seeds_and_the_reason_has_their_share() -> None:
    sure = judged(
        asked(
            "Il fait beau et nous allons manger au jardin.",
            ("language:response_language", {"language": "fr"}),
        )
    )["strict"]
    assert (sure.score, sure.reason) == (1, "follows language:response_language (fr by 11 of 11 seeds)")
    names = "1. *ALICE*\n2. BRIAN\n3. CAROLINE\n4. DAVID\n5. *EVELYN*\n6. FIONA\n7. GORDON"
    unsure = judged(asked(names, ("change_case:english_capital", {})))["strict"]
    share = re.search(r"\((..) by (\d+) of 11 seeds\)", str(unsure.reason))
    assert share is not None
    assert 11 // 2 < int(share[2]) < 11
    assert unsure.score == float(share[1] == "en")


def test_a_text_without_a_hint_is_in_any_language() -> None:
    assert judged(asked("123", ("language:response_language", {"language": "fr"})))["strict"].reason == (
        "follows language:response_language (no language found)"
    )


@pytest.mark.parametrize(("benchmark", "follows"), [(None, 1), ("m_ifeval", 0), ("ifeval", 0)])
def test_chinese_is_found_as_zh_but_not_in_the_benchmark_s_definition(
    benchmark: Literal["ifeval", "m_ifeval"] | None, follows: float
) -> None:
    one = asked(CHINESE, ("language:response_language", {"language": "zh"}))
    assert judged(one, benchmark)["strict"].score == follows


@pytest.mark.parametrize(
    ("text", "at_its_word", "published", "reason"),
    [
        ("# # # #", 1, 0, f"does not follow {LETTER} (for 26 of 26 letters drawn for '#')"),
        (
            "the quick brown fox jumps over the lazy dog " * 4,
            0,
            1,
            f"follows {LETTER} (for 26 of 26 letters drawn for '#')",
        ),
        ("abcdefghijklm " * 4, 0, 0, f"does not follow {LETTER} (for 13 of 26 letters drawn for '#')"),
        ("abcdefghijklmn " * 4, 0, 1, f"follows {LETTER} (for 14 of 26 letters drawn for '#')"),
    ],
)
def test_a_sign_is_counted_itself_and_in_the_benchmark_s_definition_a_random_letter(
    text: str, at_its_word: float, published: float, reason: str
) -> None:
    one = asked(text, (LETTER, {"letter": "#", "let_frequency": 4, "let_relation": "at least"}))
    assert judged(one)["strict"].score == at_its_word
    verdict = judged(one, "m_ifeval")["strict"]
    assert (verdict.score, verdict.reason) == (published, reason)


def test_a_letter_is_counted_alike_in_both_definitions() -> None:
    one = asked("Aa b", (LETTER, {"letter": "A", "let_frequency": 2, "let_relation": "at least"}))
    assert judged(one)["strict"].score == judged(one, "ifeval")["strict"].score == 1


@pytest.mark.parametrize(
    ("benchmark", "missing_as", "score"),
    [(None, None, None), (None, 0, 0), ("m_ifeval", None, 0), ("ifeval", 0, 0)],
)
def test_a_missing_answer_is_not_followed_where_the_definition_says_so(
    benchmark: Literal["ifeval", "m_ifeval"] | None, missing_as: Literal[0] | None, score: float | None
) -> None:
    assert Settings(benchmark=benchmark, missing_as=missing_as).missing_score() == score


def test_a_missing_answer_follows_none_of_the_instructions() -> None:
    settings, one = Settings(benchmark="m_ifeval"), asked("", NO_COMMA, TWO_PARAGRAPHS)
    keyed = replace(one, keys=dict.fromkeys(("strict", "loose"), "0" * 64))
    for verdict in missing(keyed, settings, "no answer, which counts as 0: the server refused it"):
        assert verdict.score == 0
        assert verdict.parts == {"0 punctuation:no_comma": 0, "1 length_constraints:number_paragraphs": 0}
    unchecked = replace(answer(None), keys=keyed.keys)
    assert {verdict.score for verdict in missing(unchecked, settings, "")} == {None}
