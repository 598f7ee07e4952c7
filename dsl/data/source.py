"""Sources of rows, and the meaning of their columns."""

import re
from typing import Annotated, Literal, Self

from pydantic import Field, StrictInt, field_validator, model_validator

from dsl.values import Name, Sha256, Value


class FileSource(Value):
    """One data file."""

    source: Literal["file"] = "file"
    path: str
    """Its place now; its content counts, not its place."""
    sha256: Sha256
    format: Literal["json", "jsonl", "csv", "tsv", "parquet"]
    header: bool = True
    """The first line of a CSV or TSV file names the columns."""


class HubSource(Value):
    """A split of a data set on the Hugging Face hub."""

    source: Literal["hub"] = "hub"
    hub: str
    name: str | None = None
    """The configuration."""
    split: str
    revision: str | None = None


Source = Annotated[FileSource | HubSource, Field(discriminator="source")]


class Part(Value):
    """A part of a column's text: what the pattern's first group matches (`81` of `81_FR`)."""

    column: str | StrictInt
    pattern: str

    @field_validator("pattern")
    @classmethod
    def _compiles(cls, pattern: str) -> str:
        try:
            re.compile(pattern)
        except re.error as error:
            raise ValueError(f"this is no regular expression: {error}") from error
        return pattern


class RowNumber(Value):
    """The row's number in the file, from 1."""

    row_number: Literal[True]


Selector = str | StrictInt | Part | RowNumber
"""A key, a dotted path with list indices (`instances.0.output`), a column's number (from 0) in a file without
a header, or a part of one."""


class Conversation(Value):
    """A column that holds a conversation, and the names that it has for things.

    Known without settings: the keys role and content, or from and value; the roles system, user, human,
    prompter, assistant, gpt, chatgpt and bot.
    """

    column: str | StrictInt
    """A key or a dotted path that leads to a list of messages, or to a transcript."""
    role: str | None = None
    """The key of a message's role."""
    content: str | None = None
    """The key of its text."""
    roles: dict[str, Literal["system", "user", "assistant"]] = {}
    """Role as the file names it -> role as a chat template knows it."""
    transcript: dict[str, str] | None = None
    """The column holds one text, in which each turn begins with the mark of its role, as
    `{human: "\\n\\nHuman:", assistant: "\\n\\nAssistant:"}`."""

    @model_validator(mode="after")
    def _one_form(self) -> Self:
        if self.transcript is not None and (self.role or self.content):
            raise ValueError("`role` and `content` are keys of messages; a transcript has none")
        if self.transcript is not None and (len(self.transcript) < 2 or not all(self.transcript.values())):
            raise ValueError('name the mark of each role, as `{human: "Human:", assistant: "Assistant:"}`')
        return self


class Columns(Value):
    """Columns by meaning."""

    item: Selector | None = None
    messages: Conversation | str | None = None
    """A conversation: the last question is the instruction, the answer to it the response."""
    turns: tuple[Selector, ...] = ()
    """Questions that are asked one after the other, each behind the model's own answers to those before:
    `[turn_1, turn_2]`, or `[turns.0, turns.1]` of a list."""
    system: Selector | None = None
    """A system message of the row's own."""
    instruction: Selector | None = None
    input: Selector | None = None
    """Text put below the instruction where it is not empty."""
    response: Selector | None = None
    chosen: Selector | Conversation | None = None
    """The better answer: a text, a message, or the whole conversation that it ends."""
    rejected: Selector | Conversation | None = None
    answers: Selector | None = None
    reference: Selector | tuple[Selector, ...] | None = None
    """A reference answer; where `turns` are asked, one for each."""
    category: Selector | None = None
    language: Selector | None = None
    """For one file that holds several languages: only rows of the step's language are taken."""
    extra: dict[Name, Selector] = {}

    @property
    def in_turn(self) -> tuple[int | None, ...]:
        """The turns that are asked one after the other, from 1; None alone where a row asks once."""
        return tuple(range(1, len(self.turns) + 1)) or (None,)

    @model_validator(mode="after")
    def _one_question(self) -> Self:
        asks = [
            name for name in ("messages", "turns", "instruction") if getattr(self, name) not in (None, ())
        ]
        if len(asks) > 1:
            raise ValueError(f"{' and '.join(asks)} all say what is asked; name one of them")
        if self.input is not None and self.instruction is None and asks:
            raise ValueError(f"`input` stands below an `instruction`; `{asks[0]}` has none")
        answers = [name for name in ("response", "chosen", "rejected") if getattr(self, name) is not None]
        if self.turns and answers:
            raise ValueError(f"`turns` are asked; {', '.join(answers)} can be learnt from `messages`")
        if isinstance(self.reference, tuple) and len(self.reference) != max(1, len(self.turns)):
            raise ValueError(f"`reference` names {len(self.reference)} columns, and not one for each turn")
        if len(self.turns) == 1:
            raise ValueError("`turns` names two questions or more; of one write `instruction`")
        return self


class References(Value):
    """Reference answers from another file, as the columns of its rows."""

    source: Source
    item: Selector
    reference: Selector | tuple[Selector, ...]
