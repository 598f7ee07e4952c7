"""Instructions on large and small letters, and on letters of one language: accents, cedilla and ligature,
tilde and dieresis."""

import re
import unicodedata
from collections.abc import Mapping
from typing import Any

from runners.judges._ifeval.arguments import Outcome
from runners.judges._ifeval.languages import is_in
from runners.judges._ifeval.words import published_words, tokens

_ACUTE = frozenset("áéíóú")


def all_capitals(text: str, kwargs: Mapping[str, Any], language: str) -> bool | Outcome:
    """In the instruction's language and without small letters.

    French and Spanish are identified from small letters, which the detector learnt from; English, as IFEval
    has it, from the capitals.
    """
    return text.isupper() and is_in(text if language == "en" else text.lower(), language)


def all_lowercase(text: str, kwargs: Mapping[str, Any], language: str) -> bool | Outcome:
    """In the instruction's language and without capitals."""
    return text.islower() and is_in(text, language)


def capital_word_frequency(text: str, kwargs: Mapping[str, Any], language: str) -> bool:
    """At least or fewer than so many words all in capitals; what a hyphen joins is one word.

    English and French are tokenized as by the published checkers, so that `L'ÉCOLE` is one and `L’ÉCOLE` two.
    """
    found = tokens(text) if language == "es" else published_words(text)
    return kwargs["capital_relation"](sum(map(str.isupper, found)), kwargs["capital_frequency"])


def forbidden_character(text: str, kwargs: Mapping[str, Any], language: str) -> bool:
    """A character, `ç` or `œ`, does not occur, large or small."""
    return kwargs["forbidden_char"].lower() not in text.lower()


def no_accents(text: str, kwargs: Mapping[str, Any], language: str) -> bool:
    """No letter carries a mark; cedilla and tilde are marks, a ligature is none."""
    return not any(map(unicodedata.combining, unicodedata.normalize("NFD", text)))


def accents(text: str, kwargs: Mapping[str, Any], language: str) -> bool:
    """Every given word that occurs, with whatever accents, is spelt as asked. A word that does not occur is
    not missed."""
    wanted = kwargs["word_to_accentuate"]
    found = re.findall(r"\w+", text.lower())
    return all(word == wanted.get(_bare(word), word) for word in found)


def no_digits(text: str, kwargs: Mapping[str, Any], language: str) -> bool:
    """No digit."""
    return re.search(r"\d", text) is None


def words_with_enie(text: str, kwargs: Mapping[str, Any], language: str) -> bool:
    """Exactly so many words with an `ñ`."""
    return _count_words_with("ñ", text) == kwargs["let_frequency"]


def words_with_dieresis(text: str, kwargs: Mapping[str, Any], language: str) -> bool:
    """Exactly so many words with a `ü`."""
    return _count_words_with("ü", text) == kwargs["let_frequency"]


def words_with_acute(text: str, kwargs: Mapping[str, Any], language: str) -> bool:
    """At least or at most so many words with a vowel that carries an acute accent, which Spanish calls
    `tilde`."""
    return kwargs["relation"](_count_words_with(_ACUTE, text), kwargs["num_words"])


def _count_words_with(letters: frozenset[str] | str, text: str) -> int:
    return sum(not set(letters).isdisjoint(token) for token in tokens(text.lower()))


def _bare(word: str) -> str:
    return "".join(
        letter for letter in unicodedata.normalize("NFKD", word) if not unicodedata.combining(letter)
    )
