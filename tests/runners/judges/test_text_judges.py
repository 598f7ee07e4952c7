"""`contains`, `exact`, `numeric`, `empty`, `length`: judges that read the text and the item alone."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runners.judges import contains, empty, exact, length, numeric
from tests.runners.judges.answers import HOSTILE, answer, verdict, verdicts

MGSM = Path(__file__).resolve().parents[4] / "shared" / "data" / "mgsm"
ALL = (contains.Settings(), exact.Settings(), numeric.Settings(), empty.Settings(), length.Settings())


@pytest.mark.parametrize(
    ("text", "answers", "score"),
    [
        ("The capital is PARIS.", ["Paris"], 1),
        ("C'est l'été à Québec", ["quebec"], 1),
        ("La respuesta es «dos».", ["2", "dos"], 1),
        ("una dosis", ["dos"], 0),
        ("in 1988", ["8"], 0),
        ("8.5", ["8"], 0),
        ("London", ["Paris"], 0),
        ("", ["Paris"], 0),
    ],
)
def test_contains_finds_whole_words(text: str, answers: list[str], score: float) -> None:
    assert verdict(contains.Settings(), answer(text, answers=answers)).score == score


@pytest.mark.parametrize(("text", "score"), [(" paris!\n", 1), ("PÂRIS", 1), ("It is Paris", 0), ("", 0)])
def test_exact_wants_the_answer_and_nothing_else(text: str, score: float) -> None:
    assert verdict(exact.Settings(), answer(text, answers=["Paris"])).score == score


@pytest.mark.parametrize("judge", [contains.Settings(), exact.Settings()])
@pytest.mark.parametrize(
    ("language", "text", "accepted", "score"),
    [
        ("hi", "फल", "फूल", 0),
        ("bn", "কলা", "কালো", 0),
        ("ta", "பல்", "பால்", 0),
        ("th", "ตา", "ตี", 0),
        ("ar", "سَمَكٌ", "سمك", 1),
        ("he", "סֵפֶר", "ספר", 1),
        ("vi", "phơ\u0309", "phở", 1),
        ("en", "👎", "👎", 1),
        ("en", "👍", "👎", 0),
        ("en", "12", "-12", 0),
        ("en", "−12", "-12", 1),
    ],
)
def test_words_are_compared_as_their_script_writes_them(
    judge, language: str, text: str, accepted: str, score: float
) -> None:
    assert verdict(judge, answer(text, language=language, answers=[accepted])).score == score


@pytest.mark.parametrize("judge", [contains.Settings(), exact.Settings()])
def test_an_item_whose_accepted_answers_say_nothing_is_unscored(judge) -> None:
    found = verdict(judge, answer("Paris 18", answers=["", "?!"]))
    assert found.score is None
    assert "accepted answer" in (found.unscored_reason or "")


@pytest.mark.parametrize(
    ("text", "language", "score"),
    [
        ("He sells 16 - 3 - 4 = 9 eggs, so $18.", "en", 1),
        ("Elle gagne 18,00 $.", "fr", 1),
        ("18 eggs, not 17", "en", 0),
        ("Sie verdient 18,00 €.", "de", 1),
        ("答えは18です。", "ja", 1),
        ("合計は1,018ではなく１８ドルです。", "ja", 1),
        ("気温は-18度です。", "ja", 0),
        ("no idea", "en", 0),
    ],
)
def test_numeric_compares_the_last_number(text: str, language: str, score: float) -> None:
    assert verdict(numeric.Settings(), answer(text, language=language, answers=["18"])).score == score


def test_accepted_numbers_are_read_in_the_format_the_study_names() -> None:
    asked = answer("Il y en a 2 125.", language="fr", answers=["2,125"])
    assert verdict(numeric.Settings(), asked).score == 1
    assert verdict(numeric.Settings(answers_language=None), asked).score == 0
    assert (
        verdict(
            numeric.Settings(answers_language="fr"), answer("2.125", language="en", answers=["2,125"])
        ).score
        == 1
    )


@pytest.mark.parametrize("accepted", [["Paris"], ["eighteen", "H2O"], [], ["?!"]])
def test_numeric_leaves_out_items_whose_accepted_answers_hold_no_number(accepted: list[str]) -> None:
    assert verdicts(numeric.Settings(), answer("It is 18.", answers=accepted)) == []
    assert len(verdicts(numeric.Settings(), answer("It is 18.", answers=[*accepted, "18"]))) == 1


def test_a_language_whose_numbers_are_not_known_is_unscored() -> None:
    found = verdict(numeric.Settings(), answer("18", language="bn", answers=["18"]))
    assert (found.score, found.unscored_reason) == (None, "the number format of bn is not known")


@pytest.mark.skipif(not MGSM.is_dir(), reason="../shared/data/mgsm is not there")
@pytest.mark.parametrize(
    ("language", "sentence", "group"),
    [
        ("en", "So it is ${}.", ","),
        ("fr", "Donc {} $.", " "),
        ("fr", "Donc {}\u202f$.", "\u202f"),
        ("es", "Son {} en total.", "."),
        ("es", "= {}", " "),
    ],
)
def test_every_gold_answer_of_mgsm_is_recognised_in_a_sentence(
    language: str, sentence: str, group: str
) -> None:
    rows = [line.split("\t")[1] for line in (MGSM / f"mgsm_{language}.tsv").read_text("utf-8").splitlines()]
    assert len(rows) == 250
    for gold in rows:
        said = sentence.format(f"{int(gold.replace(',', '')):,}".replace(",", group))
        assert verdict(numeric.Settings(), answer(said, language=language, answers=[gold])).score == 1, said


@pytest.mark.parametrize(
    ("text", "score"),
    [
        ("", 0),
        (" \n\t", 0),
        ("...", 0),
        ("```\n```", 0),
        ("\u200b\ufeff\u3164", 0),
        ("\ufffd", 0),
        ("a", 1),
        ("8", 1),
        ("👍", 1),
        ("是", 1),
    ],
)
def test_empty_is_an_answer_of_nothing_but_space_and_punctuation(text: str, score: float) -> None:
    assert verdict(empty.Settings(), answer(text)).score == score


def test_length_counts_an_accented_letter_once_however_it_is_encoded() -> None:
    assert (
        verdict(length.Settings(), answer("été")).score
        == verdict(length.Settings(), answer("e\u0301te\u0301")).score
        == 3
    )


@pytest.mark.parametrize("judge", ALL, ids=lambda judge: judge.judge)
@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_gets_a_verdict(judge, text: str) -> None:
    found = verdict(judge, answer(text, answers=["18", "Paris"]))
    assert found.score is not None
    assert found.aspect == judge.judge


@settings(deadline=None)
@given(
    st.text(),
    st.sampled_from(ALL),
    st.sampled_from(["en", "fr", "es"]),
    st.lists(st.text(), min_size=1, max_size=2),
)
def test_any_text_gets_a_verdict_that_can_be_written_down(
    text: str, judge, language: str, answers: list[str]
) -> None:
    found = verdict(judge, answer(text, language=language, answers=[*answers, "18"]))
    assert (found.score is None) == (found.unscored_reason is not None)
    assert type(found).model_validate_json(found.model_dump_json()) == found
