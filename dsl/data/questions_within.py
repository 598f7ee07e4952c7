"""Questions within a longer text: behind a label, as `Question: … Answer:`, or below an instruction."""

import re
from collections.abc import Collection, Iterator

from dsl.data.normalise import N_FIRST, beginning, normalise

N_LEAST = 10
"""Characters of a normalised text from which on it is looked for within others: shorter ones say little."""

_LABEL = re.compile(r"\s*(?:[#*]+\s*)?(?:[^\W\d_][\w '’-]{0,23}?\s?[:：]|\(?\d{1,3}[.)](?=\s))\**\s*")
"""Begin of a line that says what follows: `Question:`, `### Eingabe:`, `2.`."""
_FIRST = re.compile(r"[\W_]*(\w{1,3})")


def between_labels(text: str) -> str | None:
    """Return a question that stands between a label and one for its answer, without the two; else None."""
    lines = _lines(text)
    return _unlabelled("\n".join(lines)) if len(lines) < len(text.rstrip().split("\n")) else None


class Wanted:
    """Questions that are looked for, by how they begin: soon known to be in none of most texts."""

    def __init__(self, normalised: Collection[str]) -> None:
        """Take questions as `normalise` leaves them; too short ones are looked for in no text."""
        self._begin = {text[:N_FIRST] for text in normalised if len(text) >= N_LEAST}
        self._first = {found[1] for text in self._begin if (found := _FIRST.match(text))}

    def within(self, text: str) -> Iterator[str]:
        """Yield normalised parts of a text that begin as a question does: a line, a paragraph, or all from
        its first line on, each without labels."""
        for part in _parts(text):
            if part.isascii() and (
                (found := _FIRST.match(part)) is None or found[1].lower() not in self._first
            ):
                continue
            if beginning(part) in self._begin:
                yield normalise(part)


def _parts(text: str) -> Iterator[str]:
    if "\n" not in text:
        if ":" in text or "：" in text or text[:1].isdigit():
            yield _unlabelled(text)
        return
    lines = _lines(text)
    begins = True
    for n, line in enumerate(lines):
        said = _unlabelled(line)
        if not said:  # a paragraph begins below
            begins = True
            continue
        yield said
        if begins:
            end = next((at for at in range(n, len(lines)) if not lines[at].strip()), len(lines))
            for stop in {end, len(lines)} - {n + 1}:
                yield "\n".join([said, *lines[n + 1 : stop]])
        begins = False


def _lines(text: str) -> list[str]:
    """Lines of a text up to its last one that says more than a label."""
    lines = text.split("\n")
    while lines and not _unlabelled(lines[-1]):
        lines.pop()
    return lines


def _unlabelled(text: str) -> str:
    found = _LABEL.match(text)
    return text[found.end() :] if found else text.strip()
