"""Turns as rows have them: message lists under whatever keys and role names, and transcripts.

What cannot be read so is refused, naming the row.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import Any, Literal, NamedTuple, cast

from dsl.data.inner_rows import kind_of
from dsl.data.records import ChatRole
from dsl.data.reply_trees import path_in
from dsl.data.selectors import is_list, text_of
from dsl.data.source import Conversation
from dsl.errors import DataError
from dsl.messages import listed, ticked

KEYS = (("role", "content"), ("from", "value"))
"""Keys of a message's role and text that need no settings."""

ROLES: Mapping[str, ChatRole] = {
    "system": "system",
    "user": "user",
    "human": "user",
    "prompter": "user",
    "assistant": "assistant",
    "gpt": "assistant",
    "chatgpt": "assistant",
    "bot": "assistant",
}
"""Role names that need no settings."""

CALLS = ("tool_calls", "function_call")
"""Keys of a message that calls a tool."""

NO_MESSAGES = "left out, as the conversation is empty"
NO_PAIR = "left out, as no question of the tree of replies has two answers with a `rank`"

_TEMPLATE_END = re.compile(r"(<\|\w+\|>|</s>|<end_of_turn>)$")
"""End of a turn as chat templates write it."""

WEIGHTS = ("weight", "train", "training")
"""Keys of a message that say whether an answer is in the loss."""
_TELLING = frozenset((*CALLS, *WEIGHTS))
PICTURES = frozenset(("images", "image", "videos", "video", "audio", "audios"))
_UNREAD = frozenset((*PICTURES, "reasoning_content", "reasoning", "thinking", "thoughts", "attachments"))
"""Keys of a message that hold what is said or shown beside its text."""
_DICT_ALONE = {dict}


class Turn(NamedTuple):
    """One message as it was found; its text may be missing."""

    role: ChatRole
    text: str | None
    weight: Literal[0, 1] = 1
    """0 keeps an answer out of the loss."""


class Unusable(Exception):
    """A row to leave out, with the reason."""


def turns_of(value: Any, how: Conversation, name: str, at: str, unread: set[str]) -> list[Turn]:
    """The turns of a message list, a message, a path of a tree of replies, or a transcript.

    `unread` gets the keys of messages that hold more than is read.
    """
    if how.transcript is not None:
        if not isinstance(value, str):
            raise DataError(f"{at}: `{how.column}` holds no text, so it is no transcript")
        found = list(_transcript(text_of(value, how.column, at) or "", how, how.transcript, at))
    else:
        if not isinstance(value, list):
            value = _by_columns(value, how, at)
        is_tree = not isinstance(value, list) and isinstance(value, Mapping)
        if is_tree:
            value = path_in(
                cast("Mapping[str, Any]", value),
                how,
                name,
                at,
                is_answer=lambda one: turn_of(one, how, at).role == "assistant",
            )
            if value is None:
                raise Unusable(NO_PAIR)
        value = cast("Any", [] if value is None else value)
        if value != [] and not holds_mappings(value):
            raise DataError(f"{at}: `{how.column}` holds {_no_messages(value, how, name)}")
        found = [turn_of(one, how, at) for one in value]
        if not _UNREAD.isdisjoint(chain.from_iterable(value)):
            every = (key for one in value for key in one if key in _UNREAD and one[key])
            unread.update(key for key in every if key != how.content)
        if is_tree and len(found) > 1 and found[-1].role == "user":
            del found[-1]  # nobody has answered it
    if found[0:1] == [Turn("system", None)]:
        del found[0]
    if not found:
        raise Unusable(NO_MESSAGES)
    if "system" in [turn.role for turn in found[1:]]:
        raise DataError(f"{at}: `{how.column}` has a system message behind other turns; it stands first")
    return found


def _no_messages(value: object, how: Conversation, name: str) -> str:
    """Say what a value is that is no list of messages, and what to write or to save instead."""
    if isinstance(value, str) and value.lstrip()[:1] in ("[", "{"):
        return "a list of messages as one text. Save it as a list of mappings"
    if is_list(value):
        each = "Save each turn as a mapping, `{role: user, content: …}`"
        if not holds(value, str):
            return f"a list whose entries are no mappings. {each}"
        pair = (
            f"; or write `instruction: {how.column}.0, response: {how.column}.1`" if len(value) == 2 else ""
        )
        return f"a list of texts, of which none says who speaks. {each}{pair}"
    return (
        f"no list of messages. Of a text with marks write `{name}: {{column: {how.column}, transcript:"
        ' {human: "Human:", assistant: "Assistant:"}}`'
    )


def _by_columns(value: Any, how: Conversation, at: str) -> Any:
    """Return messages whose keys hold a list each, as `datasets` keeps a sequence, as a list of messages."""
    if not isinstance(value, Mapping):
        return value
    inside = cast("Mapping[str, Any]", value)
    lists = {key: one for key, one in inside.items() if is_list(one)}
    if not any(role in lists and content in lists for role, content in _pairs(how)):
        return inside
    if len({len(one) for one in lists.values()}) > 1:
        lengths = ", ".join(f"`{key}` {len(one)}" for key, one in lists.items())
        raise DataError(f"{at}: the lists in `{how.column}` are of different lengths: {lengths}")
    return [dict(zip(lists, one, strict=True)) for one in zip(*lists.values(), strict=True)]


