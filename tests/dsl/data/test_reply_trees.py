"""Trees of replies: the conversation that is read of each, and what is refused."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsl.data.examples import Reader, examples
from dsl.data.records import Example
from dsl.data.source import Columns
from dsl.errors import DataError

TREE = {"column": "prompt", "role": "role", "content": "text"}


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


def test_pairs_are_not_read_of_a_tree_and_it_says_what_to_save() -> None:
    tree = message("q", answer("a", rank=0), answer("b", rank=1))
    with pytest.raises(DataError, match="save each as a row with its chosen and rejected"):
        read(tree, chosen=TREE, rejected=TREE)
