"""Instructions on length: words, sentences, paragraphs."""

import re
from collections.abc import Mapping
from string import punctuation
from typing import Any

from runners.judges._ifeval.words import count_sentences, tokens, without_list_markers, words


def number_words(text: str, kwargs: Mapping[str, Any], language: str) -> bool:
    """At least or fewer than so many words. In Spanish, list markers are no words and what a hyphen joins is
    one."""
    found = len(tokens(without_list_markers(text))) if language == "es" else len(words(text))
    return kwargs["relation"](found, kwargs["num_words"])


def number_sentences(text: str, kwargs: Mapping[str, Any], language: str) -> bool:
    """At least or fewer than so many sentences."""
    return kwargs["relation"](count_sentences(text, language), kwargs["num_sentences"])


def number_paragraphs(text: str, kwargs: Mapping[str, Any], language: str) -> bool:
    """Exactly so many paragraphs, divided by `***`. A divider may open or close the text; two in a row leave
    a paragraph empty."""
    paragraphs = text.split("***")
    if not paragraphs[-1].strip():
        paragraphs.pop()
    if paragraphs and not paragraphs[0].strip():
        paragraphs.pop(0)
    return len(paragraphs) == kwargs["num_paragraphs"] and all(paragraph.strip() for paragraph in paragraphs)


def nth_paragraph_first_word(text: str, kwargs: Mapping[str, Any], language: str) -> bool:
    """Exactly so many paragraphs, divided by an empty line, and the nth begins with a given word, or in
    Spanish with given words."""
    paragraphs = [paragraph.strip() for paragraph in text.split("\n\n")]
    n: int = kwargs["nth_paragraph"]
    if sum(map(bool, paragraphs)) != kwargs["num_paragraphs"] or not 1 <= n <= kwargs["num_paragraphs"]:
        return False
    return _begins_with(paragraphs[n - 1], kwargs["first_word"].lower(), language)


def _begins_with(paragraph: str, first: str, language: str) -> bool:
    paragraph = paragraph.lower()
    if language == "es":
        bare = paragraph.translate(str.maketrans("", "", punctuation)).split()
        wanted = first.split()
        return bare[: len(wanted)] == wanted
    return re.match(rf"""['"]*{re.escape(first)}(?![^\s.,?!'"])""", paragraph) is not None