def turn_of(message: Mapping[str, Any], how: Conversation, at: str) -> Turn:
    """Read a message."""
    turn, keys = None, ("", "")
    for role, content in _pairs(how):
        if role not in message or content not in message:
            continue
        read = Turn(role_of(message[role], how, at), _text(message[content], how, at))
        if turn is None:
            turn, keys = read, (role, content)
        elif read != turn:
            raise DataError(
                f"{at}: a message in `{how.column}` has {keys[0]} and {keys[1]}, and others in {role} and"
                f" {content}. Name those that are meant: `{{column: {how.column}, role: {keys[0]}, content:"
                f" {keys[1]}}}`"
            )
    if turn is None:
        raise DataError(
            f"{at}: a message in `{how.column}` has the keys {listed([str(key) for key in message], 6)}; role"
            " and content, or from and value, are known. Name others: `{column: "
            f"{how.column}, role: …, content: …}}`"
        )
    if _TELLING.isdisjoint(message):
        return turn
    if called := next((key for key in CALLS if message.get(key)), None):
        raise DataError(
            f"{at}: a message in `{how.column}` calls a tool, in `{called}`; a tool's turns cannot be read."
            " Leave such rows out of the file"
        )
    return Turn(turn.role, turn.text, _weight(message, how, at) if turn.role == "assistant" else 1)


def _pairs(how: Conversation) -> Sequence[tuple[str, str]]:
    """The keys under which a message's role and text may stand."""
    if how.role is None and how.content is None:
        return KEYS
    if how.role is not None and how.content is not None:
        return ((how.role, how.content),)
    return [pair for pair in KEYS if how.role in (None, pair[0]) and how.content in (None, pair[1])]


def _weight(message: Mapping[str, Any], how: Conversation, at: str) -> Literal[0, 1]:
    for key in WEIGHTS:
        if (weight := message.get(key)) not in (None, 0, 1):
            raise DataError(
                f"{at}: a message in `{how.column}` has the `{key}` {ticked(str(weight))}; it is 0, out of"
                " the loss, or 1"
            )
        if weight == 0:
            return 0
    return 1


def _text(content: object, how: Conversation, at: str) -> str | None:
    """A message's text; the content parts of a chat server may hold it, where it is but one."""
    if not isinstance(content, str):
        content = _no_plain_text(content, how, at)
    text = text_of(content, how.column, at)
    return text if text and not text.isspace() else None


def _no_plain_text(content: object, how: Conversation, at: str) -> object:
    """A content that is no text: that of its one part, or a number, or nothing."""
    if holds_mappings(content):
        parts = cast("Sequence[Mapping[str, object]]", content)
        kinds = [str(part.get("type")) for part in parts]
        if kinds != ["text"]:
            raise DataError(
                f"{at}: a message in `{how.column}` has the parts {listed(kinds, 4)}; one `text` is read."
                " Save the message as one text, or leave the row out of the file"
            )
        content = parts[0].get("text")
    if isinstance(content, Mapping | list | tuple | bytes | bool):
        raise DataError(f"{at}: a message in `{how.column}` has {kind_of(content)} as content, not text")
    return content


def role_of(name: object, how: Conversation, at: str) -> ChatRole:
    if isinstance(name, bool):  # of a key as `is_bot`
        name = str(name) if str(name) in how.roles else str(name).lower()
    found = how.roles.get(str(name)) or ROLES.get(str(name).lower())
    if found is None:
        known = ", ".join([*how.roles, *ROLES])
        raise DataError(
            f"{at}: `{how.column}` has the role `{name}`. Known are {known}. Say what it is:"
            f" `roles: {{{_as_key(name)}: user}}` (or assistant, system); a tool's turns cannot be read"
        )
    return found


def _as_key(name: object) -> str:
    """Return a role as a YAML key that is read as text."""
    return (
        str(name)
        if re.fullmatch(r"[^\W\d][\w-]*", str(name)) and name not in ("true", "false")
        else f'"{name}"'
    )


def _transcript(text: str, how: Conversation, marks: Mapping[str, str], at: str) -> Iterator[Turn]:
    """The turns of one text, each behind the mark of its role."""
    roles: dict[str, ChatRole] = {mark: role_of(role, how, at) for role, mark in marks.items()}
    longest_first = sorted(roles, key=len, reverse=True)
    begin, *pieces = re.split(f"({'|'.join(map(re.escape, longest_first))})", text)
    if begin.strip() or not pieces:
        found = ascii(begin[:20]) if begin.strip() else "nothing"
        raise DataError(
            f"{at}: `{how.column}` begins with {found}, not with a mark of {listed(marks, 4)}, such as"
            f" {next(iter(marks.values()))!a}"
        )
    for mark, said in zip(pieces[::2], pieces[1::2], strict=True):
        text = cast("str", said).strip()
        if end := _TEMPLATE_END.search(text):
            raise DataError(
                f"{at}: a turn in `{how.column}` ends with {end[0]!r}, which a chat template has put there."
                " Save the conversation as messages, or without such marks"
            )
        yield Turn(roles[cast("str", mark)], text or None)


def holds_mappings(value: object) -> bool:
    """Test whether this is a list, not an empty one, of mappings."""
    if not is_list(value) or not value:
        return False
    kinds = {*map(type, value)}
    return kinds == _DICT_ALONE or all(issubclass(kind, Mapping) for kind in kinds)


def holds(value: object, kind: type) -> bool:
    """Test whether this is a list, not an empty one, of this kind alone."""
    return is_list(value) and bool(value) and all(isinstance(one, kind) for one in value)
