"""Rows as examples, with the columns that a spec names.

The same reading serves the check of a spec (do items pair across languages?) and the `data` step.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace

from dsl.data.conversations import Dialogue, Unusable, asked_in_turn, check_question, dialogue
from dsl.data.files import Row
from dsl.data.records import Example, Message
from dsl.data.references import selector_of
from dsl.data.selectors import pick, text_or_empty, texts, whole_text
from dsl.data.source import Columns, Selector
from dsl.errors import DataError
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
) -> Iterator[Example]:
    """Rows as examples. An item without a column of its own is the row's number, from 1.

    `turn`, from 1, picks one of several questions that are asked in turn; `told` collects what a person must
    be told of rows.

    Raises:
        DataError: a row lacks a named column, or holds something else than text there.
    """
    made, told = 0, {} if told is None else told
    for number, row in enumerate(rows, 1):
        if limit is not None and made >= limit:
            return
        at = f"{where}: row {number}"
        if columns.language is not None and text_or_empty(row, columns.language, number, at) != language:
            continue
        made += 1
        item = str(number) if columns.item is None else text_or_empty(row, columns.item, number, at)
        try:
            said = _said(row, columns, number, at, turn)
        except Unusable as why:
            told.setdefault(str(why), []).append(item)
            continue
        for note in said.notes:
            told.setdefault(note, []).append(item)
        example = _example(row, columns, language, number, at, item, said, turn)
        try:
            example.model_dump_json()
        except ValueError as error:  # half of a surrogate pair, as JSON's \\ud800 can write it
            raise DataError(f"{at}: a character that is not text: {str(error).splitlines()[0]}") from error
        yield example


def _example(
    row: Row,
    columns: Columns,
    language: Language,
    number: int,
    at: str,
    item: str,
    said: Dialogue,
    turn: int | None,
) -> Example:
    def text(selector: Selector | None) -> str | None:
        return None if selector is None else text_or_empty(row, selector, number, at)

    return Example(
        item=item,
        language=language,
        turns=said.turns,
        instruction=said.instruction,
        response=said.response,
        chosen=said.chosen,
        rejected=said.rejected,
        answers=() if columns.answers is None else texts(pick(row, columns.answers, number, at)),
        reference=text(None if columns.reference is None else selector_of(columns.reference, turn)) or None,
        category=text(columns.category),
        extra={name: whole_text(pick(row, selector, number, at)) for name, selector in columns.extra.items()},
    )


def _said(row: Row, columns: Columns, number: int, at: str, turn: int | None) -> Dialogue:
    if columns.turns:
        instruction = asked_in_turn(row, columns, turn or 1, number, at)
        columns = columns.model_copy(update={"instruction": columns.turns[(turn or 1) - 1]})
    else:
        check_question(row, columns, number, at)
        instruction = instruction_of(row, columns, number, at)
    said = dialogue(row, columns, instruction, number, at)
    before = [asked_in_turn(row, columns, one, number, at) for one in range(1, turn or 1)]
    return replace(said, turns=(*said.turns, *[Message(role="user", content=text) for text in before]))


def instruction_of(row: Row, columns: Columns, number: int, at: str) -> str:
    """Return a row's instruction with its `input`.

    `number` is the row's, from 1; `at` says in errors which row it is.

    Raises:
        DataError: as `examples`.
    """
    instruction = "" if columns.instruction is None else text_or_empty(row, columns.instruction, number, at)
    below = "" if columns.input is None else text_or_empty(row, columns.input, number, at)
    return f"{instruction}\n\n{below}" if below.strip() else instruction
