"""Conversations in rows: message lists under whatever keys and role names, transcripts, and pairs of them.

The forms are those of TRL's conversational data types, with an explicit prompt (`messages` and an answer) or
an implicit one (`chosen` and `rejected` hold the whole conversation). Roles decide which turn is a question
and which an answer, never positions. What cannot be read so is refused, naming the row; a row that lacks what
it should be read for is left out, and told.
"""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

from dsl.data.inner_rows import Row
from dsl.data.positions import check_positions
from dsl.data.preferences import preference_notes
from dsl.data.records import Message
from dsl.data.selectors import is_list, name_of, pick, text_at
from dsl.data.source import Columns, Conversation, Selector
from dsl.data.turns import KEYS, PICTURES, Turn, Unusable, holds, holds_mappings, turns_of
from dsl.errors import DataError

PROMPTS_DIFFER = "left out, as the conversations of `chosen` and `rejected` differ before the last answer"
OTHER_PROMPT = "left out, as the conversation before an answer is another than the prompt beside it"
ENDS_WITH_QUESTION = "left out, as a conversation that an answer should end ends with a question"
NO_TEXT = "left out, as a turn before the last answer has no text"
NOT_LEARNT = "whose last answer has the weight 0, so that there is no `response` to learn"
LATER_QUESTION = "with the later question of a list, asked without those before it: `turns` asks them in turn"
SYSTEM_UNNAMED = "with a text in the column `system`, which is left out: `system: system` puts it first"


class Dialogue(NamedTuple):
    """A row's conversation."""

    turns: tuple[Message, ...]
    """Before the question."""
    instruction: str
    response: str | None = None
    chosen: str | None = None
    rejected: str | None = None
    notes: tuple[str, ...] = ()
    """Notes for people."""


def dialogue(row: Row, columns: Columns, instruction: str, number: int, at: str) -> Dialogue:
    """Read a row's conversation.

    Args:
        instruction: the text of the column `instruction`, with its `input`.
        at: place of the row, for errors.

    Raises:
        DataError: it cannot be read as a conversation, or a path takes one turn out of several.
        Unusable: the row lacks a text, or its parts are of different conversations.
    """
    check_positions(row, columns, instruction, number, at)
    unread = set[str]()
    answers: dict[str, _Answer] = {}
    for name in ("response", "chosen", "rejected"):
        if (selector := getattr(columns, name)) is None:
            continue
        is_read = name == "chosen" and "response" in answers and selector == columns.response
        if is_read and not _is_tree(row, selector, number, at):
            answers[name] = answers["response"]
            continue
        answers[name] = _answer(row, name, selector, number, at, unread)
    prompt: tuple[Turn, ...] | None = None
    if columns.messages is not None:
        how = columns.messages if isinstance(columns.messages, Conversation) else _known(columns.messages)
        prompt, answer = _cut(turns_of(pick(row, how.column, number, at), how, "messages", at, unread), at)
        if prompt is None:
            raise DataError(f"{at}: `{how.column}` holds an answer alone: nobody asks")
        if answer is not None and "response" not in answers:
            answers["response"] = (None, answer)
    elif columns.instruction is not None:
        prompt = (Turn("user", instruction),)
    if "response" in answers:
        _check_label(row, columns, at)
    prompt = _agreed(prompt, answers, columns, instruction, at) or (Turn("user", instruction),)
    if columns.system is not None and (system := text_at(row, columns.system, number, at) or "").strip():
        if prompt[0].role == "system" and prompt[0].text != system:
            raise DataError(
                f"{at}: the conversation has a system message, and `{name_of(columns.system)}` another"
            )
        prompt = (Turn("system", system), *[one for one in prompt if one.role != "system"])
    *before, last = prompt
    texts = {name: answer.text if answer.weight else None for name, (_, answer) in answers.items()}
    notes = {
        LATER_QUESTION: not columns.turns and _is_later_question(row, columns.instruction, number, at),
        SYSTEM_UNNAMED: _leaves_system_out(row, columns),
        NOT_LEARNT: any(not answer.weight for _, answer in answers.values()),
    }
    turns = tuple(Message(role=one.role, content=one.text or "", weight=one.weight) for one in before)
    told = [note for note, holds in notes.items() if holds]
    told += (
        f"with `{key}` in a message, which is neither asked nor learnt: text alone is"
        for key in sorted(unread)
    )
    told += _pictures(row, columns, unread)
    if columns.chosen is not None and columns.rejected is not None:
        told += preference_notes(row, columns)
    return Dialogue(turns, last.text or "", **texts, notes=tuple(told))


