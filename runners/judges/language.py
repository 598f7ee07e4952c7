"""`language`: is the answer in the language it was asked in? Identified by lingua.

lingua chooses among the study's languages and those they are usually confused with. The language of an answer
is that of most of its running words; code, markup, addresses and what stands in quotation marks do not count,
and garbled words count as the language they imitate. Where too few words are left, or no language is likely
enough, the judge abstains: identification fails on short text (lingua-py #226, #267). Marchisio et al., arXiv
2406.20052, call answers in another language "language confusion"; their line-level pass rate counts answers
with any line in another language, this judge those mainly in another one.
"""

import re
from collections.abc import Iterable, Iterator
from functools import cache
from typing import TYPE_CHECKING

from dsl.data.records import Verdict
from dsl.judges.contract import Reads
from dsl.judges.language import Settings
from dsl.values import Language
from runners.judges.contract import Answer, Tools

if TYPE_CHECKING:
    from lingua import Language as Lingua
    from lingua import LanguageDetector

READS: tuple[Reads, ...] = ("text", "language")

CONFUSIONS = {
    "ca": ("es", "fr", "pt"),
    "da": ("nb", "sv"),
    "de": ("nl",),
    "en": ("de", "nl"),
    "es": ("ca", "it", "pt"),
    "eu": ("es", "fr"),
    "fr": ("ca", "it"),
    "it": ("es", "fr", "pt"),
    "nb": ("da", "sv"),
    "nl": ("de",),
    "pt": ("es", "it"),
    "sv": ("da", "nb"),
}
"""Languages that a language is mistaken for, or slid into by models trained on little of it. Others compete
with English only."""

_QUOTED = re.compile(r"«[^«»\n]{1,200}»|“[^“”\n]{1,200}”|\"[^\"\n]{1,200}\"")
_NOT_PROSE = re.compile(
    r"```.*?(?:```|\Z)|`[^`\n]*`|https?://\S+|www\.\S+|</?[A-Za-z][^<>]{0,200}>", re.DOTALL
)


_LONGEST_WORD = 1000
"""Letters. The time that lingua takes for a word grows with the square of its length."""


def judge(answers: Iterable[Answer], settings: Settings, tools: Tools) -> Iterator[Verdict]:
    for answer in answers:
        found, why = identify(answer.text, answer.example.language, settings)
        yield (
            answer.unscored("language", why)
            if found is None
            else answer.scored("language", float(found == base_of(answer.example.language)), reason=why)
        )


def identify(text: str, asked: Language, settings: Settings) -> tuple[str | None, str]:
    """Return a text's language, as lingua calls it, and the reason; or None and the reason for none."""
    if base_of(asked) not in known_languages():
        return None, f"lingua does not know {asked}"
    prose = prose_of(text)
    unquoted = _QUOTED.sub(" ", prose)
    if _letters(unquoted) >= settings.min_characters:  # a title or an example is quoted in its own language
        prose = unquoted
    letters = _letters(prose)
    if letters < settings.min_characters:
        return None, f"{letters} letters are too few to tell the language"
    found, confidence = _most_probable(prose, candidates((asked, *settings.languages)))
    # lingua rules languages out by their letters before it counts anything: is it another script?
    if confidence == 0:
        found, confidence = _most_probable(prose, tuple(sorted(known_languages())))
    if confidence < settings.min_confidence:
        return None, f"no language is likely enough: {found} comes first with {confidence:.2f}"
    return found, f"looks like {found} ({confidence:.2f})"


def prose_of(text: str) -> str:
    """Return the text without code, markup and addresses, which are English in any language.

    Words without end come in pieces.
    """
    words = _NOT_PROSE.sub(" ", text).split()
    return " ".join(
        word[at : at + _LONGEST_WORD] for word in words for at in range(0, len(word), _LONGEST_WORD)
    )


def _letters(text: str) -> int:
    return sum(map(str.isalpha, text))


def candidates(languages: Iterable[Language]) -> tuple[str, ...]:
    """Return the languages and those they are confused with, as far as lingua knows them.

    English is always among them, because models fall back to it.
    """
    codes = {base_of(code) for code in languages}
    near = {other for code in codes for other in CONFUSIONS.get(code, ())}
    return tuple(sorted((codes | near | {"en"}) & known_languages()))


def base_of(code: Language) -> str:
    """Return the language without its region; Norwegian is taken as Bokmål, as lingua calls it."""
    base = code.split("-")[0]
    return "nb" if base == "no" else base


def _most_probable(prose: str, among: tuple[str, ...]) -> tuple[str, float]:
    best = max(_detector(among).compute_language_confidence_values(prose), key=lambda one: one.value)
    return _codes()[best.language], best.value


@cache
def _codes() -> dict["Lingua", str]:
    """lingua's languages and their ISO 639-1 codes."""
    from lingua import Language as Lingua

    return {language: language.iso_code_639_1.name.lower() for language in Lingua.all()}


@cache
def known_languages() -> frozenset[str]:
    return frozenset(_codes().values())


@cache
def _detector(codes: tuple[str, ...]) -> "LanguageDetector":
    from lingua import LanguageDetectorBuilder

    return LanguageDetectorBuilder.from_languages(
        *(language for language, code in _codes().items() if code in codes)
    ).build()
