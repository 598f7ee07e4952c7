"""The quickstart's small data and the prompt texts: well-formed, parallel across languages, and nothing of
the test in the training."""

import json
import re
import unicodedata
from pathlib import Path
from typing import Any

import pytest
import yaml

from dsl.data.fingerprints import PROMPT_TEXTS

ROOT = Path(__file__).parents[2]
LANGUAGES = ("en", "fr", "es")
COLUMNS = {
    "questions": ["item", "instruction", "category", "answers"],
    "instructions": ["item", "instruction", "response"],
    "preferences": ["item", "instruction", "chosen", "rejected"],
}
ITEMS = {
    "questions": [f"q{i:02}" for i in range(1, 17)],
    "instructions": [f"i{i:02}" for i in range(1, 25)],
    "preferences": [f"p{i:02}" for i in range(1, 17)],
}
GOOD_LENGTHS = {"response": (15, 70), "chosen": (20, 60), "answer": (50, 90)}
GOOD_TEXTS = {"instruction", "response", "chosen"}
PROMPT_KEYS = {"language", "query_tag", "answer_tag", "stop_strings", "preamble", "demonstrations", "system"}

each_language = pytest.mark.parametrize("language", LANGUAGES)
each_set = pytest.mark.parametrize("name", COLUMNS)


@each_language
@each_set
def test_every_row_has_its_columns_filled_and_its_item_in_order(name: str, language: str) -> None:
    rows = read_rows(name, language)
    assert [row["item"] for row in rows] == ITEMS[name]
    for row in rows:
        assert list(row) == COLUMNS[name]
        texts = [value for value in row.values() if isinstance(value, str)]
        assert all(text and text == text.strip() for text in texts), row["item"]


def test_categories_and_kinds_of_question_are_parallel_across_languages() -> None:
    categories = {
        language: [row["category"] for row in read_rows("questions", language)] for language in LANGUAGES
    }
    assert categories["en"] == categories["fr"] == categories["es"]
    assert categories["en"].count("fact") == 9


@each_language
def test_exactly_the_facts_have_accepted_answers_and_no_question_gives_one_away(language: str) -> None:
    for row in read_rows("questions", language):
        assert bool(row["answers"]) == (row["category"] == "fact"), row["item"]
        for answer in row["answers"]:
            assert normalised(answer) not in normalised(row["instruction"]), row["item"]
        assert len({normalised(answer) for answer in row["answers"]}) == len(row["answers"]), row["item"]


@each_language
def test_instructions_are_short_and_occur_once_in_evaluation_training_and_demonstrations_together(
    language: str,
) -> None:
    queries = [demonstration["query"] for demonstration in read_prompt(language)["demonstrations"]]
    instructions = [row["instruction"] for name in COLUMNS for row in read_rows(name, language)]
    seen = [normalised(text) for text in queries + instructions]
    assert sorted(set(seen)) == sorted(seen)
    assert all(n_words(row["instruction"]) <= 30 for row in read_rows("questions", language))


@each_language
def test_no_evaluation_instruction_stands_inside_a_training_text_or_prompt(language: str) -> None:
    prompt = read_prompt(language)
    training = [
        row[key]
        for name in ("instructions", "preferences")
        for row in read_rows(name, language)
        for key in COLUMNS[name][1:]
    ]
    demonstrations = [text for demonstration in prompt["demonstrations"] for text in demonstration.values()]
    everything = " | ".join(
        normalised(text) for text in [*training, *demonstrations, prompt["preamble"], prompt["system"]]
    )
    for row in read_rows("questions", language):
        assert normalised(row["instruction"]) not in everything, row["item"]


@each_language
def test_no_demonstration_gives_away_an_accepted_answer(language: str) -> None:
    for demonstration in read_prompt(language)["demonstrations"]:
        text = f" {normalised(demonstration['query'])} {normalised(demonstration['answer'])} "
        for row in read_rows("questions", language):
            assert not [answer for answer in row["answers"] if f" {normalised(answer)} " in text], row["item"]


@each_language
def test_a_rejected_text_differs_from_the_chosen_one(language: str) -> None:
    for row in read_rows("preferences", language):
        assert normalised(row["chosen"]) != normalised(row["rejected"]), row["item"]


