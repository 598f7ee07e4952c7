import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runners.judges._text.words import holds, words


@pytest.mark.parametrize(
    ("written", "same"),
    [
        ("Élève", "eleve"),
        ("ŒUVRE", "oeuvre"),
        ("Straße", "STRASSE"),
        ("¡Hola, señor!", "hola senor"),
        ("e\u0301te\u0301", "été"),
        ("ﬁn", "fin"),
        ("3,14", "3.14"),
        ("l'eau", "L’eau"),
        ("A\u00a0B\u202fC", "a b c"),
        ("**Paris**", "paris"),
    ],
)
def test_case_accents_punctuation_and_spaces_make_no_difference(written: str, same: str) -> None:
    assert words(written) == words(same) != ()


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("in 1988", "8"),
        ("una dosis", "dos"),
        ("8.5 km", "8"),
        ("1,000", "1"),
        ("C++", "C"),
        ("8½", "81"),
        ("10²", "102"),
        ("Parisian", "Paris"),
    ],
)
def test_a_part_of_a_word_or_number_is_not_the_word(text: str, wanted: str) -> None:
    assert not holds(words(text), words(wanted))


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("L'eau est froide.", "eau"),
        ("(8)", "8"),
        ("答えは東京です", "東京"),
        ("the New York Times", "new york"),
        ("I like C++.", "c++"),
    ],
)
def test_words_are_found_beside_marks_and_in_scripts_without_spaces(text: str, wanted: str) -> None:
    assert holds(words(text), words(wanted))


@settings(deadline=None)
@given(st.text())
def test_words_of_words_are_the_same_words(text: str) -> None:
    found = words(text)
    assert words(" ".join(found)) == found
    assert all(word and word == word.strip() for word in found)


@settings(deadline=None)
@given(st.text(), st.text(alphabet="abcdéñ 12", min_size=1), st.text())
def test_what_stands_between_spaces_is_found(before: str, wanted: str, after: str) -> None:
    if words(wanted):
        assert holds(words(f"{before} {wanted} {after}"), words(wanted))
