"""Trees of replies, as Open Assistant exports them: a message whose `replies` are messages with replies.

One conversation is read of each tree, that of the best-ranked replies, as in the sets of "top 1" paths that
people train on; or one pair, of the best and the worst answer to the first question with several ranked ones.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, cast

from dsl.data.selectors import is_list
from dsl.data.source import Conversation
from dsl.errors import DataError

REPLIES, RANK = "replies", "rank"
"""Keys of a message's replies, and of its place among those to the same message, 0 for the best."""

PAIRED = ("chosen", "rejected")


def path_in(
    tree: Mapping[str, Any],
    how: Conversation,
    name: str,
    at: str,
    is_answer: Callable[[Mapping[str, Any]], bool],
) -> list[Mapping[str, Any]] | None:
    """Return the messages from a tree's root along the best-ranked replies; a message alone is its own path.

    The path ends where several replies have no rank. `name` is the column's meaning: that of `chosen` ends
    with the best, that of `rejected` with the worst answer to the first question with several ranked ones.
    It is None where the tree has no such question.

    Raises:
        DataError: the replies are no list of messages, or two share the best rank, or the worst.
    """
    path = [tree]
    while replies := _replies(path[-1], how, at):
        ranked = [(rank, one) for one in replies if isinstance(rank := one.get(RANK), int | float)]
        if name in PAIRED and len(ranked) > 1 and is_answer(ranked[0][1]):
            return [*path, _ranked_as(max if name == "rejected" else min, ranked, how, at)]
        if len(replies) > 1 and not ranked:
            break
        path.append(replies[0] if len(replies) == 1 else _ranked_as(min, ranked, how, at))
    return None if name in PAIRED and REPLIES in tree and not is_answer(tree) else path


def _replies(message: Mapping[str, Any], how: Conversation, at: str) -> Sequence[Mapping[str, Any]]:
    found: object = message.get(REPLIES)
    if found is None:
        return ()
    if not is_list(found) or not all(isinstance(one, Mapping) for one in found):
        raise DataError(f"{at}: `{REPLIES}` in `{how.column}` is no list of messages")
    return cast("Sequence[Mapping[str, Any]]", found)


def _ranked_as(
    end: Callable[[Iterable[float]], float],
    ranked: Sequence[tuple[float, Mapping[str, Any]]],
    how: Conversation,
    at: str,
) -> Mapping[str, Any]:
    """Return the one reply with the lowest or the highest rank."""
    wanted = end(rank for rank, _ in ranked)
    found = [one for rank, one in ranked if rank == wanted]
    if len(found) != 1:
        raise DataError(f"{at}: {len(found)} replies in `{how.column}` have the {RANK} {wanted}")
    return found[0]
