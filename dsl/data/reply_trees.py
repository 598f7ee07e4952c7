"""Trees of replies, as Open Assistant exports them: a message whose `replies` are messages with replies.

One conversation is read of each tree, that of the best-ranked replies, as in the sets of "top 1" paths that
people train on.
"""

from collections.abc import Mapping, Sequence
from typing import Any, cast

from dsl.data.selectors import is_list
from dsl.data.source import Conversation
from dsl.errors import DataError

REPLIES, RANK = "replies", "rank"
"""Keys of a message's replies, and of its place among those to the same message, 0 for the best."""

PAIRED = ("chosen", "rejected")


def best_path(tree: Mapping[str, Any], how: Conversation, name: str, at: str) -> list[Mapping[str, Any]]:
    """Return the messages from a tree's root along the best-ranked replies; a message alone is its own path.

    The path ends where several replies have no rank. `name` is the column's meaning.

    Raises:
        DataError: the replies are no list of messages, two share the best rank, or pairs are asked for.
    """
    path = [tree]
    while replies := _replies(path[-1], how, at):
        if name in PAIRED:
            raise DataError(
                f"{at}: `{how.column}` holds a tree of replies, of which `messages` reads the conversation of"
                f" the best-ranked. A pair is two replies to one message: save each as a row with its"
                f" {' and '.join(PAIRED)}"
            )
        if (best := _best(replies, how, at)) is None:
            break
        path.append(best)
    return path


def _replies(message: Mapping[str, Any], how: Conversation, at: str) -> Sequence[Mapping[str, Any]]:
    found: object = message.get(REPLIES)
    if found is None:
        return ()
    if not is_list(found) or not all(isinstance(one, Mapping) for one in found):
        raise DataError(f"{at}: `{REPLIES}` in `{how.column}` is no list of messages")
    return cast("Sequence[Mapping[str, Any]]", found)


def _best(replies: Sequence[Mapping[str, Any]], how: Conversation, at: str) -> Mapping[str, Any] | None:
    """Return the only reply, or the one with the lowest rank; None where none of several has a rank."""
    if len(replies) == 1:
        return replies[0]
    ranked = [(rank, one) for one in replies if isinstance(rank := one.get(RANK), int | float)]
    if not ranked:
        return None
    lowest = min(rank for rank, _ in ranked)
    best = [one for rank, one in ranked if rank == lowest]
    if len(best) != 1:
        raise DataError(f"{at}: {len(best)} replies in `{how.column}` have the {RANK} {lowest}")
    return best[0]
