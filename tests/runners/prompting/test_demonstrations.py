"""Worked examples from a data set, and who is kept out."""

import unicodedata
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsl.data.normalise import normalise
from dsl.data.records import Example, Message
from dsl.errors import DataError
from dsl.steps.prompt_forms import Demonstrations, PromptText, TextPrompt
from runners.prompting.demonstrations import Pool
from runners.prompting.prompts import Prompter
from tests.fixtures.tiny_study import inputs, prompt_text

ROWS = [
    Example(item=f"p{n}", language="en", instruction=instruction, response=f"Answer {n}.")
    for n, instruction in enumerate(
        [
            "Name a river in Spain.",
            "How do I boil an egg?",
            "How do I fry an egg in butter?",
            "Name a mountain.",
            "Who wrote Hamlet?",
            "How old is Rome?",
        ]
    )
]


def asked(instruction: str, item: str = "q") -> Example:
    return Example(item=item, language="en", instruction=instruction)


def shown(folder: Path, example: Example, k: int = 2, seed: int = 0, **settings: str) -> list[str]:
    found, (pool,) = inputs(folder, pool=ROWS)
    source = Demonstrations.model_validate({"pool": pool, **settings})
    return [one.query for one in Pool(source, found, seed).choose(example, k)]


def test_fixed_examples_are_the_first_rows(tmp_path: Path) -> None:
    assert shown(tmp_path, asked("Why?")) == [ROWS[0].instruction, ROWS[1].instruction]


def test_rows_without_a_response_are_not_shown(tmp_path: Path) -> None:
    found, (pool,) = inputs(tmp_path, pool=[ROWS[0].model_copy(update={"response": None}), *ROWS[1:]])
    assert [one.query for one in Pool(Demonstrations(pool=pool), found, None).choose(asked("Why?"), 1)] == [
        ROWS[1].instruction
    ]


def test_an_earlier_question_of_the_asked_conversation_is_not_shown(tmp_path: Path) -> None:
    before = (
        Message(role="user", content=ROWS[0].instruction),
        Message(role="assistant", content="The Ebro."),
    )
    example = asked("Another?").model_copy(update={"turns": before})
    assert shown(tmp_path, example) == [ROWS[1].instruction, ROWS[2].instruction]


def test_random_examples_are_the_same_for_every_item_and_change_with_the_seed(tmp_path: Path) -> None:
    draws = [shown(tmp_path, asked("Why?"), k=3, seed=seed, select="random") for seed in range(8)]
    assert all(
        shown(tmp_path, asked("Other?"), k=3, seed=seed, select="random") == drawn
        for seed, drawn in enumerate(draws)
    )
    assert len({tuple(drawn) for drawn in draws}) > 4


def test_bm25_shows_the_most_similar_last(tmp_path: Path) -> None:
    assert shown(tmp_path, asked("How do I poach an egg in butter and oil?"), select="bm25") == [
        ROWS[1].instruction,
        ROWS[2].instruction,
    ]


@pytest.mark.parametrize(
    ("rows", "query", "nearest"),
    [
        (["京都の天気はどうですか", "猫の名前を考えて", "東京の人口は"], "猫に名前をつけてください", 1),
        (["北京有多少人口", "猫喜欢吃什么", "如何煮鸡蛋"], "鸡蛋要煮多久", 2),
        (["ภูเขาที่สูงที่สุด", "แมวชอบกินอะไร", "ฝนตกเมื่อไร"], "ทำไมแมวนอนมาก", 1),
        (["ទន្លេវែងជាងគេ", "ឆ្មាស៊ីអ្វី", "ផ្ទះពណ៌ខៀវ"], "តើឆ្មាដេកឬទេ", 1),
        (["ແມ່ນ້ຳຍາວທີ່ສຸດ", "ແມວກິນຫຍັງ", "ເຮືອນສີຟ້າ"], "ເປັນຫຍັງແມວຈຶ່ງນອນ", 1),
        (["မြစ်အရှည်ဆုံး", "ကြောင်ဘာစားသလဲ", "အိမ်အပြာ"], "ဘာကြောင့် ကြောင်အိပ်သလဲ", 1),
    ],
    ids=["ja", "zh", "th", "km", "lo", "my"],
)
def test_bm25_knows_the_words_of_scripts_without_spaces(
    tmp_path: Path, rows: list[str], query: str, nearest: int
) -> None:
    pool = [ROWS[0].model_copy(update={"item": str(at), "instruction": row}) for at, row in enumerate(rows)]
    found, (data,) = inputs(tmp_path, pool=pool)
    chosen = Pool(Demonstrations(pool=data, select="bm25"), found, None).choose(asked(query), 1)
    assert [one.query for one in chosen] == [rows[nearest]]


