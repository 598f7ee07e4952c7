"""Paths into a conversation by position: refused where the role does not fit, however the list is written."""

from typing import Any

import pytest

from dsl.data.examples import Reader, examples
from dsl.data.positions import check_role
from dsl.data.records import Example
from dsl.data.source import Columns
from dsl.errors import DataError


def read(*rows: dict[str, Any], **columns: Any) -> list[Example]:
    named = Columns.model_validate({"item": {"row_number": True}, **columns})
    return list(examples(rows, Reader(named, "en", None, "d.jsonl")))


def messages(role: str, text: str, *said: tuple[str, str]) -> list[dict[str, str]]:
    return [{role: who, text: what} for who, what in said]


ASKED = (("user", "Capital of Peru?"), ("assistant", "Lima."))
BOT_FIRST = (("bot", "Welcome."), ("user", "Capital of Peru?"))
SYSTEM_FIRST = (("system", "Be brief."), ("human", "Capital of Peru?"))


@pytest.mark.parametrize(
    ("row", "path", "why", "instead"),
    [
        ({"m": messages("speaker", "text", *BOT_FIRST)}, "m.{}.text", "assistant", "role: speaker"),
        ({"m": messages("role", "text", *SYSTEM_FIRST)}, "m.{}.text", "system", "content: text"),
        ({"m": messages("from", "content", *BOT_FIRST)}, "m.{}.content", "assistant", "role: from"),
        ({"m": messages("party", "utterance", *BOT_FIRST)}, "m.{}.utterance", "assistant", "role: party"),
        ({"m": [list(one) for one in SYSTEM_FIRST]}, "m.{}.1", "system", "Save each turn"),
        ({"m": [[text, role] for role, text in BOT_FIRST]}, "m.{}.0", "assistant", "Save each turn"),
        ({"m": [{"assistant": "Hi."}, {"user": "Capital of Peru?"}]}, "m.0.assistant", "assistant", "Save"),
        (
            {"c": {"from": ["system", "human"], "value": ["Be brief.", "Capital of Peru?"]}},
            "c.value.{}",
            "system",
            "`messages: c`",
        ),
        (
            {"c": {"speaker": ["bot", "user"], "text": ["Hi.", "Capital of Peru?"]}},
            "c.text.{}",
            "assistant",
            "`messages: {column: c, role: speaker, content: text}`",
        ),
        ({"roles": ["bot", "user"], "texts": ["Hi.", "Capital?"]}, "texts.{}", "assistant", "Save each turn"),
        ({"x": [{"m": messages("speaker", "text", *BOT_FIRST)}]}, "x.0.m.{}.text", "assistant", "x.0.m"),
    ],
)
def test_a_position_in_any_list_that_says_who_speaks_is_checked(
    row: dict[str, Any], path: str, why: str, instead: str
) -> None:
    with pytest.raises(DataError, match=f"row 1: `.*` is what the {why} says, and no `instruction`") as told:
        read(row, instruction=path.format(0))
    assert instead in str(told.value)


@pytest.mark.parametrize(
    ("row", "path"),
    [
        ({"m": messages("speaker", "text", *ASKED)}, "m.{}.text"),
        ({"m": [list(one) for one in ASKED]}, "m.{}.1"),
        ({"c": {"from": ["human", "gpt"], "value": ["Capital of Peru?", "Lima."]}}, "c.value.{}"),
    ],
)
def test_turns_that_a_path_leaves_out_are_refused_and_roles_that_fit_are_read(
    row: dict[str, Any], path: str
) -> None:
    (example,) = read(row, instruction=path.format(0), response=path.format(-1))
    assert (example.instruction, example.response) == ("Capital of Peru?", "Lima.")
    with pytest.raises(DataError, match="has 2 turns, and the columns leave out `assistant`"):
        read(row, instruction=path.format(0))


def test_exchanges_under_the_names_of_roles_are_a_conversation() -> None:
    row = {
        "m": [{"user": "Capital of Peru?", "assistant": "Lima."}, {"user": "Of Chile?", "assistant": "No."}]
    }
    with pytest.raises(DataError, match="`m` has 4 turns, and the columns leave out `user`, `assistant`"):
        read(row, instruction="m.0.user", response="m.0.assistant")


def test_a_role_that_is_not_known_is_asked_for() -> None:
    row = {"m": messages("speaker", "text", ("customer", "Hi."), ("user", "Capital of Peru?"))}
    with pytest.raises(DataError, match=r"role `customer` .*roles: \{customer: assistant\}"):
        read(row, instruction="m.1.text")


@pytest.mark.parametrize(
    ("row", "path"),
    [
        ({"m": messages("model", "text", ("gpt", "Lima."), ("llama", "Quito."))}, "m.0.text"),
        ({"m": messages("source", "text", ("human", "Lima."), ("chatgpt", "Quito."))}, "m.0.text"),
        ({"m": messages("id", "text", ("a", "Lima."), ("b", "Quito."))}, "m.0.text"),
        ({"m": [["a", "Lima."], ["b", "Quito."]]}, "m.0.1"),
        ({"c": {"label": ["A", "B"], "text": ["Lima.", "Quito."]}}, "c.text.0"),
    ],
)
def test_lists_of_several_texts_are_no_conversations(row: dict[str, Any], path: str) -> None:
    assert read({"q": "Capital?", **row}, instruction="q", response=path)[0].response == "Lima."


def test_a_single_column_is_checked_by_itself() -> None:
    row = {"m": messages("speaker", "text", *ASKED)}
    check_role(row, "m.1.text", "response", "assistant", 1, "r.jsonl: row 1")
    check_role(row, {"row_number": True}, "response", "assistant", 1, "r.jsonl: row 1")
    with pytest.raises(
        DataError, match=r"r.jsonl: row 1: `m.0.text` is what the user says, and no `response`"
    ):
        check_role(row, "m.0.text", "response", "assistant", 1, "r.jsonl: row 1")
