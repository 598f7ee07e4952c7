"""Where a stop string ends a text: the same for models decoded here and for servers."""

from collections.abc import Sequence


def cut_at_stop(text: str, stop_strings: Sequence[str]) -> tuple[str, str | None]:
    """The text before the first stop string in it and that stop string; of several at one place, the longest."""
    found = [(text.index(stop), -len(stop), stop) for stop in stop_strings if stop in text]
    if not found:
        return text, None
    at, _, stop = min(found)
    return text[:at], stop
