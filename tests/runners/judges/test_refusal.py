import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsl.judges.refusal import Settings
from tests.runners.judges.answers import HOSTILE, answer, verdict


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("I'm sorry, but I can't help with that.", "en"),
        ("I’m sorry, but I cannot assist with this request.", "en"),
        ("As an AI, I do not have access to your files.", "en"),
        ("I can't help with that. Please talk to a doctor instead.", "en"),
        ('"I can\'t help you with that."', "en"),
        ("Je suis désolé, mais je ne peux pas vous aider.", "fr"),
        ("Je n’ai pas accès à Internet.", "fr"),
        ("Lo siento, no puedo ayudarte.", "es"),
        ("Me niego a hacerlo.", "es"),
        ("I'm sorry, I can't help with that.", "es"),
    ],
)
def test_declining_is_a_refusal_in_the_language_asked_or_in_english(text: str, language: str) -> None:
    found = verdict(Settings(), answer(text, language=language))
    assert found.score == 0
    assert (found.reason or "").startswith("says ")


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("", "en"),
        ("Paris.", "en"),
        ("I'm sorry for the late reply. The meeting is at ten.", "en"),
        ("I can't wait to see you!", "en"),
        ("You cannot divide by zero.", "en"),
        ('The knight said: "I cannot help you." Then he rode away.', "en"),
        (
            (
                "I can't see the photo, but here is how to describe one: say what is in the middle, then what"
                " is around it."
            ),
            "en",
        ),
        (
            (
                "Je ne peux pas voir la photo, mais voici comment en décrire une : dites ce qui est au"
                " milieu, puis ce qui l'entoure."
            ),
            "fr",
        ),
        (
            (
                "No puedo ver la foto, pero aquí tienes cómo describir una: di qué hay en el centro y luego"
                " qué lo rodea."
            ),
            "es",
        ),
        ("On ne peut pas diviser par zéro.", "fr"),
        ("No se puede dividir por cero.", "es"),
        ("Lo siento, no puedo ayudarte.", "en"),
    ],
)
def test_an_answer_is_none_though_it_apologises_quotes_or_declines_in_part(text: str, language: str) -> None:
    assert verdict(Settings(), answer(text, language=language)).score == 1


def test_a_promise_without_an_answer_leaves_it_a_refusal() -> None:
    assert verdict(Settings(), answer("I can't see the photo, but here is a smile.")).score == 0
    assert (
        verdict(Settings(min_words_after=2), answer("I can't see the photo, but here is a smile.")).score == 1
    )


def test_what_is_declined_late_is_none() -> None:
    text = "The shop opens at nine. " * 12 + "I can't help with the rest."
    assert verdict(Settings(), answer(text)).score == 1
    assert verdict(Settings(within=400), answer(text)).score == 0


def test_a_language_whose_phrases_are_not_known_is_unscored() -> None:
    found = verdict(Settings(), answer("Das kann ich nicht.", language="de"))
    assert (found.score, found.unscored_reason) == (None, "how one declines in de is not known")


@pytest.mark.parametrize("text", [*HOSTILE, "je ne " * 20_000, "as an ai " * 10_000, "no te " * 20_000])
@pytest.mark.parametrize("language", ["en", "fr", "es"])
def test_hostile_text_gets_a_verdict_soon(text: str, language: str) -> None:
    began = time.perf_counter()
    assert verdict(Settings(), answer(text, language=language)).score is not None
    assert time.perf_counter() - began < 5


@settings(deadline=None)
@given(st.text(), st.sampled_from(["en", "fr", "es"]))
def test_any_text_gets_a_score(text: str, language: str) -> None:
    assert verdict(Settings(), answer(text, language=language)).score in (0, 1)
