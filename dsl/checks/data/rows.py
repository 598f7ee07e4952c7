"""Checks of the rows of one data set in one language, from a file or from the hub."""

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from dsl.checks.fault import Fault
from dsl.data.normalise import composed, in_context
from dsl.data.records import Example
from dsl.data.source import Columns
from dsl.messages import Path
from dsl.values import Language, Name

TEXTS = ("instruction", "response", "chosen", "rejected")
"""Fields of an example that are asked or learnt from: by the column that is named, or as rows have them."""

_MARK = re.compile(
    r"<(?:\|\w+\|>|</?SYS>>|(?:start|end)_of_turn>)|\[/?INST\]|### (?:Instruction|Response|Human|Assistant):"
    r"|\n\n(?:Human|Assistant):"
)
"""Begin or end of a turn, as chat templates, Alpaca's prompt and transcripts write it."""
_IN_MARKS = ("<", "[", "#", "Human:", "Assistant:")
"""One of these is in every mark, and a text is soon searched for them."""

_WRITTEN_LIST = re.compile(
    r"""\s*(?:\[\s*(["']).*\1\s*\]|\(\s*(["']).*\2\s*,?\s*\)|\{\s*(["'])\w+\3\s*:\s*(?:array\()?\[.*\})\s*""",
    re.DOTALL,
)
"""Several texts, or a mapping of lists, as JSON or Python write them."""


def row_faults(
    name: Name, language: Language, rows: Sequence[Example], columns: Columns, asked: bool = False
) -> Iterator[Fault]:
    """Check the ids, the instructions and the answers to learn from.

    Args:
        name: The data set's.
        asked: The rows are asked, so that a question that stands twice counts twice.
    """
    at, found = ("data", name, "columns"), _Found(language, len(rows))
    if without := [str(n) for n, row in enumerate(rows, 1) if not row.item.strip()]:
        why = found.rows("without an id", without)
        yield Fault(
            (*at, "item"), f"{why}. Give each an id; with `item: {{row_number: true}}` it is the row's number"
        )
    items = Counter(row.item for row in rows)
    if doubles := [item for item, n in items.items() if n > 1 and item.strip()]:
        yield Fault((*at, "item"), f"in `{language}` these items occur more than once: {first_ten(doubles)}")
    if alike := _groups((composed(item), repr(item)) for item in items):
        why = (
            f"in `{language}` these ids differ only in spaces or in how their characters are composed, and"
            f" count as different items: {first_ten(' and '.join(group) for group in alike)}"
        )
        yield Fault((*at, "item"), why, "warning")
    named = [one for one in TEXTS if getattr(columns, one) is not None or any(getattr(r, one) for r in rows)]
    empty = [row.item for row in rows if not _says(row.instruction)]
    if empty and "instruction" in named:
        why = f"in `{language}` these items have an empty instruction: {first_ten(empty)}"
        yield Fault((*at, "instruction"), why)
    if asked and (again := _groups((in_context(row), row.item) for row in rows)):
        why = found.rows("that ask what another item asks", [item for group in again for item in group[1:]])
        same = first_ten(" = ".join(group) for group in again)
        yield Fault((*at, "instruction"), f"{why}. n counts each of them; keep one of {same}", "warning")
    for column in (one for one in named if one != "instruction"):
        if missing := [row.item for row in rows if not _says(getattr(row, column) or "")]:
            why = found.rows(f"without a text in `{column}`, of which nothing is learnt", missing)
            yield Fault((*at, column), why, "warning" if len(missing) < len(rows) else "error")
    if marked := [(row.item, *found_in) for row in rows if (found_in := _mark(row)) is not None]:
        why = found.rows("with marks of a chat template in their text", [item for item, _, _ in marked])
        item, column, mark = marked[0]
        yield Fault(
            at,
            f"{why}: first {mark!a} in the {column} of {item}. A model reads and learns them as words. Save"
            " the rows without them, or read a text of several turns as `{column: …, transcript: {human:"
            ' "Human:", assistant: "Assistant:"}}`',
            "warning",
            "key",
        )
    if written := [row.item for row in rows if any(map(_WRITTEN_LIST.fullmatch, row.answers))]:
        why = found.rows("whose answer is a list written as one text, brackets and all", written)
        yield Fault((*at, "answers"), f"{why}. Save the column as a list, in JSON or Parquet", "warning")
    if equal := [row.item for row in rows if _is_equal(row)]:
        why = found.rows("with equal answers in `chosen` and `rejected`, of which nothing is learnt", equal)
        yield Fault((*at, "rejected"), why, "warning")
    yield from _pairs_again(rows, found, (*at, "chosen"))


def _pairs_again(rows: Sequence[Example], found: "_Found", at: Path) -> Iterator[Fault]:
    """Tell pairs of one question that stand twice, or once more with the answers exchanged."""
    seen: dict[tuple[str, ...], str] = {}
    twice: list[tuple[str, str]] = []
    exchanged: list[tuple[str, str]] = []
    for row in rows:
        if not (row.chosen and row.rejected) or row.chosen == row.rejected:
            continue
        asked = (*(turn.content for turn in row.turns), row.instruction)
        if (again := seen.setdefault((*asked, row.chosen, row.rejected), row.item)) != row.item:
            twice.append((again, row.item))
        elif (other := seen.get((*asked, row.rejected, row.chosen))) is not None:
            exchanged.append((other, row.item))
    for which, pairs in (
        ("with the pair of another row, which counts twice in the loss", twice),
        ("with the pair of another row, the better and the worse answer exchanged", exchanged),
    ):
        if pairs:
            why = found.rows(which, [item for _, item in pairs])
            same = first_ten(" = ".join(pair) for pair in pairs)
            yield Fault(at, f"{why}. Keep one of {same}", "warning")


def _says(text: str) -> bool:
    """Test whether a text has a character that is seen: no space and none of format, as U+200B."""
    bare = text.strip()
    return bool(bare) and (bare.isascii() or any(_is_seen(character) for character in bare))


def _is_seen(character: str) -> bool:
    return not character.isspace() and unicodedata.category(character) not in ("Cf", "Cc")


class _Found(NamedTuple):
    language: Language
    n_rows: int

    def rows(self, which: str, items: Sequence[str]) -> str:
        """Count rows in a sentence, with the first ten."""
        return f"in `{self.language}` rows {which}: {len(items)} of {self.n_rows} ({first_ten(items)})"


def _mark(row: Example) -> tuple[str, str] | None:
    """The first mark of a turn in a row's texts, as (column, mark)."""
    texts = [("messages", turn.content) for turn in row.turns]
    for column, text in [*texts, *((name, getattr(row, name)) for name in TEXTS)]:
        if text and any(map(text.__contains__, _IN_MARKS)) and (mark := _MARK.search(text)) is not None:
            return column, mark[0]
    return None


def _is_equal(row: Example) -> bool:
    return bool((row.chosen or "").strip()) and row.chosen == row.rejected


def _groups(pairs: Iterable[tuple[str, str]]) -> list[list[str]]:
    """Lists of different values that share a key, the empty key's left out."""
    found: dict[str, dict[str, None]] = defaultdict(dict)
    for key, value in pairs:
        found[key][value] = None
    return [list(values) for key, values in found.items() if key and len(values) > 1]


def first_ten(items: Iterable[str]) -> str:
    """Items as they are, the first ten, and how many more there are."""
    every = list(items)
    return ", ".join(every[:10]) + (f" and {len(every) - 10} more" if len(every) > 10 else "")
