"""Rows as examples, with the columns that a spec names.

The same reading serves the check of a spec (do items pair across languages?) and the `data` step.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from dsl.data.conversations import Dialogue, asked_in_turn, check_question, dialogue
from dsl.data.files import placed
from dsl.data.inner_rows import Row
from dsl.data.records import Example, Message
from dsl.data.references import selector_of
from dsl.data.selectors import Absent, json_at, language_at, language_in_file, text_at, texts_at
from dsl.data.source import Columns, Selector
from dsl.data.turns import Unusable
from dsl.values import Language

Told = dict[str, list[str]]
"""Notes on rows that were left out or lack something -> their items."""


@dataclass
class Reader:
    """Reader of the examples in one language, row by row, so that one pass of a file serves several.

    An item without a column of its own is the row's number.
    """

    columns: Columns
    language: Language
    limit: int | None
    where: str
    """The place of the rows, for errors about those that are of no file."""
    turn: int | None = None
    """From 1, picks one of several questions that are asked in turn."""
    told: Told = field(default_factory=dict[str, list[str]])
    """Filled with what a person must be told of rows."""
    languages: Counter[str] = field(default_factory=Counter[str])
    """Filled with the rows of each value of the language column."""
    n_taken: int = 0
    """Rows of the language so far."""
    has_reference: bool = False
    """True once a row had the column `reference`."""
    without_reference: Absent | None = None
    """The first row's lack of it."""

    @property
    def is_full(self) -> bool:
        """The limit is reached."""
        return self.limit is not None and self.n_taken >= self.limit

    def read(self, row: Row, number: int, at: str) -> Example | None:
        """Return the example of a row; None where it is of another language or asks nothing.

        Args:
            number: The row's, from 1.
            at: The row's place, for errors.

        Raises:
            DataError: the row lacks a named column, or holds something else than text there.
        """
        columns, language, told = self.columns, self.language, self.told
        if columns.language is not None:
            found = language_at(row, columns.language, number, at)
            self.languages[found] += 1
            if found != language_in_file(columns.language, language):
                return None
        self.n_taken += 1
        item = str(number) if columns.item is None else _text(row, columns.item, number, at) or ""
        try:
            said = _said(row, columns, number, at, self.turn)
        except Unusable as why:
            told.setdefault(str(why), []).append(item)
            return None
        for note in said.notes:
            told.setdefault(note, []).append(item)
        reference = None if columns.reference is None else selector_of(columns.reference, self.turn)
        return Example(
            item=item,
            language=language,
            turns=said.turns,
            instruction=said.instruction,
            response=said.response,
            chosen=said.chosen,
            rejected=said.rejected,
            answers=() if columns.answers is None else texts_at(row, columns.answers, number, at),
            reference=self._reference(row, reference, number, at) or None,
            category=_text(row, columns.category, number, at),
            extra={name: json_at(row, selector, number, at) for name, selector in columns.extra.items()},
        )

    def finish(self) -> None:
        """Raise Absent where not one of all rows has the column `reference`."""
        if self.without_reference is not None and not self.has_reference and not self.is_full:
            raise self.without_reference

    def _reference(self, row: Row, selector: Selector | None, number: int, at: str) -> str | None:
        """Read a row's reference, which some rows may have and others not, as those of MT-Bench."""
        try:
            found = _text(row, selector, number, at)
        except Absent as absent:
            self.without_reference = self.without_reference or absent
            return None
        self.has_reference = True
        return found


def examples(rows: Iterable[Row], reader: Reader) -> Iterator[Example]:
    """Rows as examples. Raises as `Reader.read` and, at the end, as `Reader.finish`."""
    for number, at, row in placed(rows, reader.where):
        if reader.is_full:
            return
        if (example := reader.read(row, number, at)) is not None:
            yield example
    reader.finish()


def _said(row: Row, columns: Columns, number: int, at: str, turn: int | None) -> Dialogue:
    if columns.turns:
        instruction = asked_in_turn(row, columns, turn or 1, number, at)
        columns = columns.model_copy(update={"instruction": columns.turns[(turn or 1) - 1]})
    else:
        check_question(row, columns, number, at)
        instruction = instruction_of(row, columns, number, at)
    said = dialogue(row, columns, instruction, number, at)
    if turn in (None, 1):
        return said
    before = [asked_in_turn(row, columns, one, number, at) for one in range(1, turn)]
    return said._replace(turns=(*said.turns, *[Message(role="user", content=text) for text in before]))


def instruction_of(row: Row, columns: Columns, number: int, at: str) -> str:
    """Return a row's instruction with its `input`.

    `number` is the row's, from 1; `at` says in errors which row it is.

    Raises:
        DataError: as `examples`.
    """
    instruction = _text(row, columns.instruction, number, at)
    below = _text(row, columns.input, number, at)
    return f"{instruction or ''}\n\n{below}" if below and below.strip() else instruction or ""


def _text(row: Row, selector: Selector | None, number: int, at: str) -> str | None:
    return None if selector is None else text_at(row, selector, number, at)
