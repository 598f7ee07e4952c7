"""Instructions on how the answer begins and ends, and on what it is put together from."""

from collections.abc import Mapping
from typing import Any

_QUOTES = {
    "en": (('"', '"'),),
    "fr": (('"', '"'), ("'", "'"), ("«", "»")),
    "es": (('"', '"'),),
    "ja": (("「", "」"),),
}


def end_checker(text: str, kwargs: Mapping[str, Any], language: str) -> bool:
    """The answer ends with the phrase, large or small, closing quotes left out; in Spanish a full stop may be
    missing or added."""
    end, phrase = text.strip().strip('"').lower(), kwargs["end_phrase"].lower()
    return (
        end.removesuffix(".").endswith(phrase.removesuffix(".")) if language == "es" else end.endswith(phrase)
    )


def quotation(text: str, kwargs: Mapping[str, Any], language: str) -> bool:
    """The whole answer stands in double quotes; in French, single ones and guillemets will do, and Japanese
    has `「」`."""
    whole = text.strip()
    return len(whole) > 1 and any(
        whole.startswith(opening) and whole.endswith(closing) for opening, closing in _QUOTES[language]
    )


def repeat_prompt(text: str, kwargs: Mapping[str, Any], language: str) -> bool:
    """The answer begins with the prompt, word for word, large or small."""
    return text.strip().lower().startswith(kwargs["prompt_to_repeat"].lower())


def two_responses(text: str, kwargs: Mapping[str, Any], language: str) -> bool:
    """Two different answers, divided by `******`; a divider may open or close the text as well."""
    responses = [response.strip() for response in text.split("******")]
    given = [response for response in responses if response]
    return len(given) == 2 and given[0] != given[1] and all(responses[1:-1])
