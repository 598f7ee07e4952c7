"""The showcase's data: parallel, checkable by rule, and nothing of the test in the training."""

import re
from collections import Counter
from itertools import combinations

import pytest

from dsl.data.normalise import normalise
from runners.judges._ifeval.arguments import RELATIONS
from runners.judges._ifeval.registry import checks
from runners.judges._text.numbers import last_number
from runners.judges._text.words import holds, words
from tests.specs.test_quickstart_data import each_language, read_prompt, read_rows

LANGUAGES = ("en", "fr", "es")
KINDS = {"fact": 48, "arithmetic": 36, "instruction": 36}
QUESTIONS, INSTRUCTIONS, PREFERENCES = "showcase", "showcase_instructions", "showcase_preferences"
FURTHER_QUERY = {"en": "# Query:", "fr": "# Requête:", "es": "# Consulta:"}


@pytest.mark.parametrize(("name", "n"), [(QUESTIONS, 120), (INSTRUCTIONS, 100), (PREFERENCES, 60)])
def test_rows_are_parallel_filled_and_asked_once(name: str, n: int) -> None:
    items = [[row["item"] for row in read_rows(name, language)] for language in LANGUAGES]
    assert items[0] == items[1] == items[2]
    assert len(set(items[0])) == n
    for language in LANGUAGES:
        rows = read_rows(name, language)
        assert len({normalise(row["instruction"]) for row in rows}) == n
        texts = [value for row in rows for value in row.values() if isinstance(value, str)]
        assert all(text and text == text.strip() for text in texts)


@each_language
def test_each_kind_of_question_has_what_its_rule_reads(language: str) -> None:
    rows = read_rows(QUESTIONS, language)
    assert Counter(row["category"] for row in rows) == KINDS
    for row in rows:
        numbers = [answer for answer in row["answers"] if last_number(answer, "en") is not None]
        assert bool(numbers) == (row["category"] == "arithmetic"), row["item"]
        assert bool(row["answers"]) == (row["category"] != "instruction"), row["item"]
        assert bool(row["instruction_id_list"]) == (row["category"] == "instruction"), row["item"]


@each_language
def test_no_question_holds_its_answer(language: str) -> None:
    for row in read_rows(QUESTIONS, language):
        accepted = [words(answer) for answer in row["answers"]]
        assert not [answer for answer in accepted if holds(words(row["instruction"]), answer)], row["item"]
        assert len(set(accepted)) == len(accepted), row["item"]


def test_arithmetic_has_the_same_numbers_in_every_language() -> None:
    by_language = [
        [row for row in read_rows(QUESTIONS, language) if row["category"] == "arithmetic"]
        for language in LANGUAGES
    ]
    for rows in zip(*by_language, strict=True):
        golds = {row["answers"][0] for row in rows}
        assert len(golds) == 1, rows[0]["item"]
        numbers = {tuple(re.findall(r"\d+", row["instruction"])) for row in rows}
        assert len(numbers) == 1, rows[0]["item"]


def test_instructions_ask_the_same_in_every_language_and_can_be_checked() -> None:
    by_language = [
        [row for row in read_rows(QUESTIONS, language) if row["category"] == "instruction"]
        for language in LANGUAGES
    ]
    for rows in zip(*by_language, strict=True):
        kinds = {
            tuple(re.sub("english|french|spanish", "own", kind) for kind in row["instruction_id_list"])
            for row in rows
        }
        assert len(kinds) == 1, rows[0]["item"]
        for row, language in zip(rows, LANGUAGES, strict=True):
            (kind,), (kwargs,) = row["instruction_id_list"], row["kwargs"]
            arguments: dict[str, int | str | list[str]] = kwargs
            checks(kind, arguments, language)("")  # an unknown kind or argument is refused
            for value in arguments.values():
                for one in value if isinstance(value, list) else [str(value)]:
                    assert one in RELATIONS or one in row["instruction"], row["item"]


@each_language
def test_a_question_repeated_as_an_answer_follows_only_what_has_to_be_said_word_for_word(
    language: str,
) -> None:
    rows = [row for row in read_rows(QUESTIONS, language) if row["category"] == "instruction"]
    followed = Counter(
        row["instruction_id_list"][0]
        for row in rows
        if checks(row["instruction_id_list"][0], row["kwargs"][0], language)(row["instruction"])
    )
    assert followed == {
        "detectable_format:title": 3,
        "detectable_format:constrained_response": 3,
        "keywords:existence": 3,
    }


@each_language
def test_no_demonstration_holds_an_accepted_answer(language: str) -> None:
    shown = [
        words(f"{demonstration['query']} {demonstration['answer']}")
        for demonstration in read_prompt(language)["demonstrations"]
    ]
    for row in read_rows(QUESTIONS, language):
        found = [one for one in row["answers"] for text in shown if holds(text, words(one))]
        assert not found, row["item"]


def test_training_questions_demonstrations_and_evaluated_questions_are_different_in_every_language() -> None:
    for language in LANGUAGES:
        asked = {
            name: {normalise(row["instruction"]) for row in read_rows(name, language)}
            for name in (QUESTIONS, INSTRUCTIONS, PREFERENCES)
        }
        asked["shown"] = {normalise(one["query"]) for one in read_prompt(language)["demonstrations"]}
        for one, other in combinations(asked, 2):
            assert asked[one].isdisjoint(asked[other]), (one, other)


@each_language
def test_sums_in_good_answers_are_right(language: str) -> None:
    sums: list[tuple[str, str, str, str]] = [
        found
        for name, column in ((INSTRUCTIONS, "response"), (PREFERENCES, "chosen"))
        for row in read_rows(name, language)
        for found in re.findall(r"(\d+) ([-+×÷]) (\d+) = (\d+)", row[column])
    ]
    assert len(sums) >= 48
    for first, sign, second, result in sums:
        a, b = int(first), int(second)
        assert int(result) == {"+": a + b, "-": a - b, "×": a * b, "÷": a / b}[sign]


@each_language
def test_rejected_answers_show_the_faults_of_small_models(language: str) -> None:
    rows = read_rows(PREFERENCES, language)
    assert all(row["rejected"] != row["chosen"] for row in rows)
    rejected = [row["rejected"] for row in rows]
    others = {
        row["chosen"] for other in LANGUAGES if other != language for row in read_rows(PREFERENCES, other)
    }
    assert sum(text in others for text in rejected) == 12
    assert sum(FURTHER_QUERY[language] in text for text in rejected) == 12
    assert sum("```" in text or "<html>" in text or "import math" in text for text in rejected) == 12
