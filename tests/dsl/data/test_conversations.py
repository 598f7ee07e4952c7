"""Conversations in rows: roles decide, earlier turns stay, and what cannot be read so is refused or told."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from dsl.data.conversations import (
    ENDS_WITH_QUESTION,
    LATER_QUESTION,
    NO_TEXT,
    NOT_LEARNT,
    OTHER_PROMPT,
    PROMPTS_DIFFER,
    SYSTEM_UNNAMED,
)
from dsl.data.examples import Reader, Told, examples
from dsl.data.records import Example, Message
from dsl.data.source import Columns
from dsl.data.turns import NO_MESSAGES
from dsl.errors import DataError


def read(
    *rows: dict[str, Any], told: Told | None = None, turn: int | None = None, **columns: Any
) -> list[Example]:
    named = Columns.model_validate({"item": {"row_number": True}, **columns})
    return list(examples(rows, Reader(named, "en", None, "d.jsonl", turn, {} if told is None else told)))


def said(*turns: str, keys: tuple[str, str] = ("role", "content")) -> list[dict[str, str]]:
    """Messages of `u: …`, `a: …` and `s: …`."""
    roles = {"u": "user", "a": "assistant", "s": "system"}
    return [
        dict(zip(keys, (roles.get(role, role), text), strict=True))
        for role, text in (t.split(": ", 1) for t in turns)
    ]


def turns(example: Example) -> list[tuple[str, str]]:
    return [(one.role, one.content) for one in example.turns]


def test_sharegpt_roles_decide_what_is_asked_and_what_answers() -> None:
    keys = ("from", "value")
    one, two, three, four = read(
        {"c": said("human: Capital of Peru?", "gpt: Lima.", keys=keys)},
        {"c": said("system: Be brief.", "human: Capital of Chile?", "gpt: Santiago.", keys=keys)},
        {"c": said("human: I am Ana.", "gpt: Hi Ana.", "human: Who am I?", "gpt: Ana.", keys=keys)},
        {"c": said("gpt: How can I help?", "human: Say B.", "gpt: B.", "human: bye", keys=keys)},
        messages="c",
    )
    assert (turns(one), one.instruction, one.response) == ([], "Capital of Peru?", "Lima.")
    assert (turns(two), two.instruction, two.response) == (
        [("system", "Be brief.")],
        "Capital of Chile?",
        "Santiago.",
    )
    assert turns(three) == [("user", "I am Ana."), ("assistant", "Hi Ana.")]
    assert (three.instruction, three.response) == ("Who am I?", "Ana.")
    assert [role for role, _ in turns(four)] == ["assistant", "user", "assistant"]
    assert (four.instruction, four.response) == ("bye", None)


def test_other_keys_and_role_names_are_mapped() -> None:
    (found,) = read(
        {"log": [{"who": "client", "said": "Hi"}, {"who": "agent", "said": "Hello"}]},
        messages={
            "column": "log",
            "role": "who",
            "content": "said",
            "roles": {"client": "user", "agent": "assistant"},
        },
    )
    assert (found.instruction, found.response) == ("Hi", "Hello")


@pytest.mark.parametrize(
    ("messages", "why"),
    [
        (
            [{"who": "user", "text": "x"}],
            "keys `who`, `text`; role and content, or from and value, are known",
        ),
        (
            said("tool: x"),
            "has the role `tool`. Known are system, user, .* Say what it is: `roles: {tool: user}`",
        ),
        (said("u: x", "s: y"), "a system message behind other turns; it stands first"),
        (
            said("u: x", "a: y", "a: z"),
            "ends with a question, or with one answer to it, not user, assistant, assistant",
        ),
        ("Human: x", "holds no list of messages. Of a text with marks write .*transcript"),
        ('[{"role": "user", "content": "x"}]', "a list of messages as one text. Save it as a list"),
        (said("a: x"), "an answer alone: nobody asks"),
        ([{"role": "user", "content": {"type": "text"}}], "a mapping as content, not text"),
        (
            [{"role": "user", "content": [{"type": "text", "text": "a"}] * 2}],
            "has the parts `text`, `text`; one `text` is read",
        ),
        ([{"role": "user", "content": [{"type": "image_url"}]}], "has the parts `image_url`; one"),
    ],
)
def test_what_is_no_conversation_is_refused_with_row_and_reason(messages: Any, why: str) -> None:
    with pytest.raises(DataError, match=f"^d.jsonl: row 2: .*{why}"):
        read({"c": said("u: x", "a: y")}, {"c": messages}, messages="c")


def test_one_text_part_of_a_chat_server_is_its_text() -> None:
    (found,) = read({"c": [{"role": "user", "content": [{"type": "text", "text": "x"}]}]}, messages="c")
    assert found.instruction == "x"


@pytest.mark.parametrize("called", [{"tool_calls": [{"id": "1"}]}, {"function_call": {"name": "f"}}])
def test_a_message_that_calls_a_tool_is_refused_whatever_it_also_says(called: Any) -> None:
    row = {"c": [*said("u: x"), {"role": "assistant", "content": "Let me look.", **called}]}
    with pytest.raises(DataError, match=f"row 1: a message in `c` calls a tool, in `{next(iter(called))}`"):
        read(row, messages="c")


def weighted(*weights: object, key: str = "weight") -> list[dict[str, Any]]:
    """A question and an answer for each weight; null has none."""
    return [
        message
        for n, weight in enumerate(weights)
        for message in (
            {"role": "user", "content": f"q{n}"},
            {"role": "assistant", "content": f"a{n}", **({} if weight is None else {key: weight})},
        )
    ]


@pytest.mark.parametrize(
    ("key", "out", "in_"), [("weight", 0, 1), ("weight", 0.0, 1.0), ("train", False, True)]
)
def test_an_earlier_answer_of_weight_0_is_kept_and_out_of_the_loss(
    key: str, out: object, in_: object
) -> None:
    (one,) = read({"m": weighted(out, in_, None, key=key)}, messages="m")
    assert [(turn.content, turn.weight) for turn in one.turns[1::2]] == [("a0", 0), ("a1", 1)]
    assert one.response == "a2"


@pytest.mark.parametrize("column", ["messages", "response"])
def test_a_last_answer_of_weight_0_is_not_learnt_and_told(column: str) -> None:
    told: Told = {}
    columns: dict[str, Any] = {column: "m"}
    (one,) = read({"m": weighted(1, 0)}, told=told, **columns)
    assert (one.instruction, one.response) == ("q1", None)
    assert told == {NOT_LEARNT: ["1"]}


@pytest.mark.parametrize("weight", [0.5, 2, "0", [1]])
def test_a_weight_that_is_neither_0_nor_1_is_refused(weight: object) -> None:
    with pytest.raises(
        DataError, match=r"row 1: a message in `m` has the `weight` .*; it is 0, out of the loss"
    ):
        read({"m": weighted(weight)}, messages="m")


def test_a_message_under_two_pairs_of_keys_is_read_where_they_agree_and_refused_where_not() -> None:
    both = [{"role": "user", "content": "Why?", "from": "human", "value": "Why?"}]
    (one,) = read({"m": both}, messages="m")
    assert one.instruction == "Why?"
    for other in ({"value": "How?"}, {"from": "gpt"}):
        with pytest.raises(
            DataError,
            match=r"row 1: a message in `m` has role and content, and others in from and value\. Name those"
            r" that are meant: `\{column: m, role: role, content: content\}`",
        ):
            read({"m": [{**both[0], **other}]}, messages="m")
    (one,) = read(
        {"m": [{**both[0], "value": "How?"}]}, messages={"column": "m", "role": "from", "content": "value"}
    )
    assert one.instruction == "How?"


@pytest.mark.parametrize("label", [False, "False"])
def test_an_answer_that_a_label_calls_bad_is_refused_unless_it_is_said_what_the_label_is(
    label: object,
) -> None:
    rows = [
        {"prompt": "Say hi.", "completion": "Hi.", "label": True},
        {"prompt": "Say hi.", "completion": "No.", "label": label},
    ]
    with pytest.raises(DataError) as caught:
        read(*rows, instruction="prompt", response="completion")
    assert str(caught.value) == (
        "d.jsonl: row 2: the column `label` is false, as of a bad answer, which would be learnt like a good"
        " one. Keep the good ones by `where: {label: true}` beside the path; where the label says something"
        " else, name it: `extra: {label: label}`"
    )
    assert len(read(*rows, instruction="prompt", response="completion", extra={"label": "label"})) == 2
    words = {"column": "label", "values": {"true": "good", str(label): "bad", "false": "bad"}}
    kept = read(*rows, instruction="prompt", response="completion", category=words)
    assert [one.category for one in kept] == ["good", "bad"]
    assert len(read(*rows, instruction="prompt")) == 2
    assert len(read({"m": said("u: Hi."), "label": label}, messages="m")) == 1
    with pytest.raises(DataError, match="the column `label` is false"):
        read({"m": said("u: Hi.", "a: No."), "label": label}, messages="m")


def test_an_empty_system_message_is_none() -> None:
    messages = [{"role": "system", "content": " "}, *said("u: x", "a: y")]
    (found,) = read({"c": messages}, messages="c")
    assert (found.turns, found.instruction, found.response) == ((), "x", "y")


@pytest.mark.parametrize("nothing", [None, [], [{"role": "system", "content": ""}]])
def test_a_row_without_messages_is_left_out_and_told(nothing: Any) -> None:
    told: Told = {}
    (found,) = read({"c": nothing}, {"c": said("u: x")}, messages="c", told=told)
    assert (found.item, told) == ("2", {NO_MESSAGES: ["1"]})


def test_a_null_answer_is_missing_and_a_null_question_leaves_the_row_out() -> None:
    told: Told = {}
    null_answer: list[Any] = [
        {"role": "user", "content": "x"},
        {"role": "assistant", "content": None, "tool_calls": []},
    ]
    null_question = [{"role": "user", "content": None}, {"role": "assistant", "content": "y"}]
    found = read(
        {"c": null_answer}, {"c": null_question}, {"c": said("u: x", "a: y")}, messages="c", told=told
    )
    assert [(row.item, row.response) for row in found] == [("1", None), ("3", "y")]
    assert told == {NO_TEXT: ["2"]}


def test_a_null_answer_that_a_path_leads_to_is_missing() -> None:
    row = {"m": [{"role": "user", "content": "x"}, {"role": "assistant", "content": None}]}
    (found,) = read(row, instruction="m.0.content", response="m.1.content")
    assert found.response is None


PAIR = {
    "prompt": "Hi",
    "chosen": said("s: Be kind.", "u: Hi", "a: Hello!", "u: What did I say?", "a: Hi."),
    "rejected": said("s: Be kind.", "u: Hi", "a: Hello!", "u: What did I say?", "a: No idea."),
}


@pytest.mark.parametrize("asked", [{}, {"instruction": "prompt"}])
def test_whole_conversations_as_chosen_and_rejected_hold_the_prompt(asked: dict[str, Any]) -> None:
    (found,) = read(PAIR, chosen="chosen", rejected="rejected", **asked)
    assert turns(found) == [("system", "Be kind."), ("user", "Hi"), ("assistant", "Hello!")]
    assert (found.instruction, found.chosen, found.rejected) == ("What did I say?", "Hi.", "No idea.")


@pytest.mark.parametrize("of_row", [slice(None), 0])
def test_an_explicit_prompt_stands_beside_answers_as_messages(of_row: Any) -> None:
    row: dict[str, Any] = {
        "p": said("u: a", "a: b", "u: c"),
        "w": said("a: d")[of_row],
        "l": said("a: e")[of_row],
    }
    (found,) = read(row, messages="p", chosen="w", rejected="l")
    assert (turns(found), found.instruction) == ([("user", "a"), ("assistant", "b")], "c")
    assert (found.chosen, found.rejected) == ("d", "e")


def test_answers_as_messages_go_with_a_prompt_as_text() -> None:
    (found,) = read(
        {"q": "x", "w": said("a: d"), "l": said("a: e")}, instruction="q", chosen="w", rejected="l"
    )
    assert (found.instruction, found.chosen, found.rejected) == ("x", "d", "e")


def test_pairs_whose_conversations_differ_are_left_out_and_told() -> None:
    told: Told = {}
    other = {**PAIR, "rejected": said("u: Hello", "a: No.")}
    found = read(other, PAIR, chosen="chosen", rejected="rejected", told=told)
    assert [row.item for row in found] == ["2"]
    assert told == {PROMPTS_DIFFER: ["1"]}
    assert (
        read({**PAIR, "prompt": "Bye"}, instruction="prompt", chosen="chosen", rejected="rejected", told=told)
        == []
    )
    assert told[OTHER_PROMPT] == ["1"]


def test_a_pair_of_which_one_conversation_ends_with_a_question_is_left_out_and_told() -> None:
    told: Told = {}
    cut = {"w": said("u: x", "a: y"), "l": said("u: x", "a: z", "u: and?")}
    (found,) = read(cut, {**cut, "l": said("u: x", "a: z")}, chosen="w", rejected="l", told=told)
    assert (found.item, told) == ("2", {ENDS_WITH_QUESTION: ["1"]})


def test_answers_without_any_prompt_are_refused() -> None:
    with pytest.raises(
        DataError, match=r"row 1: `chosen` holds an answer alone, .* Name `instruction` or `messages`"
    ):
        read({"w": "d", "l": "e"}, chosen="w", rejected="l")


HH = {"human": "\n\nHuman:", "assistant": "\n\nAssistant:"}


def test_a_transcript_is_cut_at_its_marks() -> None:
    told: Told = {}
    common = "\n\nHuman: Hi\n\nAssistant: Hello.\n\nHuman: Tea?\n\nAssistant:"
    found = read(
        {"w": f"{common} Yes,\n\nplease.", "l": f"{common} No."},
        {"w": f"{common} Yes.", "l": "\n\nHuman: Hi\n\nAssistant: Bye."},
        chosen={"column": "w", "transcript": HH},
        rejected={"column": "l", "transcript": HH},
        told=told,
    )
    assert [(turns(row), row.instruction, row.chosen, row.rejected) for row in found] == [
        ([("user", "Hi"), ("assistant", "Hello.")], "Tea?", "Yes,\n\nplease.", "No.")
    ]
    assert told == {PROMPTS_DIFFER: ["2"]}


def test_a_transcript_that_begins_otherwise_is_refused() -> None:
    with pytest.raises(DataError, match=r"row 1: `t` begins with 'Question: a', not with a mark of `human`"):
        read({"t": "Question: a\n\nHuman: b"}, messages={"column": "t", "transcript": HH})


def test_an_error_about_a_transcript_shows_line_ends_and_a_mark() -> None:
    why = r"begins with '\\r\\n\\r\\nHuman: .*not with a mark of .*, such as '\\n\\nHuman:'"
    with pytest.raises(DataError, match=why):
        read({"t": "\r\n\r\nHuman: a"}, messages={"column": "t", "transcript": HH})


@pytest.mark.parametrize("end", ["<|im_end|>", "</s>", "<end_of_turn>"])
def test_a_transcript_with_the_marks_of_a_chat_template_is_refused(end: str) -> None:
    text = f"\n\nHuman: a{end}\n\nAssistant: b{end}"
    with pytest.raises(DataError, match=r"ends with .*which a chat template has put there\."):
        read({"t": text}, messages={"column": "t", "transcript": HH})


@given(st.lists(st.text("ab \n", min_size=1).map(str.strip).filter(bool), min_size=1, max_size=6))
def test_a_transcript_gives_back_what_was_written_into_it(texts: list[str]) -> None:
    marks = {"user": "### Human:", "assistant": "### Assistant:"}
    text = "".join(f"{list(marks.values())[i % 2]} {said}" for i, said in enumerate(texts))
    (found,) = read({"t": text}, messages={"column": "t", "transcript": marks})
    spoken = [*(one.content for one in found.turns), found.instruction, *filter(None, [found.response])]
    assert spoken == texts


def test_a_system_message_of_a_row_stands_first() -> None:
    (found,) = read({"s": "Be brief.", "q": "x", "a": "y"}, system="s", instruction="q", response="a")
    assert found.turns == (Message(role="system", content="Be brief."),)
    (none,) = read({"s": "", "q": "x", "a": "y"}, system="s", instruction="q", response="a")
    assert none.turns == ()
    with pytest.raises(DataError, match="has a system message, and `s` another"):
        read({"s": "Be brief.", "c": said("s: Be long.", "u: x")}, system="s", messages="c")


def test_a_column_system_that_is_left_out_is_told() -> None:
    told: Told = {}
    rows: list[dict[str, Any]] = [{"system": "Be brief.", "q": "x"}, {"system": "", "q": "y"}]
    read(*rows, instruction="q", told=told)
    assert told == {SYSTEM_UNNAMED: ["1"]}
    read(*rows, instruction="q", extra={"s": "system"}, told=(named := {}))
    assert named == {}


@pytest.mark.parametrize(
    ("row", "columns", "why"),
    [
        (
            {"c": said("s: Be a pirate.", "u: 1+1?", "a: Arr!")},
            {"instruction": "c.0.content", "response": "c.1.content"},
            "`c.0.content` is what the system says, and no `instruction`. Name .*: `messages: c`",
        ),
        (
            {"c": said("u: I am Ana.", "a: Hi.", "u: Who?", "a: Ana.")},
            {"instruction": "c.0.content", "response": "c.1.content"},
            "`c` has 4 turns, and the columns leave out .*user.*assistant.*: `messages: c`",
        ),
        (
            {"i": {"m": said("s: Think.", "u: x")}, "w": said("a: y"), "l": said("a: z")},
            {"instruction": "i.m.-1.content", "chosen": "w.0.content", "rejected": "l.0.content"},
            "`i.m` has 2 turns, and the columns leave out `system`. Name .*: `messages: i.m`",
        ),
        (
            {"q": "x", "w": said("s: t", "u: x", "a: y"), "l": said("s: t", "u: x", "a: z")},
            {"instruction": "q", "chosen": "w.1.content", "rejected": "l.1.content"},
            "`w.1.content` is what the user says, and no `chosen`. Name the conversation: `chosen: w`",
        ),
    ],
)
def test_a_path_by_position_is_refused_where_roles_do_not_fit_or_turns_are_left_out(
    row: dict[str, Any], columns: dict[str, Any], why: str
) -> None:
    with pytest.raises(DataError, match=f"row 1: {why}"):
        read(row, **columns)


@pytest.mark.parametrize(
    ("selector", "why"),
    [
        ({"column": "c.0.content", "pattern": ".*"}, "`c.0.content` is what the system says"),
        ({"column": "c.2.content", "values": {"y": "z"}}, "`c.2.content` is what the assistant says"),
        ({"template": "{c.1.content}!"}, "`c` has 3 turns, and the columns leave out `system`, `assistant`"),
    ],
)
def test_a_path_by_position_is_refused_in_every_kind_of_selector(selector: Any, why: str) -> None:
    with pytest.raises(DataError, match=f"row 1: {why}"):
        read({"c": said("s: Be a pirate.", "u: x", "a: y")}, instruction=selector)


def test_a_path_by_position_is_read_where_no_turn_is_lost() -> None:
    row = {"q": "x", "w": said("u: x", "a: y"), "l": said("u: x", "a: z")}
    (found,) = read(row, instruction="q", chosen="w.1.content", rejected="l.-1.content")
    assert (found.instruction, found.chosen, found.rejected) == ("x", "y", "z")


def test_questions_asked_in_turn_are_one_example_a_turn() -> None:
    rows = ({"t": ["Name a town.", "Why that one?"]}, {"t": ["Name a river."]})
    columns: dict[str, Any] = {"turns": ["t.0", "t.1"]}
    assert [row.instruction for row in read(*rows, turn=1, **columns)] == ["Name a town.", "Name a river."]
    told: Told = {}
    second = read(*rows, {"t": ["Name a lake.", " "]}, turn=2, told=told, **columns)
    assert [(row.item, row.instruction, turns(row)) for row in second] == [
        ("1", "Why that one?", [("user", "Name a town.")])
    ]
    assert told == {"without a question in turn 2": ["2", "3"]}
    with pytest.raises(DataError, match="row 1: `t` has 3 questions, and `turns` names 2"):
        read({"t": ["a", "b", "c"]}, turn=1, **columns)


def test_a_later_question_of_a_list_asked_alone_is_told() -> None:
    told: Told = {}
    read({"t": ["Name a town.", "Why?"]}, {"t": ["Name a river.", "Why?"]}, instruction="t.1", told=told)
    assert told == {LATER_QUESTION: ["1", "2"]}
    first: Told = {}
    read({"t": ["Name a town.", "Why?"]}, instruction="t.0", told=first)
    assert first == {}


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (said("u: x"), "`c` holds messages, not text. Write `messages: c` in the place of `instruction`"),
        (["a", "b"], r"`c` holds 2 texts. Questions .* `turns: \[c.0, c.1\]`"),
    ],
)
def test_a_list_as_the_question_is_refused_with_the_column_to_write(value: Any, why: str) -> None:
    with pytest.raises(DataError, match=f"row 1: {why}"):
        read({"c": value}, instruction="c")


@pytest.mark.parametrize(
    ("columns", "why"),
    [
        ({"messages": "m", "instruction": "q"}, "messages and instruction all say what is asked"),
        ({"messages": "m", "input": "i"}, "`input` stands below an `instruction`"),
        ({"turns": ["a", "b"], "response": "r"}, "`turns` are asked"),
        ({"turns": ["a"]}, "two questions or more"),
        ({"messages": {"column": "t", "transcript": {"human": "H:"}}}, "name the mark of each role"),
        ({"messages": {"column": "t", "role": "r", "transcript": HH}}, "a transcript has none"),
    ],
)
def test_columns_that_say_two_things_are_refused(columns: dict[str, Any], why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        Columns.model_validate(columns)


def test_a_reference_may_be_in_some_rows_alone_and_is_refused_where_it_is_in_none() -> None:
    rows = [{"q": "Describe a harbour."}, {"q": "What is 7 times 6?", "reference": ["42"]}]
    found = read(*rows, instruction="q", reference="reference.0")
    assert [row.reference for row in found] == [None, "42"]
    with pytest.raises(DataError, match="row 1: no column `refrence`;"):
        read(*rows, instruction="q", reference="refrence")
    with pytest.raises(DataError, match="row 2: `reference` holds a list, not text"):
        read(*rows, instruction="q", reference="reference")


def test_what_stands_beside_the_text_of_messages_is_counted_as_left_out() -> None:
    thought = {"role": "assistant", "content": "Lima.", "reasoning_content": "Peru …", "thinking": ""}
    shown = {"role": "user", "content": "Of Peru?", "images": ["a.png"]}
    told: Told = {}
    read({"m": [*said("u: Hi?"), thought]}, {"m": [shown, *said("a: Lima.")]}, told=told, messages="m")
    left = "which is neither asked nor learnt: text alone is"
    assert told == {
        f"with `reasoning_content` in a message, {left}": ["1"],
        f"with `images` in a message, {left}": ["2"],
    }
    told = {}
    read({"q": "What is this?", "image": "a.png"}, {"q": "What?", "image": None}, told=told, instruction="q")
    assert told == {"with something in `image`, which no model is shown: text alone is asked": ["1"]}


def test_lists_under_the_keys_of_messages_are_read_as_messages() -> None:
    row = {"m": {"role": ["user", "assistant"], "content": ["Of Peru?", "Lima."]}}
    (example,) = read(row, {"m": None}, messages="m")
    assert (example.instruction, example.response) == ("Of Peru?", "Lima.")
    row["m"]["role"].append("user")
    with pytest.raises(DataError, match="lists in `m` are of different lengths: `role` 3, `content` 2"):
        read(row, messages="m")


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (
            ["hi", "yo"],
            "none says who speaks. Save each turn as a mapping.*or write `instruction: m.0, response",
        ),
        (["hi", "yo", "so?", "no"], r"none says who speaks. Save each turn as a mapping, `\{[^}]*\}`$"),
        ([["user", "hi"], ["assistant", "yo"]], "a list whose entries are no mappings. Save each turn as a"),
        ("Human: hi", "Of a text with marks write"),
    ],
)
def test_what_is_no_list_of_messages_is_refused_with_what_to_save(value: Any, why: str) -> None:
    with pytest.raises(DataError, match=why):
        read({"m": value}, messages="m")


def test_a_role_may_be_true_or_false() -> None:
    rows = {"m": [{"is_bot": False, "content": "Of Peru?"}, {"is_bot": True, "content": "Lima."}]}
    named = {"column": "m", "role": "is_bot", "content": "content"}
    roles = {"false": "user", "true": "assistant"}
    assert read(rows, messages={**named, "roles": roles})[0].response == "Lima."
    with pytest.raises(DataError, match=r'roles: \{"false": user\}'):
        read(rows, messages=named)
