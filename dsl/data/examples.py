"""Rows as examples, with the columns that a spec names.

The same reading serves the check of a spec (do items pair across languages?) and the `data` step.
"""

from collections.abc import Iterable, Iterator

from dsl.data.inner_rows import Row
from dsl.data.records import Example
from dsl.data.selectors import pick, text_or_empty, texts, whole_text
from dsl.data.source import Columns, Selector
from dsl.errors import DataError
from dsl.values import Language


def examples(
    rows: Iterable[Row], columns: Columns, language: Language, limit: int | None, where: str
) -> Iterator[Example]:
    """Rows as examples. An item without a column of its own is the row's number, from 1.

    Raises:
        DataError: a row lacks a named column, or holds something else than text there.
    """
    made = 0
    for number, row in enumerate(rows, 1):
        if limit is not None and made >= limit:
            return
        at = f"{where}: row {number}"
        if columns.language is not None and text_or_empty(row, columns.language, number, at) != language:
            continue
        made += 1
        example = _example(row, columns, language, number, at)
        try:
            example.model_dump_json()
        except ValueError as error:  # half of a surrogate pair, as JSON's \\ud800 can write it
            raise DataError(f"{at}: a character that is not text: {str(error).splitlines()[0]}") from error
        yield example


def _example(row: Row, columns: Columns, language: Language, number: int, at: str) -> Example:
    def text(selector: Selector | None) -> str | None:
        return None if selector is None else text_or_empty(row, selector, number, at)

    return Example(
        item=str(number) if columns.item is None else text_or_empty(row, columns.item, number, at),
        language=language,
        instruction=instruction_of(row, columns, number, at),
        response=text(columns.response),
        chosen=text(columns.chosen),
        rejected=text(columns.rejected),
        answers=() if columns.answers is None else texts(pick(row, columns.answers, number, at)),
        reference=text(columns.reference),
        category=text(columns.category),
        extra={name: whole_text(pick(row, selector, number, at)) for name, selector in columns.extra.items()},
    )


def instruction_of(row: Row, columns: Columns, number: int, at: str) -> str:
    """Return a row's instruction with its `input`.

    `number` is the row's, from 1; `at` says in errors which row it is.

    Raises:
        DataError: as `examples`.
    """
    instruction = "" if columns.instruction is None else text_or_empty(row, columns.instruction, number, at)
    below = "" if columns.input is None else text_or_empty(row, columns.input, number, at)
    return f"{instruction}\n\n{below}" if below.strip() else instruction
