"""M-IFEval's Japanese instructions on texts that follow them and texts that do not."""

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsl.judges.ifeval import Settings
from runners.judges._ifeval.japanese import _sentences_in
from runners.judges._ifeval.registry import JAPANESE, JAPANESE_AS_PUBLISHED, checks
from tests.runners.judges.answers import HOSTILE, answer, verdicts

PROMPTS = Path(__file__).resolve().parents[4] / "shared" / "data" / "m_ifeval" / "ja_input_data.jsonl"
HAS_JANOME = importlib.util.find_spec("janome") is not None
THREE = "雨が降りました。道が濡れています！傘はありますか？"

CASES: list[tuple[str, dict[str, Any], list[str], list[str]]] = [
    # id, arguments, texts that follow it, texts that do not
    ("combination:repeat_prompt", {"prompt_to_repeat": "歌って。"}, ["歌って。はい。"], ["はい。歌って。"]),
    ("combination:two_responses", {}, ["一つ\n******\n二つ"], ["一つ", "一つ******一つ"]),
    (
        "detectable_content:number_placeholders",
        {"num_placeholders": 2},
        ["[名前]と[場所]"],
        ["［名前］[場所]"],
    ),
    ("detectable_content:postscript", {"postscript_marker": "P.S."}, ["以上。\nP.S. また。"], ["以上。追伸"]),
    ("detectable_content:postscript", {"postscript_marker": "追伸"}, ["以上。\n追伸 また。"], ["以上。P.S."]),
    ("detectable_format:constrained_response", {}, ["はい、そうです。"], ["はい。", "そうです。"]),
    ("detectable_format:json_format", {}, ['```json\n{"花": 1}\n```'], ["花"]),
    (
        "detectable_format:multiple_sections",
        {"section_spliter": "章", "num_sections": 2},
        ["第1章\n山\n第2章\n川", "第１章 山 第１０章 川"],
        ["第1章 山", "第一章 山 第二章 川", "第1節 山 第2節 川"],
    ),
    (
        "detectable_format:number_bullet_lists",
        {"num_bullets": 2},
        ["・山\n ・川"],
        ["・山", "- 山\n- 川", "・・山\n・川"],
    ),
    ("detectable_format:number_numbered_lists", {"num_items": 2}, ["1. 山\n2. 川"], ["1. 山", "1.山\n2.川"]),
    (
        "detectable_format:number_highlighted_sections",
        {"num_highlights": 2},
        ["《山》と《川》と《海》"],
        ["《山》と《》", "《山\n川》《海》", "*山* *川*"],
    ),
    ("detectable_format:title", {}, ["『春の川』\n昔々"], ["春の川", "『』", "『 』", "<<春の川>>"]),
    ("keywords:existence", {"keywords": ["夢", "現実"]}, ["夢と現実"], ["夢"]),
    ("keywords:frequency", {"keyword": "猫", "frequency": 2, "relation": "以上"}, ["猫と猫"], ["猫"]),
    ("keywords:frequency", {"keyword": "猫", "frequency": 2, "relation": "未満"}, ["猫"], ["猫と猫と猫"]),
    ("keywords:forbidden_words", {"forbidden_words": ["健康"]}, ["元気です。"], ["健康が一番です。"]),
    (
        "keywords:letter_frequency",
        {"letter": "か", "let_frequency": 3, "let_relation": "以上"},
        ["かきとカラスとカメラ"],
        ["かきとカラス", "がががが"],
    ),
    (
        "language:response_language",
        {"language": "fr"},
        ["Le chat dort sur le tapis bleu."],
        ["猫が寝ています。"],
    ),
    (
        "length_constraints:nth_paragraph_first_word",
        {"num_paragraphs": 2, "nth_paragraph": 2, "first_word": "愛"},
        ["昔々。\n\n愛は強い。", "昔々。\n\n「愛」は強い。"],
        ["昔々。\n\n強い愛。", "愛は強い。", "昔々。\n\n愛は強い。\n\n終わり。"],
    ),
    (
        "length_constraints:number_letters",
        {"num_letters": 5, "relation": "以上"},
        ["山と川。\n"],
        ["山と川。"],
    ),
    (
        "length_constraints:number_letters",
        {"num_letters": 5, "relation": "未満"},
        ["山と川。"],
        ["山と川と。"],
    ),
    ("length_constraints:number_paragraphs", {"num_paragraphs": 2}, ["山。\n***\n川。"], ["山。\n\n川。"]),
    ("length_constraints:number_sentences", {"num_sentences": 3, "relation": "以上"}, [THREE], ["雨。傘。"]),
    ("length_constraints:number_sentences", {"num_sentences": 3, "relation": "未満"}, ["雨。傘。"], [THREE]),
    (
        "letters:furigana",
        {},
        ["漢字（かんじ）を書（か）く。", "かな"],
        ["漢字を書（か）く。", "漢字（カンジ）", "漢字(かんじ)"],
    ),
    ("letters:kanji", {"kanji_limit": 2, "relation": "以上"}, ["山と川"], ["山とかわ"]),
    ("letters:kanji", {"kanji_limit": 2, "relation": "未満"}, ["山とかわ"], ["山と川"]),
    ("letters:kansuuji", {}, ["三百年"], ["300年", "３百年"]),
    ("letters:hiragana_only", {}, ["らーめん、12。"], ["ラーメン", "山", "abc"]),
    ("letters:katakana_only", {}, ["ラーメン・ｶﾗｰ、12。"], ["らーめん", "山", "abc"]),
    ("letters:no_hiragana", {}, ["山川ラーメン"], ["山と川"]),
    ("letters:no_katakana", {}, ["らーめん"], ["ラーメン", "ｶﾗ"]),
    ("punctuation:no_comma", {}, ["山。"], ["山、川"]),
    ("punctuation:no_period", {}, ["山、川"], ["山。"]),
    (
        "startend:end_checker",
        {"end_phrase": "また明日。"},
        ["では、また明日。", "「また明日。」"],
        ["また明日。では。"],
    ),
    ("startend:quotation", {}, [" 「山と川」\n"], ["「山」と川", "『山』", "「"]),
    (
        "startend:sentence_unified_end",
        {"ending": "です"},
        ["山です。川です！\n海です。", "彼は「行く。」と言う人です。"],
        ["山です。川だ。", "山です。\n川ます"],
    ),
]


