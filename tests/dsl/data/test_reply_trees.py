"""Trees of replies: the conversation or the pair that is read of each, and what is refused."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsl.data.examples import Reader, Told, examples
from dsl.data.records import Example
from dsl.data.source import Columns, Conversation
from dsl.data.turns import NO_PAIR
from dsl.errors import DataError

TREE = {"column": "prompt", "role": "role", "content": "text"}
PAIRED = Conversation.model_validate(TREE)


def message(
    text: str, *replies: dict[str, Any], rank: object = None, role: str = "prompter"
) -> dict[str, Any]:
    return {"text": text, "role": role, "rank": rank, "replies": list(replies)}


def answer(text: str, *replies: dict[str, Any], rank: object = None) -> dict[str, Any]:
    return message(text, *replies, rank=rank, role="assistant")


def read(tree: dict[str, Any], **columns: Any) -> Example:
    named = Columns.model_validate(columns or {"messages": TREE})
    (row,) = examples([{"prompt": tree}], Reader(named, "en", None, "f.jsonl"))
    return row


def said(row: Example) -> list[str | None]:
    return [*(turn.content for turn in row.turns), row.instruction, row.response]


def test_the_conversation_of_the_best_ranked_replies_is_read() -> None:
    tree = message(
        "q1",
        answer("worse", message("never", answer("never")), rank=1),
        answer("best", message("other", rank=1), message("q2", answer("a2"), rank=0), rank=0),
    )
    assert said(read(tree)) == ["q1", "best", "q2", "a2"]


@given(st.permutations(range(5)))
def test_the_order_of_replies_in_the_file_does_not_matter(ranks: list[int]) -> None:
    tree = message("q", *(answer(f"a{rank}", rank=rank) for rank in ranks), answer("unranked"))
    assert said(read(tree)) == ["q", "a0"]


def test_a_path_ends_before_replies_of_which_none_is_ranked_and_with_an_answer() -> None:
    assert said(read(message("q", answer("a"), answer("b")))) == ["q", None]
    assert said(read(message("q", answer("a", message("x"), message("y"))))) == ["q", "a"]
    assert said(read(message("q", answer("a", message("nobody answered"))))) == ["q", "a"]


def test_a_message_without_replies_is_a_question_alone() -> None:
    assert said(read(message("q"))) == ["q", None]
    assert said(read({"text": "q", "role": "prompter", "replies": None})) == ["q", None]


@pytest.mark.parametrize(
    ("tree", "why"),
    [
        (
            message("q", answer("a", rank=0), answer("b", rank=0)),
            "row 1: 2 replies in `prompt` have the rank 0",
        ),
        (
            {"text": "q", "role": "prompter", "replies": "none"},
            "`replies` in `prompt` is no list of messages",
        ),
    ],
)
def test_what_has_no_best_path_is_refused(tree: dict[str, Any], why: str) -> None:
    with pytest.raises(DataError, match=why):
        read(tree)


def pair(tree: dict[str, Any], told: Told | None = None) -> list[tuple[str | None, ...]]:
    """Turns, question, chosen and rejected answer; nothing where the row is left out."""
    reader = Reader(
        Columns(chosen=PAIRED, rejected=PAIRED), "en", None, "f.jsonl", told={} if told is None else told
    )
    rows = list(examples([{"prompt": tree}], reader))
    return [
        (*(turn.content for turn in row.turns), row.instruction, row.chosen, row.rejected) for row in rows
    ]


def test_a_pair_is_the_best_and_the_worst_answer_to_the_first_question_with_two_ranked_ones() -> None:
    ranked = [answer("second", rank=1), answer("worst", rank=2), answer("best", rank=0), answer("unranked")]
    assert pair(message("q", *ranked)) == [("q", "best", "worst")]
    only = message("q1", answer("a1", message("q2", *ranked, rank=0), message("other", rank=1)))
    assert pair(only) == [("q1", "a1", "q2", "best", "worst")]
    followed = message("q1", answer("a", rank=0), answer("b", message("q2", *ranked), rank=1))
    assert pair(followed) == [("q1", "a", "b")]


@pytest.mark.parametrize(
    "tree",
    [
        message("q"),
        message("q", answer("a", rank=0)),
        message("q", answer("a", rank=0), answer("b")),
        message("q", answer("a", message("q2", rank=0), message("q3", rank=1))),
    ],
)
def test_a_tree_without_two_ranked_answers_to_a_question_is_left_out_and_told(tree: dict[str, Any]) -> None:
    told: Told = {}
    assert pair(tree, told) == []
    assert told == {NO_PAIR: ["1"]}


def test_two_answers_of_the_worst_rank_are_no_pair() -> None:
    tree = message("q", answer("a", rank=0), answer("b", rank=1), answer("c", rank=1))
    with pytest.raises(DataError, match="row 1: 2 replies in `prompt` have the rank 1"):
        pair(tree)


def test_answers_that_are_messages_are_read_as_they_are() -> None:
    columns = Columns(instruction="q", chosen="good", rejected="bad")
    row = {"q": "Why?", "good": answer("a") | {"content": "a"}, "bad": {"role": "assistant", "content": "b"}}
    (read_row,) = examples([row], Reader(columns, "en", None, "f.jsonl"))
    assert (read_row.chosen, read_row.rejected) == ("a", "b")
