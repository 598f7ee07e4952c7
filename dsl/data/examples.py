"""Rows as examples, with the columns that a spec names.

The same reading serves the check of a spec (do items pair across languages?) and the `data` step.
"""

from collections import Counter
from collections.abc import Iterable, Iterator

from dsl.data.inner_rows import Row
from dsl.data.records import Example
from dsl.data.selectors import json_at, language_at, language_in_file, text_at, texts_at
from dsl.data.source import Columns, Selector
from dsl.values import Language


def examples(
    rows: Iterable[Row],
    columns: Columns,
    language: Language,
    limit: int | None,
    where: str,
    languages: Counter[str] | None = None,
) -> Iterator[Example]:
    """Rows as examples. An item without a column of its own is the row's number, from 1.

    Args:
        languages: Filled with the rows of each value of the language column.

    Raises:
        DataError: a row lacks a named column, or holds something else than text there.
    """
    made = 0
    for number, row in enumerate(rows, 1):
        if limit is not None and made >= limit:
            return
        at = f"{where}: row {number}"
        if columns.language is not None:
            found = language_at(row, columns.language, number, at)
            if languages is not None:
                languages[found] += 1
            if found != language_in_file(columns.language, language):
                continue
        made += 1
        yield _example(row, columns, language, number, at)


def _example(row: Row, columns: Columns, language: Language, number: int, at: str) -> Example:
    # every part is text by now: to validate it again takes as long as to read it
    return Example.model_construct(
        item=str(number) if columns.item is None else _text(row, columns.item, number, at) or "",
        language=language,
        instruction=instruction_of(row, columns, number, at),
        response=_text(row, columns.response, number, at),
        chosen=_text(row, columns.chosen, number, at),
        rejected=_text(row, columns.rejected, number, at),
        answers=() if columns.answers is None else texts_at(row, columns.answers, number, at),
        reference=_text(row, columns.reference, number, at),
        category=_text(row, columns.category, number, at),
        extra={name: json_at(row, selector, number, at) for name, selector in columns.extra.items()},
    )


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
