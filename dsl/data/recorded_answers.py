"""Recorded answers: each row of a file with the example that it answers, or the reason why it answers none.

The check of a spec counts with the same reading that the `recorded` engine answers with.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from dsl.data.examples import instruction_of
from dsl.data.inner_rows import Row
from dsl.data.normalise import composed
from dsl.data.positions import check_role
from dsl.data.selectors import Absent, language_in_file, language_selector, name_of, pick, text_of
from dsl.data.source import Columns, Selector
from dsl.errors import DataError
from dsl.values import Language


@dataclass(frozen=True, slots=True)
class RecordedRow:
    """One row of the study's language."""

    number: int
    key: str | None = None
    """The item, or the instruction's normalised text; None where the row has none."""
    instruction: str | None = None
    """Normalised text that has to be the example's, where item and instruction are named."""
    answer: str | None = None
    missing: str | None = None
    """The reason for no answer, which begins with the row's number."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """Rows about one example."""

    rows: tuple[RecordedRow, ...]
    refused: tuple[RecordedRow, ...]
    """Rows with the example's item and another instruction."""

    @property
    def answers(self) -> tuple[str, ...]:
        """Distinct answers, in the file's order."""
        return tuple(dict.fromkeys(row.answer for row in self.rows if row.answer is not None))

    def why_none(self, item: str, source: str, by_item: bool) -> str | None:
        """Return the reason for no answer to an item, or None."""
        if len(self.answers) == 1:
            return None
        if self.answers:
            return f"two different recorded answers for item {item} in {source}"
        how = "" if by_item else " (matched by its instruction)"
        no = f"no recorded answer for item {item}{how} in {source}"
        for row in self.rows:
            return f"{no}: {row.missing}"
        for row in self.refused:
            return f"{no}: the instruction of row {row.number} is another one"
        return no


class RecordedAnswers:
    """Answers of a file by item, or by instruction where the file has no items."""

    def __init__(self, rows: Iterable[Row], columns: Columns, language: Language | None) -> None:
        """Read all rows; `language`: of the rows to take, where a column says theirs.

        Raises:
            DataError: the file cannot be read.
            NoColumn: no row has a column that is named.
        """
        self.by_item = columns.item is not None
        self.rows: list[RecordedRow] = []
        self._by_key: dict[str, list[RecordedRow]] = defaultdict(list)
        for row in _read(rows, columns, language):
            self.rows.append(row)
            if row.key is not None:
                self._by_key[row.key].append(row)

    @property
    def keys(self) -> Iterable[str]:
        """Match keys of the rows, in the file's order."""
        return self._by_key

    def key(self, item: str, instruction: str) -> str:
        """Return an example's match key."""
        return item if self.by_item else composed(instruction)

    def of(self, item: str, instruction: str) -> Recorded:
        """Return the rows about an example."""
        rows = self._by_key.get(self.key(item, instruction), ())
        asked = composed(instruction)
        agree = tuple(row for row in rows if row.instruction in (None, asked))
        return Recorded(agree, tuple(row for row in rows if row not in agree))


class NoColumn(DataError):
    """A named column that no row has."""

    def __init__(self, selector: str, error: DataError) -> None:
        super().__init__(str(error))
        self.selector = selector


class CellReader:
    """Reader of single cells: one without text is a reason, a column that no row has is an error."""

    def __init__(self) -> None:
        self._held: set[str] = set()
        self._faults: dict[str, DataError] = {}

    def text(
        self, row: Row, selector: Selector, number: int, *, booleans: bool = False
    ) -> tuple[str | None, str | None]:
        """Return a cell's text, or None and the reason; `booleans` are read as `true` and `false`."""
        at = f"row {number}"
        try:
            value = pick(row, selector, number, at)
            text = text_of(value, selector, at, booleans=booleans)
        except DataError as error:
            return None, self._fault(selector, error)
        self._held.add(str(selector))
        if text is None:
            return None, f"{at} holds {'null' if value is None else 'NaN'} for `{name_of(selector)}`"
        return text, None

    def answer(self, row: Row, selector: Selector, number: int) -> tuple[str | None, str | None]:
        """Return as `text` what a model said: of a conversation no turn of the user."""
        try:
            check_role(row, selector, "response", "assistant", number, f"row {number}")
        except Absent:
            pass  # reading it says so
        except DataError as error:
            return None, self._fault(selector, error)
        return self.text(row, selector, number)

    def instruction(self, row: Row, columns: Columns, number: int) -> tuple[str | None, str | None]:
        """Return a row's instruction with its `input`, normalised, or None and the reason."""
        assert columns.instruction is not None
        try:
            text = instruction_of(row, columns, number, f"row {number}")
        except DataError as error:
            return None, self._fault(columns.instruction, error)
        self._held.add(str(columns.instruction))
        return composed(text), None

    def check(self) -> None:
        """Raise NoColumn where no row has a column."""
        for selector, fault in self._faults.items():
            if selector not in self._held:
                raise NoColumn(selector, fault)

    def _fault(self, selector: Selector, error: DataError) -> str:
        self._faults.setdefault(str(selector), error)
        return str(error)


def _read(rows: Iterable[Row], columns: Columns, language: Language | None) -> Iterator[RecordedRow]:
    reader = CellReader()
    for number, row in enumerate(rows, 1):
        if (column := columns.language) is not None and language is not None:
            theirs, missing = reader.text(row, language_selector(column), number)
            if missing is not None:
                yield RecordedRow(number, missing=missing)
                continue
            if theirs != language_in_file(column, language):
                continue
        yield _recorded(row, columns, number, reader)
    reader.check()


def _recorded(row: Row, columns: Columns, number: int, reader: CellReader) -> RecordedRow:
    assert columns.response is not None
    item, instruction, missing = None, None, None
    if columns.item is not None:
        item, missing = reader.text(row, columns.item, number)
    if columns.instruction is not None and missing is None:
        instruction, missing = reader.instruction(row, columns, number)
    key = instruction if columns.item is None else item
    checked = None if columns.item is None else instruction
    if missing is not None:
        return RecordedRow(number, missing=missing)
    answer, missing = reader.answer(row, columns.response, number)
    return RecordedRow(number, key, checked, answer, missing)