@each_language
def test_good_answers_are_neither_curt_nor_long(language: str) -> None:
    answers = [("response", row["item"], row["response"]) for row in read_rows("instructions", language)]
    answers += [("chosen", row["item"], row["chosen"]) for row in read_rows("preferences", language)]
    answers += [("answer", item["query"], item["answer"]) for item in read_prompt(language)["demonstrations"]]
    for key, item, text in answers:
        low, high = GOOD_LENGTHS[key]
        assert low <= n_words(text) <= high, f"{item}: {n_words(text)} words"


@each_language
def test_a_prompt_file_has_its_keys_three_demonstrations_and_no_fence(language: str) -> None:
    text = prompt_path(language).read_text(encoding="utf-8")
    prompt = read_prompt(language)
    assert set(prompt) == PROMPT_KEYS
    assert prompt["language"] == language
    assert [set(demonstration) for demonstration in prompt["demonstrations"]] == [{"query", "answer"}] * 3
    assert "```" not in text
    assert prompt["preamble"].startswith("# ")
    assert prompt["query_tag"] in prompt["preamble"]
    assert prompt["answer_tag"] in prompt["preamble"]


@each_language
def test_the_query_tag_is_stopped_at_and_no_stop_string_stands_in_a_demonstration(language: str) -> None:
    prompt = read_prompt(language)
    assert any(prompt["query_tag"].startswith(stop) for stop in prompt["stop_strings"])
    for demonstration in prompt["demonstrations"]:
        assert not [
            stop
            for stop in prompt["stop_strings"]
            if stop in demonstration["query"] + demonstration["answer"]
        ]


def test_the_english_tags_and_stop_strings_are_those_of_urial() -> None:
    prompt = read_prompt("en")
    assert (prompt["query_tag"], prompt["answer_tag"]) == ("# Query:", "# Answer:")
    assert prompt["stop_strings"] == ["# Query", "# User"]


def test_tags_and_stop_strings_differ_from_language_to_language() -> None:
    prompts = [read_prompt(language) for language in LANGUAGES]
    for key in ("query_tag", "answer_tag"):
        assert len({prompt[key] for prompt in prompts}) == len(LANGUAGES)
    assert len({stop for prompt in prompts for stop in prompt["stop_strings"]}) == 2 * len(LANGUAGES)


@each_language
def test_every_text_meant_to_be_good_is_in_its_language(language: str, detect: Any) -> None:
    prompt = read_prompt(language)
    texts = [prompt["preamble"], prompt["system"]]
    texts += [text for demonstration in prompt["demonstrations"] for text in demonstration.values()]
    texts += [
        row[key]
        for name in COLUMNS
        for row in read_rows(name, language)
        for key in COLUMNS[name]
        if key in GOOD_TEXTS
    ]
    assert [text for text in texts if detect(text) != language] == []


@each_language
def test_some_rejected_answers_are_in_another_language(language: str, detect: Any) -> None:
    strangers = [
        row["item"] for row in read_rows("preferences", language) if detect(row["rejected"]) != language
    ]
    assert {"p01", "p06", "p12"} <= set(strangers)


@pytest.fixture(scope="module")
def detect() -> Any:
    """A function from a text to its language code, choosing among the three."""
    from lingua import IsoCode639_1, LanguageDetectorBuilder

    codes = [IsoCode639_1.EN, IsoCode639_1.FR, IsoCode639_1.ES]
    detector = LanguageDetectorBuilder.from_iso_codes_639_1(*codes).build()

    def code_of(text: str) -> str | None:
        guess = detector.detect_language_of(text)
        return guess.iso_code_639_1.name.lower() if guess else None

    return code_of


def prompt_path(language: str) -> Path:
    return PROMPT_TEXTS / f"{language}.yaml"


def read_prompt(language: str) -> dict[str, Any]:
    return yaml.safe_load(prompt_path(language).read_text(encoding="utf-8"))


def read_rows(name: str, language: str) -> list[dict[str, Any]]:
    text = (ROOT / "specs" / "data" / f"{name}_{language}.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


def normalised(text: str) -> str:
    """Words in lower case without accents, one space between them."""
    plain = "".join(
        char for char in unicodedata.normalize("NFKD", text.casefold()) if not unicodedata.combining(char)
    )
    return " ".join(re.findall(r"\w+", plain))


def n_words(text: str) -> int:
    """Words as a reader counts them: "l'eau" and "twenty-two" are one each, a lone sign is none."""
    return len(re.findall(r"\w+(?:['’-]\w+)*", text))
