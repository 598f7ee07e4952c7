"""Words and sentences of a text."""

import re
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from punkt import PunktSentenceTokenizer

_MODELS = {"en": "english", "fr": "french", "es": "spanish"}

_FRENCH_ABBREVIATIONS = (
    "a.d adj apr av avr c.-à-d cap cf déc dr dre dres drs e.g env etc ex fév i.e j.-c j.c janv juil lt m mar"
    " mlle mme mr n.b nb nov oct p p-s p.-s p.p.s p.s p.v pr prof ps q.v resp rép sept svp tel tél v vol vs"
)
"""M-IFEval's list, added to Punkt's French model. Its entries with a last full stop or a space are left out:
Punkt never finds those."""

_NO_LETTERS, _CLOSING = ")\";}]*:@'({[", r"""["')\]}]+?(?:\s+|(?=--)|$)"""
"""Punctuation of NLTK's Punkt up to 3.9.1, which the published checkers used. Typographic quotes and
guillemets are letters to it: there is no boundary in `fin.« Oui`."""

_SPACED = re.compile(
    r"""
    [«»“”„‘’"`?!;@\#$%&*()\[\]{}<>] | '' | -- | \.{2,}  # always on their own
    | [:,](?!\d)                                      # 10:30 stays together
    | (?<=[^.])\.(?=[\])}>"'»”’ ]*\s*\Z)               # the full stop of the sentence
    """,
    re.VERBOSE,
)
_ELISION = re.compile(r"'(?!re|ve|ll|m|t|s|d|n)(?=\w\b)", re.IGNORECASE)
"""Before a single letter: `JUSQU'À` and `M'A` fall apart, `L'ÉCOLE` stays whole."""
_SUFFIX = re.compile(r"(?<=[^' ])('ll|'LL|'re|'RE|'ve|'VE|n't|N'T|'[sSmMdD]?)(?= )")
_RUN_TOGETHER = re.compile(
    r"\b(?:can(?=not\b)|gim(?=me\b)|gon(?=na\b)|got(?=ta\b)|lem(?=me\b)|wan(?=na\s)|d(?='ye\b)"
    r"|more(?='n\b))|(?<=\s)'t(?=(?:is|was)\b)",
    re.IGNORECASE,
)

_LIST_MARKER = re.compile(r"^[^\S\n]*(?:\d+\.|[-*])[^\S\n]*", re.MULTILINE)


def words(text: str) -> list[str]:
    """Runs of letters, digits and underscores, as IFEval counts words."""
    return re.findall(r"\w+", text)


def published_words(text: str) -> list[str]:
    """Words as NLTK's `word_tokenize` gives them, sentence by sentence: `IT'S` is two, `L'ÉCOLE` one,
    `L’ÉCOLE` three."""
    return [word for sentence in _punkt("en").tokenize(text) for word in _words_of(sentence)]


def tokens(text: str) -> list[str]:
    """Split a text at spaces and punctuation: `U.S.`, `arc-en-ciel` and `it's` are one word each."""
    found = (
        token.strip("*_.'’`-–—~=+|/\\")
        for token in re.findall(r"[^\s,;:@#$%&?!¿¡\"“”„«»‹›()\[\]{}<>…]+", text)
    )
    return [token for token in found if token]


def without_list_markers(text: str) -> str:
    """The text without the bullets and numbers that begin its lines."""
    return _LIST_MARKER.sub("", text)


def count_sentences(text: str, language: str) -> int:
    """Split a text at sentences as Punkt does (Kiss and Strunk 2006); numbers of a Spanish list are none."""
    return len(_punkt(language).tokenize(without_list_markers(text) if language == "es" else text))


def _words_of(sentence: str) -> list[str]:
    apart = " ".join(_SPACED.sub(r" \g<0> ", _ELISION.sub("' ", sentence)).split())
    return _RUN_TOGETHER.sub(r"\g<0> ", _SUFFIX.sub(r" \1", f" {apart} ")).split()


@cache
def _punkt(language: str) -> "PunktSentenceTokenizer":
    from punkt import LanguageVars, PunktParameters, PunktSentenceTokenizer, load_model

    more = PunktParameters(abbrev_types=set(_FRENCH_ABBREVIATIONS.split() if language == "fr" else ()))
    published = LanguageVars(non_word_chars=_NO_LETTERS, boundary_realignment_pattern=_CLOSING)
    rules = None if language == "es" else published  # the Spanish checker splits with another library
    return PunktSentenceTokenizer(load_model(_MODELS[language]).merged_with(more), rules=rules)
