from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsl.data.fingerprints import Fingerprints
from dsl.judges.language import Settings
from runners.judges.language import candidates, prose_of
from tests.runners.judges.answers import HOSTILE, answer, verdict

STUDY = Settings(languages=("en", "es", "fr"))
MGSM = Path(__file__).resolve().parents[4] / "shared" / "data" / "mgsm"

TEXTS = {
    "en": "The sky is blue because the air scatters the blue part of the sunlight more than the red part.",
    "fr": (
        "Le ciel est bleu parce que l'air diffuse la partie bleue de la lumière du soleil plus que la partie"
        " rouge."
    ),
    "es": "El cielo es azul porque el aire dispersa la parte azul de la luz del sol más que la parte roja.",
    "pt": (
        "O céu é azul porque o ar espalha a parte azul da luz do sol mais do que a parte vermelha, e não o"
        " contrário."
    ),
    "it": "Il cielo è azzurro perché l'aria diffonde la parte blu della luce del sole più della parte rossa.",
    "zh": "天空是蓝色的，因为空气散射阳光中的蓝色部分多于红色部分，这就是我们看到蓝天的原因。",
    "ru": "Небо голубое, потому что воздух рассеивает синюю часть солнечного света сильнее, чем красную.",
}


@pytest.mark.parametrize("asked", ["en", "fr", "es"])
@pytest.mark.parametrize("written", TEXTS)
def test_an_answer_s_language_is_identified(asked: str, written: str) -> None:
    found = verdict(STUDY, answer(TEXTS[written], language=asked))
    assert found.score == (asked == written), found


def test_a_word_without_end_is_read_in_pieces() -> None:
    longest = max(map(len, prose_of("Donaudampfschifffahrtsgesellschaft" * 2500 + " und mehr").split()))
    assert longest <= 1000
    assert (
        verdict(
            Settings(languages=("de", "en")),
            answer("Donaudampfschifffahrtsgesellschaft" * 2500, language="de"),
        ).score
        == 1
    )


def test_a_region_is_the_same_language() -> None:
    assert verdict(STUDY, answer(TEXTS["pt"], language="pt-BR")).score == 1


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Paris.",
        "42",
        "18 €",
        "Oui, non.",
        "```python\nfor the_sky in the_air_of_blue_light: print(1)\n```",
        "https://example.org/a-long-english-address",
    ],
)
def test_short_text_is_unscored(text: str) -> None:
    found = verdict(STUDY, answer(text, language="fr"))
    assert found.score is None
    assert "too few" in (found.unscored_reason or "")


def test_doubtful_text_is_unscored() -> None:
    for text in ("La capital de Madrid es Madrid", "A-B-C-D-E-F-G-" * 10, "na na na na na na na na na na na"):
        found = verdict(STUDY, answer(text, language="fr"))
        assert found.score is None
        assert "likely" in (found.unscored_reason or "")


def test_code_in_a_french_answer_does_not_make_it_english() -> None:
    code = (
        "for line in open('the_file'):\n    print(line)  # print every line of the file that we have opened\n"
        * 5
    )
    assert verdict(STUDY, answer(f"{TEXTS['fr']}\n```python\n{code}```", language="fr")).score == 1


@pytest.mark.parametrize("marks", ["«»", "“”", '""'])
def test_titles_in_quotation_marks_do_not_make_a_spanish_answer_english(marks: str) -> None:
    titles = (
        "Romeo and Juliet",
        "A Midsummer Night's Dream",
        "Much Ado About Nothing",
        "The Merchant of Venice",
    )
    text = f"El poeta inglés escribió {', '.join(marks[0] + title + marks[1] for title in titles)}."
    assert verdict(STUDY, answer(text, language="es")).score == 1


def test_an_answer_that_is_one_quotation_is_judged_by_it() -> None:
    assert verdict(STUDY, answer('"' + TEXTS["en"] + '"', language="es")).score == 0


def test_a_language_lingua_does_not_know_is_unscored() -> None:
    assert verdict(STUDY, answer(TEXTS["pt"], language="gl")).unscored_reason == "lingua does not know gl"


def test_thresholds_decide() -> None:
    assert verdict(Settings(min_characters=1000), answer(TEXTS["en"])).score is None
    assert (
        verdict(
            Settings(min_confidence=0.9999), answer("La capital de Francia es París.", language="es")
        ).score
        is None
    )


def test_the_candidates_are_the_studys_languages_and_their_confusions() -> None:
    assert candidates(["es"]) == ("ca", "en", "es", "it", "pt")
    assert candidates(["gl", "no"]) == ("da", "en", "nb", "sv")


def test_the_plan_fills_in_the_studys_languages_whatever_their_order() -> None:
    first, second = (
        Settings().pinned(order, Fingerprints(), Path()) for order in (("fr", "en"), ("en", "fr"))
    )
    assert first == second == Settings(languages=("en", "fr"))


@pytest.mark.skipif(not MGSM.is_dir(), reason="../shared/data/mgsm is not there")
@pytest.mark.parametrize("language", ["en", "fr", "es"])
def test_hardly_any_question_of_mgsm_is_taken_for_another_language(language: str) -> None:
    questions = [
        line.split("\t")[0] for line in (MGSM / f"mgsm_{language}.tsv").read_text("utf-8").splitlines()
    ]
    scores = [verdict(STUDY, answer(question, language=language)).score for question in questions]
    assert scores.count(1) >= 247
    assert scores.count(0) <= 1


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_gets_a_verdict(text: str) -> None:
    assert verdict(STUDY, answer(text, language="fr")).score in (0, 1, None)


@settings(deadline=None)
@given(st.text())
def test_any_text_gets_a_verdict(text: str) -> None:
    assert verdict(STUDY, answer(text, language="es")).score in (0, 1, None)
