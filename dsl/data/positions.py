"""Paths into a conversation by position: whose turn one leads to, and which turns are left out.

A list is a conversation where its entries say who speaks: under whatever key, as the first of a pair, in the
names of their keys, or in a list beside it.
"""

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, cast

from dsl.data.inner_rows import Row
from dsl.data.records import ChatRole
from dsl.data.reply_trees import PAIRED
from dsl.data.selectors import is_list, pick
from dsl.data.source import Columns, Conversation, Mapped, Part, Template
from dsl.data.turns import KEYS, ROLES, Turn, holds, holds_mappings, role_of, turn_of
from dsl.errors import DataError
from dsl.messages import listed

_FITS: Mapping[str, ChatRole] = {
    "system": "system",
    "instruction": "user",
    "input": "user",
    "response": "assistant",
    "chosen": "assistant",
    "rejected": "assistant",
}
"""Column -> role of a turn that a path may lead to."""

_SPEAKER = ("role", "from", "speaker", "author", "sender", "who")
"""Keys that say who speaks, where one of their values is a known role. Of others all are."""
_MAKER = ("source", "model", "generator", "annotator", "language", "type")
"""Keys that may say who wrote one of several texts, so that these are no turns."""
_ROLES_OF_TOOLS = frozenset(("tool", "function", "observation", "developer"))


class _Position(NamedTuple):
    """A turn that a path leads to by its position."""

    path: str
    """The conversation's."""
    place: int
    turns: list[Turn]
    read: str
    """The value of the column `messages` that reads the whole conversation; empty where there is none."""


def check_role(row: Row, selector: object, name: str, role: ChatRole, number: int, at: str) -> None:
    """Refuse a selector that leads by position to a turn of another role.

    Args:
        selector: A column, a path or what reads several; anything else leads to no turn.
        name: The column, as a spec calls it.
        role: The role that fits it.
        number: The row's, from 1.
        at: The row's place, for errors.

    Raises:
        DataError: it is what somebody else says; or a role is unknown.
    """
    for path in _paths(selector):
        one = _position(row, path, number, at) if "." in path else None
        if one is not None and (turn := one.turns[one.place]).role != role:
            last = f"{one.path}.-1{path.removeprefix(one.path).lstrip('.').lstrip('-0123456789')}"
            hint = f". The last turn is `{last}`" if one.turns[-1].role == role else ""
            raise DataError(f"{at}: `{path}` is what the {turn.role} says, and no `{name}`{hint}")


def check_positions(row: Row, columns: Columns, instruction: str, number: int, at: str) -> None:
    """Refuse a path to a turn whose role does not fit the column, and one that leaves others out.

    Args:
        instruction: What is asked; the turns that say it are left out by nobody.

    Raises:
        DataError: it is what somebody else says, has the weight 0, or turns have no column; or a role is
            unknown.
    """
    taken: dict[str, dict[int, str]] = defaultdict(dict)
    found: dict[str, _Position] = {}
    for name, role in _FITS.items():
        named = getattr(columns, name)
        if named is not None and (not isinstance(named, str) or "." in named):
            for one in _positions(row, named, name, role, number, at):
                taken[one.path][one.place], found[one.path] = name, one
    for path, places in taken.items():
        turns = found[path].turns
        left = [
            turn.role
            for place, turn in enumerate(turns)
            if place not in places and turn.text is not None and turn.text != instruction
        ]
        if left:
            name = min(places.values(), key=lambda name: name not in PAIRED)
            raise DataError(
                f"{at}: `{path}` has {len(turns)} turns, and the columns leave out {listed(left, 4)}."
                f" {_instead(name, found[path])}"
            )


def _positions(
    row: Row, named: object, name: str, role: ChatRole, number: int, at: str
) -> Sequence[_Position]:
    """The turns that a column's paths lead to, each of the role that fits."""
    found: list[_Position] = []
    for path in _paths(named):
        one = _position(row, path, number, at) if "." in path else None
        if one is None:
            continue
        turn = one.turns[one.place]
        if turn.role != role:
            raise DataError(
                f"{at}: `{path}` is what the {turn.role} says, and no `{name}`. {_instead(name, one)}"
            )
        if not turn.weight:
            raise DataError(f"{at}: `{path}` has the weight 0. {_instead(name, one)}")
        found.append(one)
    return found


def _paths(selector: object) -> tuple[str, ...]:
    """The columns and paths that a selector reads."""
    if isinstance(selector, str):  # which most are
        return (selector,)
    if isinstance(selector, Template):
        return tuple(column for _, column in selector.pieces() if column is not None)
    column = selector.column if isinstance(selector, Part | Mapped) else None
    return (column,) if isinstance(column, str) else ()