@pytest.mark.parametrize(("name", "kwargs", "good", "bad"), CASES)
@pytest.mark.parametrize("as_published", [False, pytest.param(True, id="as_published")])
def test_a_text_follows_a_japanese_instruction_or_not(
    name: str, kwargs: dict[str, Any], good: list[str], bad: list[str], as_published: bool
) -> None:
    if (
        as_published
        and name.startswith("keywords:")
        and name != "keywords:letter_frequency"
        and not HAS_JANOME
    ):
        pytest.skip("janome is not installed")
    follows = checks(f"ja:{name}", kwargs, "ja", as_published=as_published)
    assert [bool(follows(text)) for text in (*good, *bad)] == [True] * len(good) + [False] * len(bad)


def test_every_japanese_instruction_has_a_case() -> None:
    assert {name for name, *_ in CASES} == JAPANESE.keys() - {"detectable_format:nominal_ending"}


@pytest.mark.parametrize(
    ("line", "n"),
    [
        ("", 0),
        ("雨", 1),
        ("雨。傘", 2),
        ("本当!?", 2),
        ("「雨。傘。」と言う。", 1),
        ("雨（小雨。大雨。）です。", 1),
        ("Hello! 雨です。", 2),
    ],
)
def test_japanese_sentences_end_at_their_signs_outside_of_brackets(line: str, n: int) -> None:
    assert _sentences_in(line) == n


def test_a_line_is_a_sentence_unless_it_goes_on_behind_no() -> None:
    follows = checks("ja:length_constraints:number_sentences", {"num_sentences": 2, "relation": "未満"}, "ja")
    assert follows("私の\n猫。")
    assert not follows("私は\n猫。")


def test_the_published_rule_is_followed_where_the_benchmark_is_named() -> None:
    for name, kwargs, text, own in [
        ("letters:katakana_only", {}, "ヴァイオリン", True),
        ("startend:sentence_unified_end", {"ending": "です"}, "山です。\n", True),
    ]:
        assert checks(f"ja:{name}", kwargs, "ja")(text) is own
        assert checks(f"ja:{name}", kwargs, "ja", as_published=True)(text) is not own


@pytest.mark.skipif(not HAS_JANOME, reason="janome is not installed")
def test_nouns_at_the_ends_of_sentences_are_counted() -> None:
    follows = checks("ja:detectable_format:nominal_ending", {"count": 2}, "ja")
    assert follows("静かな夜。遠くに光る星。")
    assert not follows("静かな夜です。遠くに光る星。")
    assert not follows("「夜。」「星。」と言った。")


@pytest.mark.skipif(HAS_JANOME, reason="janome is installed")
@pytest.mark.parametrize(
    ("name", "kwargs", "settings"),
    [
        ("detectable_format:nominal_ending", {"count": 1}, Settings()),
        ("keywords:existence", {"keywords": ["夢"]}, Settings(benchmark="m_ifeval")),
    ],
)
def test_an_instruction_that_needs_a_tokenizer_is_unscored_without_it(
    name: str, kwargs: dict[str, Any], settings: Settings
) -> None:
    extra = {"instruction_id_list": json.dumps([f"ja:{name}"]), "kwargs": json.dumps([kwargs])}
    for found in verdicts(settings, answer("静かな夜。", language="ja", extra=extra)):
        assert found.score is None
        assert "pip install janome" in (found.unscored_reason or "")


def test_every_instruction_of_the_published_prompts_can_be_checked() -> None:
    if not PROMPTS.is_file():
        pytest.skip("the public data beside the project is not here")
    rows = [json.loads(line) for line in PROMPTS.read_text("utf-8").splitlines()]
    asked = [
        (name, kwargs)
        for row in rows
        for name, kwargs in zip(row["instruction_id_list"], row["kwargs"], strict=True)
    ]
    assert len(rows) == 172
    for name, kwargs in asked:
        assert checks(name, kwargs, "ja")
        assert checks(name, kwargs, "ja", as_published=True)
    assert {name.removeprefix("ja:") for name, _ in asked} == JAPANESE.keys() == JAPANESE_AS_PUBLISHED.keys()


@given(
    st.sampled_from([case for case in CASES if "language" not in case[0]]),
    st.text() | st.sampled_from(HOSTILE),
)
def test_any_text_follows_or_does_not(case: tuple[str, dict[str, Any], Any, Any], text: str) -> None:
    assert checks(case[0], case[1], "ja")(text) in (True, False)
