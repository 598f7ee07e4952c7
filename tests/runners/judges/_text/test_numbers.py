from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runners.judges._text.numbers import FORMATS, last_number

STYLES = {
    "en": [(",", ".")],
    "fr": [(" ", ","), ("\u202f", ","), ("\u00a0", ",")],
    "es": [(".", ","), (" ", ","), ("\u202f", ",")],
    "de": [(".", ","), ("\u202f", ",")],
    "pt": [(".", ","), (" ", ",")],
    "it": [(".", ",")],
    "ca": [(".", ",")],
    "eu": [(".", ",")],
    "ja": [(",", ".")],
}
SENTENCES = [
    "{}",
    "= {}.",
    "**{}**",
    "$ {}",
    "The answer is {} €!",
    "\\boxed{{{}}}",
    "x: {}\n\n",
    "({})",
    "{} %",
    "« {} »",
    "答えは{}です。",
]


def written(number: Decimal, group: str, decimal: str) -> str:
    """A number as one of the languages writes it."""
    return f"{number:,f}".replace(",", "G").replace(".", decimal).replace("G", group)


@settings(deadline=None)
@given(
    st.sampled_from([(language, *style) for language, styles in STYLES.items() for style in styles]),
    st.decimals(min_value=-(10**9), max_value=10**9, places=2) | st.integers(-(10**12), 10**12).map(Decimal),
    st.sampled_from(SENTENCES),
)
def test_a_number_written_in_a_languages_own_way_is_read_back(
    style: tuple[str, str, str], number: Decimal, sentence: str
) -> None:
    language, group, decimal = style
    assert last_number(sentence.format(written(number, group, decimal)), language) == number


@pytest.mark.parametrize(
    ("text", "language", "number"),
    [
        ("18.", "en", "18"),
        ("1,234", "en", "1234"),
        ("1,234", "fr", "1.234"),
        ("1.234", "en", "1.234"),
        ("1.234", "es", "1234"),
        ("0.125", "es", "0.125"),
        ("0,125", "en", "0.125"),
        ("7.5", "fr", "7.5"),
        ("80,000.50", "fr", "80000.50"),
        ("80.000,50", "en", "80000.50"),
        ("1.234.567", "en", "1234567"),
        ("$.50", "en", "0.5"),
    ],
)
def test_what_could_mean_two_things_means_what_the_language_says(
    text: str, language: str, number: str
) -> None:
    assert last_number(text, language) == Decimal(number)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("-5", "-5"),
        ("−5 °C", "-5"),
        ("–5 °C", "-5"),
        ("気温は－５度", "-5"),
        ("2010–2015", "2015"),
        ("-$5", "-5"),
        ("$-5", "-5"),
        ("16-3", "3"),
        ("pages 10–20", "20"),
        ("(3)-2", "2"),
        ("- 5 eggs", "5"),
    ],
)
def test_a_minus_is_a_sign_only_where_it_begins_a_number(text: str, number: str) -> None:
    assert last_number(text, "en") == Decimal(number)


@pytest.mark.parametrize(
    ("text", "number"),
    [("3/4", "0.75"), ("2 1/2", "2.5"), ("8½", "8.5"), ("½", "0.5"), ("-1/4", "-0.25"), ("1/0", "1")],
)
def test_fractions_are_read(text: str, number: str) -> None:
    assert last_number(text, "en") == Decimal(number)


@pytest.mark.parametrize(
    ("text", "language", "number"),
    [
        ("71, 92, 100", "en", "100"),
        ("71,92,100", "fr", "100"),
        ("version 1.2.3", "en", "3"),
        ("en 2020 150 000 euros", "fr", "150000"),
        ("on 12/05/2020", "en", "2020"),
        ("6 * 3 = 18 m²", "en", "18"),
        ("18 kg of CO2", "en", "18"),
        ("16 eggs.\n18", "fr", "18"),
    ],
)
def test_the_last_of_several_numbers_is_read(text: str, language: str, number: str) -> None:
    assert last_number(text, language) == Decimal(number)


def test_no_digits_are_no_number() -> None:
    assert last_number("eighteen, or CO2", "en") is None
    assert last_number("", "fr") is None


@settings(deadline=None)
@given(st.text(alphabet="0123456789.,/ -−\u00a0\u202f½$€()a\n٣"), st.sampled_from(sorted(FORMATS)))
def test_no_text_upsets_the_reader(text: str, language: str) -> None:
    found = last_number(text, language)
    assert found is None or found.is_finite()