def _check_label(row: Row, columns: Columns, at: str) -> None:
    """Refuse an answer of unpaired preferences, as TRL's KTO has them, that would be learnt though it is bad.

    Raises:
        DataError: the row's `label` is false, and no column names it.
    """
    if not isinstance(row, dict | Mapping) or str(row.get("label")).lower() != "false":
        return
    named = (columns.answers, columns.category, *columns.extra.values())
    if "label" not in [name_of(selector) for selector in named if selector is not None]:
        raise DataError(
            f"{at}: the column `label` is false, as of a bad answer, which would be learnt like a good one."
            " Keep the good ones by `where: {label: true}` beside the path; where the label says something"
            " else, name it: `extra: {label: label}`"
        )


def _leaves_system_out(row: Row, columns: Columns) -> bool:
    """Test whether a row has a system message under that very name, and the columns name it nowhere."""
    if columns.system is not None or "system" in columns.extra.values() or not isinstance(row, Mapping):
        return False
    found: object = row.get("system")
    return isinstance(found, str) and bool(found.strip())


def _pictures(row: Row, columns: Columns, unread: Collection[str]) -> Iterator[str]:
    """Yield a note on each column of pictures or sound that is not named."""
    if isinstance(row, Mapping) and not PICTURES.isdisjoint(row):
        for key in sorted(PICTURES):
            if row.get(key) and key not in unread and key not in _named_here(columns):
                yield f"with something in `{key}`, which no model is shown: text alone is asked"


def _named_here(columns: Columns) -> Collection[object]:
    return (columns.instruction, columns.input, columns.category, *columns.extra.values())


def _is_later_question(row: Row, selector: Selector | None, number: int, at: str) -> bool:
    """Test whether a path leads to a text in a list of texts, and not to the first."""
    path, _, place = selector.rpartition(".") if isinstance(selector, str) else ("", "", "")
    if not (path and re.fullmatch(r"-?\d+", place)) or (isinstance(row, Mapping) and selector in row):
        return False
    texts = pick(row, path, number, at)
    return holds(texts, str) and int(place) not in (0, -len(texts))


def check_question(row: Row, columns: Columns, number: int, at: str) -> None:
    """Refuse a list as the question, with what to write for one of messages or of questions.

    Raises:
        DataError: the column `instruction` leads to a list.
    """
    if not isinstance(columns.instruction, str):
        return
    value = pick(row, columns.instruction, number, at)
    if holds_mappings(value) and any(role in value[0] for role, _ in KEYS):
        raise DataError(
            f"{at}: `{columns.instruction}` holds messages, not text. Write `messages:"
            f" {columns.instruction}` in the place of `instruction`"
        )
    if holds(value, str):
        named = ", ".join(f"{columns.instruction}.{place}" for place in range(len(value)))
        raise DataError(
            f"{at}: `{columns.instruction}` holds {len(value)} texts. Questions that are asked in turn, each"
            f" behind the answer before, are `turns: [{named}]`"
        )


@lru_cache
def _known(column: str | int) -> Conversation:
    """A conversation whose keys and roles need no settings."""
    return Conversation(column=column)


_Answer = tuple[tuple[Turn, ...] | None, Turn]
"""The conversation before an answer, where it stands with it, and the answer."""


