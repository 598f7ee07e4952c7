import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsl.data.records import FinishReason
from dsl.judges.truncated import Settings
from runners.judges import truncated
from runners.judges.contract import Answer
from runners.store.row_keys import Keys
from tests.runners.judges.answers import HOSTILE, answer, verdict

PROSE = "Water boils at 100 degrees at sea level. On a mountain the pressure is lower. "


def ended(text: str, finish_reason: FinishReason, language: str = "en") -> Answer:
    one = answer(text, language=language)
    return Answer(one.example, one.completion.model_copy(update={"finish_reason": finish_reason}), {})


@pytest.mark.parametrize("language", ["en", "de"])
def test_a_finish_reason_decides_whatever_the_text_looks_like_and_in_any_language(language: str) -> None:
    assert verdict(Settings(), ended("A whole sentence.", "length", language)).score == 0
    assert verdict(Settings(), ended("It stops in the middle of a", "eos", language)).score == 1


@pytest.mark.parametrize("finish_reason", ["recorded", "stop"])
@pytest.mark.parametrize(
    ("text", "language"),
    [
        (PROSE + "So it boils at a lower", "en"),
        (PROSE + "So it boils at 90 degrees or even less there", "en"),
        ("Here is how it is done:", "en"),
        ("1. Wash the rice.\n2. Boil the water.\n3.", "en"),
        ("1. Wash the rice.\n2. Boil the water.\n3", "en"),
        ("- Wash the rice well.\n- Boil the water.\n- Let it all cook for about twelve minutes", "en"),
        ("It ended a war (which had lasted thirty whole years", "en"),
        ("```python\nprint(1)", "en"),
        ("So:\n```\nprint(1)", "en"),
        ("```\nprint(1)\n```\n\nAnd then:\n\n```\nprint(2)\nprint(3).", "en"),
        ("| a | b |\n|---|---|\n| 1 |", "en"),
        ("Une partie de sa face éclairée par l'", "fr"),
        ("Il faut de la farine, de l'eau et du", "fr"),
        ("Porque la presión es menor y", "es"),
        ("In French one may stop at the", "fr"),
    ],
)
def test_without_one_an_end_that_breaks_off_is_a_cut(
    text: str, language: str, finish_reason: FinishReason
) -> None:
    found = verdict(Settings(), ended(text, finish_reason, language))
    assert found.score == 0
    assert found.reason


@pytest.mark.parametrize(
    "text",
    [
        PROSE,
        "He said: “I will be back.”",
        "Is that all?",
        "Happy birthday! 🎉",
        "```python\nprint(1)\n```",
        "The answer is 6.\n```",
        "The answer is 6.\n```\n\n# Note\nThat was easy.",
        "```\nprint(1)\n```\nThe answer is 6.\n```",
        "| a | b |\n|---|---|\n| 1 | 2 |",
        "Wait for it…",
        "**Done.**",
    ],
)
def test_without_one_a_closed_end_is_whole(text: str) -> None:
    assert verdict(Settings(), ended(text, "recorded")).score == 1


@pytest.mark.parametrize(
    "text",
    [
        "Tokyo",
        "42",
        "The Old Lighthouse and the Sea",
        "- eggs\n- milk\n- bread",
        f"Dear Ann,\n\n{PROSE}\n\nBest wishes,\nPaul",
        "x = f(3);",
        "...",
    ],
)
def test_an_end_that_can_be_read_both_ways_is_unscored(text: str) -> None:
    found = verdict(Settings(), ended(text, "recorded"))
    assert found.score is None
    assert found.unscored_reason


def test_a_language_whose_ends_are_not_known_is_unscored_without_a_finish_reason() -> None:
    found = verdict(Settings(), ended("Das ist ein Satz.", "recorded", "de"))
    assert (found.score, found.unscored_reason) == (None, "how a text breaks off in de is not known")
    assert verdict(Settings(), ended("Un mot.", "recorded", "fr-CA")).score == 1


def test_longer_last_lines_may_be_asked_for() -> None:
    one = ended(PROSE + "\nThe Old Lighthouse and its long stairs", "recorded")
    assert verdict(Settings(), one).score == 0
    assert verdict(Settings(min_words=8), one).score is None


def test_verdicts_on_the_same_text_differ_where_the_finish_reason_does() -> None:
    keys = Keys(truncated, Settings())
    cut, whole = ended("A whole sentence.", "length"), ended("A whole sentence.", "eos")
    assert keys.of(cut.example, cut.completion) != keys.of(whole.example, whole.completion)


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_gets_a_verdict(text: str) -> None:
    found = verdict(Settings(), ended(text, "recorded"))
    assert found.score in (0, 1, None)
    assert (found.score is None) == (found.unscored_reason is not None)


@settings(deadline=None)
@given(st.text(), st.sampled_from(["en", "fr", "es", "de"]))
def test_any_text_gets_a_verdict_that_says_why(text: str, language: str) -> None:
    found = verdict(Settings(), ended(text, "recorded", language))
    assert found.reason or found.unscored_reason