def _instead(name: str, found: _Position) -> str:
    if not found.read:
        return "Save each turn as a mapping with `role` and `content`, and name the list as `messages`"
    return f"Name the conversation: `{name if name in PAIRED else 'messages'}: {found.read}`"


def _position(row: Row, selector: str, number: int, at: str) -> _Position | None:
    if isinstance(row, Mapping) and selector in row:
        return None
    parts = selector.split(".")
    for length in range(1, len(parts)):
        if not re.fullmatch(r"-?\d+", parts[length]):
            continue
        path, place = ".".join(parts[:length]), int(parts[length])
        value = pick(row, path, number, at)
        if not is_list(value) or not -len(value) <= place < len(value):
            return None  # reading it says so
        place %= len(value)
        read = parts[length + 1] if length + 1 < len(parts) else None
        if read is None:
            around: object = pick(row, path.rpartition(".")[0], number, at) if "." in path else row
            return _beside(around, path, value, place, at)
        of = _of_pairs if all(map(is_list, value)) else _of_messages if holds_mappings(value) else None
        if of is not None and (found := of(value, path, place, read, at)) is not None:
            return found
    return None


def _of_messages(
    entries: Sequence[Mapping[str, Any]], path: str, place: int, read: str, at: str
) -> _Position | None:
    """Position in a list of mappings; `read` is the key of the text."""
    if any(pair[1] == read and all(pair[0] in one for one in entries) for pair in KEYS):
        how = Conversation(column=path)
        return _Position(path, place, [turn_of(one, how, at) for one in entries], path)
    if read.lower() in ROLES:
        keys = [(n, key) for n, one in enumerate(entries) for key in one if key.lower() in ROLES]
        turns = [Turn(ROLES[key.lower()], _text(entries[n][key])) for n, key in keys]
        return _Position(path, keys.index((place, read)), turns, "") if (place, read) in keys else None
    key = next((key for key in entries[0] if key != read and _says_who(entries, key)), None)
    if key is None:
        return None
    named = f"column: {path}, role: {key}, content: {read}"
    turns: list[Turn] = []
    for one in entries:
        if (role := ROLES.get(str(one[key]).lower())) is None:
            raise DataError(
                f"{at}: `{path}` is a conversation, and its role `{one[key]}` is none that is known. Name it"
                f" whole, and say what that is: `messages: {{{named}, roles: {{{one[key]}: assistant}}}}`"
                " (or user, system)"
            )
        turns.append(Turn(role, _text(one.get(read))))
    return _Position(path, place, turns, f"{{{named}}}")


def _says_who(entries: Sequence[Mapping[str, Any]], key: str) -> bool:
    """Test whether a key of mappings says who speaks."""
    values = [one.get(key) for one in entries]
    return key not in _MAKER and _are_roles(values, any if key.lower() in _SPEAKER else all)


def _are_roles(values: Sequence[object], enough: Any = all) -> bool:
    words = [value.lower() for value in values if isinstance(value, str)]
    known = [word in ROLES or word in _ROLES_OF_TOOLS for word in words]
    return len(words) == len(values) > 0 and bool(enough(known)) and any(word in ROLES for word in words)


def _of_pairs(
    entries: Sequence[Sequence[Any]], path: str, place: int, read: str, at: str
) -> _Position | None:
    """Position in a list of lists, each with a role and a text."""
    width = {len(one) for one in entries}
    if len(width) != 1 or not re.fullmatch(r"-?\d+", read):
        return None
    columns = list(zip(*entries, strict=True))
    if not -len(columns) <= int(read) < len(columns):
        return None
    texts = columns[int(read)]
    roles = next((one for one in columns if one is not texts and _are_roles(one)), None)
    return None if roles is None else _Position(path, place, _zipped(roles, texts, path, at), "")


def _beside(around: object, path: str, texts: Sequence[Any], place: int, at: str) -> _Position | None:
    """Position in a list of texts, with the list of their roles in the same mapping."""
    if not holds(texts, str) or not isinstance(around, Mapping):
        return None
    inside = cast("Mapping[str, object]", around)
    for key, roles in inside.items():
        if roles is not texts and is_list(roles) and len(roles) == len(texts) and _are_roles(roles):
            column, _, content = path.rpartition(".")
            read = column
            if column and (key, content) not in KEYS:
                read = f"{{column: {column}, role: {key}, content: {content}}}"
            return _Position(path, place, _zipped(roles, texts, path, at), read)
    return None


def _zipped(roles: Sequence[Any], texts: Sequence[Any], path: str, at: str) -> list[Turn]:
    how = Conversation(column=path)
    return [Turn(role_of(role, how, at), _text(text)) for role, text in zip(roles, texts, strict=True)]


def _text(value: object) -> str | None:
    """Return a value as a text; None where it is missing or white space."""
    return None if value is None or not str(value).strip() else str(value)