def _answer(
    row: Row, name: str, selector: Selector | Conversation, number: int, at: str, unread: set[str]
) -> _Answer:
    """One answer: a text, a message, or the conversation that it ends."""
    if isinstance(selector, Conversation):
        how, value = selector, pick(row, selector.column, number, at)
    else:
        value = pick(row, selector, number, at)
        if not holds_mappings(value) and not isinstance(value, Mapping):
            return None, Turn("assistant", text_at(row, selector, number, at))
        if not isinstance(selector, str | int):
            raise DataError(f"{at}: `{name}` leads to messages: name their column alone")
        how = _known(selector)
    prompt, answer = _cut(turns_of(value, how, name, at, unread), at)
    if answer is None:
        raise Unusable(ENDS_WITH_QUESTION)
    return prompt, answer


def _is_tree(row: Row, selector: Selector | Conversation, number: int, at: str) -> bool:
    """Test whether a column may hold a tree, whose answer to learn is not the one that is preferred."""
    column = selector.column if isinstance(selector, Conversation) else selector
    value = pick(row, column, number, at)
    return not isinstance(value, str | list) and isinstance(value, Mapping)


def _agreed(
    prompt: tuple[Turn, ...] | None,
    answers: Mapping[str, _Answer],
    columns: Columns,
    instruction: str,
    at: str,
) -> tuple[Turn, ...]:
    """The one conversation that all columns of a row agree on. An `instruction` beside whole conversations
    is one of their questions."""
    whole = [before for before, _ in answers.values() if before is not None]
    if any(before != whole[0] for before in whole):
        raise Unusable(PROMPTS_DIFFER)
    if whole and columns.messages is not None and prompt != whole[0]:
        raise Unusable(OTHER_PROMPT)
    if whole and columns.instruction is not None:
        if Turn("user", instruction) not in whole[0]:
            raise Unusable(OTHER_PROMPT)
        return whole[0]
    if prompt is None and not whole and any(one.text is not None for _, one in answers.values()):
        raise DataError(
            f"{at}: `{next(iter(answers))}` holds an answer alone, and no column says what was asked. Name"
            " `instruction` or `messages`"
        )
    return prompt or (whole[0] if whole else ())


def _cut(turns: Sequence[Turn], at: str) -> tuple[tuple[Turn, ...] | None, Turn | None]:
    """Cut a conversation before the answer that it ends with.

    Returns the turns up to the last question, None where there is nothing but an answer; and the answer,
    None where the conversation ends with the question.
    """
    answer = turns[-1] if turns[-1].role == "assistant" else None
    asked = turns if answer is None else turns[:-1]
    if not asked:
        return None, answer
    if asked[-1].role != "user":
        found = ", ".join(turn.role for turn in turns[-3:])
        raise DataError(f"{at}: a conversation ends with a question, or with one answer to it, not {found}")
    if None in [turn.text for turn in asked]:
        raise Unusable(NO_TEXT)
    return tuple(asked), answer


def asked_in_turn(row: Row, columns: Columns, turn: int, number: int, at: str) -> str:
    """The question of one turn, from 1.

    Raises:
        DataError: the row has more questions than the columns name.
        Unusable: it has fewer.
    """
    none = Unusable(f"without a question in turn {turn}")
    for selector in columns.turns:
        path, _, place = selector.rpartition(".") if isinstance(selector, str) else ("", "", "")
        if path and place.isdigit():
            value = pick(row, path, number, at)
            if is_list(value):
                if len(value) > len(columns.turns):
                    raise DataError(
                        f"{at}: `{path}` has {len(value)} questions, and `turns` names {len(columns.turns)}"
                    )
                if len(value) < turn:
                    raise none
                break
    text = text_at(row, columns.turns[turn - 1], number, at) or ""
    if turn > 1 and not text.strip():
        raise none
    return text
