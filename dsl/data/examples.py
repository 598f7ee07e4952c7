"""Rows as examples, with the columns that a spec names.

The same reading serves the check of a spec (do items pair across languages?) and the `data` step.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace

from dsl.data.conversations import Dialogue, asked_in_turn, check_question, dialogue
from dsl.data.inner_rows import Row
from dsl.data.records import Example, Message
from dsl.data.references import selector_of
from dsl.data.selectors import json_at, language_at, language_in_file, text_at, texts_at
from dsl.data.source import Columns, Selector
from dsl.data.turns import Unusable
from dsl.values import Language

Told = dict[str, list[str]]
"""Notes on rows that were left out or lack something -> their items."""


def examples(
    rows: Iterable[Row],
    columns: Columns,
    language: Language,
    limit: int | None,
    where: str,
    turn: int | None = None,
    told: Told | None = None,
    languages: Counter[str] | None = None,
) -> Iterator[Example]:
    """Rows as examples. An item without a column of its own is the row's number, from 1.

    Args:
        turn: From 1, picks one of several questions that are asked in turn.
        told: Filled with what a person must be told of rows.
        languages: Filled with the rows of each value of the language column.

    Raises:
        DataError: a row lacks a named column, or holds something else than text there.
    """
    made, told = 0, {} if told is None else told
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
        item = str(number) if columns.item is None else _text(row, columns.item, number, at) or ""
        try:
            said = _said(row, columns, number, at, turn)
        except Unusable as why:
            told.setdefault(str(why), []).append(item)
            continue
        for note in said.notes:
            told.setdefault(note, []).append(item)
        reference = None if columns.reference is None else selector_of(columns.reference, turn)
        # every part is text by now: to validate it again takes as long as to read it
        yield Example.model_construct(
            item=item,
            language=language,
            turns=said.turns,
            instruction=said.instruction,
            response=said.response,
            chosen=said.chosen,
            rejected=said.rejected,
            answers=() if columns.answers is None else texts_at(row, columns.answers, number, at),
            reference=_text(row, reference, number, at) or None,
            category=_text(row, columns.category, number, at),
            extra={name: json_at(row, selector, number, at) for name, selector in columns.extra.items()},
        )


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
    return replace(said, turns=(*said.turns, *[Message(role="user", content=text) for text in before]))


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
