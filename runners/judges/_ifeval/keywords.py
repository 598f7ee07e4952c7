"""Instructions on words and letters that must or must not occur."""

import re
from collections.abc import Mapping
from string import ascii_lowercase
from typing import Any

from runners.judges._ifeval.arguments import Outcome

_TU = re.compile(r"\b(?:tu|te|toi|ton|ta|tes)\b|\bt['’]\b", re.IGNORECASE)


def existence(text: str, kwargs: Mapping[str, Any], language: str) -> bool:
    """Every keyword occurs, be it inside a longer word."""
    return all(_occurrences(keyword, text) for keyword in kwargs["keywords"])


def frequency(text: str, kwargs: Mapping[str, Any], language: str) -> bool:
    """A keyword occurs at least or fewer than so many times, be it inside longer words."""
    return kwargs["relation"](_occurrences(kwargs["keyword"], text), kwargs["frequency"])


def forbidden_words(text: str, kwargs: Mapping[str, Any], language: str) -> bool:
    """None of the words occurs as a whole word."""
    return not any(
        re.search(rf"\b{re.escape(word)}\b", text, re.IGNORECASE) for word in kwargs["forbidden_words"]
    )


def letter_frequency(text: str, kwargs: Mapping[str, Any], language: str) -> bool:
    """A letter occurs at least or fewer than so many times, large or small. An accented letter is another
    letter."""
    return kwargs["let_relation"](text.lower().count(kwargs["letter"].lower()), kwargs["let_frequency"])


def letter_frequency_or_any(text: str, kwargs: Mapping[str, Any], language: str) -> bool | Outcome:
    """`letter_frequency` as IFEval publishes it: where anything but a letter from a to z is asked for (`#`,
    `!`), a letter is drawn at random. Here the verdict is that of most of the 26 letters, and not followed
    where they are equally divided.
    """
    if kwargs["letter"].lower() in ascii_lowercase and len(kwargs["letter"]) == 1:
        return letter_frequency(text, kwargs, language)
    n_followed = sum(
        letter_frequency(text, {**kwargs, "letter": letter}, language) for letter in ascii_lowercase
    )
    followed = n_followed > len(ascii_lowercase) / 2
    share = n_followed if followed else len(ascii_lowercase) - n_followed
    return Outcome(followed, f"for {share} of {len(ascii_lowercase)} letters drawn for {kwargs['letter']!r}")


def informal_address(text: str, kwargs: Mapping[str, Any], language: str) -> bool:
    """French `tutoiement`: one of `tu, te, t', toi, ton, ta, tes` occurs."""
    return _TU.search(text) is not None


def number_placeholders(text: str, kwargs: Mapping[str, Any], language: str) -> bool:
    """At least so many placeholders in square brackets, such as `[address]`, each within a line."""
    # What ends in `]` and holds a `[` before it, line by line: no regular expression, which a text of `[`
    # alone would slow down.
    found = sum("[" in part for line in text.split("\n") for part in line.split("]")[:-1])
    return found >= kwargs["num_placeholders"]


def postscript(text: str, kwargs: Mapping[str, Any], language: str) -> bool:
    """The postscript's marker occurs, large or small; a space may follow each of its dots."""
    marker = r"\.\s?".join(map(re.escape, kwargs["postscript_marker"].lower().split(".")))
    return re.search(marker, text.lower()) is not None


def _occurrences(keyword: str, text: str) -> int:
    return len(re.findall(re.escape(keyword), text, re.IGNORECASE))
