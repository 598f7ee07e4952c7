"""Instructions on the answer's form: lists, sections, highlights, titles, JSON, set phrases."""

import json
import re
from collections.abc import Mapping
from typing import Any

_PHRASES = {
    "en": ("My answer is yes.", "My answer is no.", "My answer is maybe."),
    "fr": ("Oui.", "Non.", "Peut-être."),
    "es": ("Sí.", "No.", "Quizás."),
    "ja": ("はい、そうです。", "いいえ、違います。", "どちらとも言えません。"),
}
_BULLET = {
    "en": re.compile(r"\s*(?:\*(?!\*)|-)"),
    "fr": re.compile(r"\s*(?:\*(?!\*)|-)"),
    "es": re.compile(r"\s*\*(?!\*)"),
}
_TITLE = {"en": ("<<", ">>"), "fr": ("##", "##"), "es": ("<<", ">>"), "ja": ("『", "』")}
_FENCE = re.compile(r"\A```(?:json)?|```\Z", re.IGNORECASE)


def number_bullet_lists(text: str, kwargs: Mapping[str, Any], language: str) -> bool:
    """Exactly so many bullets: lines that begin with `*` or, outside Spanish, with `-`."""
    return (
        sum(_BULLET[language].match(line) is not None for line in text.split("\n")) == kwargs["num_bullets"]
    )


def number_highlighted_sections(text: str, kwargs: Mapping[str, Any], language: str) -> bool:
    """Require at least so many passages within a line between `*` and `*` or between `**` and `**`."""
    found = [*re.findall(r"\*([^\n*]*)\*", text), *re.findall(r"\*\*([^\n*]*)\*\*", text)]
    return sum(map(bool, map(str.strip, found))) >= kwargs["num_highlights"]


def multiple_sections(text: str, kwargs: Mapping[str, Any], language: str) -> bool:
    """At least so many sections, each opened by the given word and a number, such as `SECTION 2`."""
    return len(re.findall(rf"{re.escape(kwargs['section_spliter'])}\s?\d+", text)) >= kwargs["num_sections"]


def title(text: str, kwargs: Mapping[str, Any], language: str) -> bool:
    """A title in double angle brackets, in French in double hashes, in Japanese in `『』`."""
    opening, closing = _TITLE[language]
    # No regular expression: a text of a thousand `<` would take it a million steps.
    return any(
        line.partition(opening)[2].rpartition(closing)[0].strip("<>#『』 ") for line in text.split("\n")
    )


def json_format(text: str, kwargs: Mapping[str, Any], language: str) -> bool:
    """The whole answer is JSON; a fence of Markdown may stand around it."""
    try:
        json.loads(_FENCE.sub("", text.strip()).strip())
    except (ValueError, RecursionError):
        return False
    return True


def constrained_response(text: str, kwargs: Mapping[str, Any], language: str) -> bool:
    """One of the three phrases offered occurs."""
    return any(phrase in text for phrase in _PHRASES[language])


def no_comma(text: str, kwargs: Mapping[str, Any], language: str) -> bool:
    """No comma."""
    return "," not in text


def question_marks(text: str, kwargs: Mapping[str, Any], language: str) -> bool:
    """A Spanish question with words in it, between `¿` and `?`."""
    return _encloses("¿", "?", text)


def exclamation_marks(text: str, kwargs: Mapping[str, Any], language: str) -> bool:
    """A Spanish exclamation with words in it, between `¡` and `!`."""
    return _encloses("¡", "!", text)


def _encloses(opening: str, closing: str, text: str) -> bool:
    return any(part.partition(opening)[2].strip(opening).strip() for part in text.split(closing)[:-1])