def test_bm25_without_a_word_in_common_shows_the_first_rows(tmp_path: Path) -> None:
    assert set(shown(tmp_path, asked("Pourquoi ?"), select="bm25")) == {
        ROWS[0].instruction,
        ROWS[1].instruction,
    }


@pytest.mark.parametrize("select", ["fixed", "random", "bm25"])
def test_a_row_that_asks_the_same_is_never_shown(tmp_path: Path, select: str) -> None:
    assert ROWS[1].instruction not in shown(tmp_path, asked("how do I  BOIL an egg"), k=5, select=select)


@pytest.mark.parametrize("select", ["fixed", "random", "bm25"])
def test_the_asked_item_is_kept_out_in_every_language(tmp_path: Path, select: str) -> None:
    """The question is French; its English translation stands in the English pool."""
    english = Example(item="egg", language="en", instruction=ROWS[1].instruction)
    french = Example(item="egg", language="fr", instruction="Comment cuire un œuf ?")
    found, (pool, asked_en, asked_fr) = inputs(tmp_path, pool=ROWS, asked_en=[english], asked_fr=[french])
    source = Demonstrations.model_validate({"pool": pool, "select": select, "keep_out": (asked_en, asked_fr)})
    of_egg = [one.query for one in Pool(source, found, 0).choose(french, 5)]
    of_other = [one.query for one in Pool(source, found, 0).choose(asked("Pourquoi ?", item="other"), 6)]
    assert ROWS[1].instruction not in of_egg
    assert ROWS[1].instruction in of_other


def test_the_asked_item_is_kept_out_of_a_pool_that_is_evaluated_itself(tmp_path: Path) -> None:
    found, (pool,) = inputs(tmp_path, pool=ROWS)
    of_p0 = Pool(Demonstrations(pool=pool, keep_out=(pool,)), found, None).choose(
        asked("In other words?", item="p0"), 5
    )
    assert ROWS[0].instruction not in [one.query for one in of_p0]


def test_an_items_id_says_nothing_about_another_data_sets_rows(tmp_path: Path) -> None:
    assert shown(tmp_path, asked("Why?", item="p0"), k=1) == [ROWS[0].instruction]


def test_a_pool_that_is_too_small_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="5 rows to show as examples for item q; `num_fewshot` asks for 6"):
        shown(tmp_path, asked(ROWS[1].instruction), k=6)


def test_random_examples_need_a_seed(tmp_path: Path) -> None:
    found, (pool,) = inputs(tmp_path, pool=ROWS)
    with pytest.raises(ValueError, match="seed"):
        Pool(Demonstrations(pool=pool, select="random"), found, None)


def test_a_prompt_shows_the_pools_rows_instead_of_the_texts_own(tmp_path: Path) -> None:
    found, (pool,) = inputs(tmp_path, pool=ROWS)
    text: PromptText = prompt_text("en")
    form = TextPrompt(text=text, num_fewshot=1, demonstrations=Demonstrations(pool=pool), preamble=False)
    assert (
        Prompter(form, found).prompt(asked("Why?")).text
        == "\n# Query:\n```\nName a river in Spain.\n```\n\n# Answer:\n```\nAnswer 0.\n```\n\n#"
        " Query:\n```\nWhy?\n```\n\n# Answer:\n```\n"
    )


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("¿Qué es?", "qué  ES", True),
        ("Qué", "Que", False),
        ("ﬁn", "fin", True),
        ("Straße", "STRASSE", True),
        ("हिन्दी", "हन्दी", False),
        ("مَا هُوَ؟", "ما هو", True),
        ("מַה זֶּה?", "מה זה", True),
        ("می\u200cشود", "میشود", True),
        ("7 - 5?", "7-5", True),
        ("7 - 5?", "7 + 5?", False),
        ("7 * 5?", "7 / 5?", False),
        ("-5", "5", False),
        ("What is 👍?", "What is 👎?", False),
        ("COVID-19", "covid 19", True),
        ("**Name** a `lake`.", "name a lake", True),
    ],
)
def test_instructions_are_compared_without_case_punctuation_and_spacing(
    one: str, other: str, same: bool
) -> None:
    assert (normalise(one) == normalise(other)) is same


@settings(deadline=None)
@given(st.text())
def test_normalising_twice_or_in_another_form_of_unicode_changes_nothing(text: str) -> None:
    found = normalise(text)
    assert normalise(found) == found
    assert {normalise(unicodedata.normalize(form, text)) for form in ("NFC", "NFD")} == {found}
