"""Sources of rows, and the meaning of their columns."""

import re
from pathlib import PurePath
from string import Formatter
from typing import Annotated, Literal, Self

from pydantic import Field, StrictInt, field_validator, model_validator

from dsl.values import Language, Name, Scalar, Sha256, Value

Format = Literal["json", "jsonl", "csv", "tsv", "parquet", "arrow"]
Quoting = Literal["minimal", "none"]
"""Quotes around values of a separated file, as `csv` names them: put by the writer, or part of the text."""

Where = dict[str, tuple[Scalar, ...]]
"""Column, or dotted path -> the values of the rows to keep."""


class DataFile(Value):
    """One of a source's files."""

    path: str
    sha256: Sha256


class FileSource(Value):
    """One data file, or several of one format that are read as one."""

    source: Literal["file"] = "file"
    path: str
    """Its place now; its content counts, not its place. Of several files, the path that names them."""
    sha256: Sha256
    """Digest of its bytes; of several files, over their digests in order."""
    format: Format
    header: bool = True
    """The first line of a CSV or TSV file names the columns."""
    delimiter: str | None = None
    quoting: Quoting | None = None
    field: str | None = None
    """The path of the rows inside of a document, or of the file's rows."""
    where: Where = {}
    files: tuple[DataFile, ...] = ()
    """Several files in their order; empty for one."""
    url: str | None = None
    """The place it is fetched from where it is not there."""

    @property
    def title(self) -> str:
        """A name for people."""
        return PurePath(self.url or self.path).name

    @property
    def at(self) -> str:
        """Its place, for errors about rows, which are counted among those that `where` keeps."""
        return self.path + _kept(self.where)


class HubSource(Value):
    """A split of a data set on the Hugging Face hub, or of one in a folder."""

    source: Literal["hub"] = "hub"
    hub: str
    name: str | None = None
    """The configuration."""
    split: str
    revision: str | None = None
    where: Where = {}
    sha256: Sha256 | None = None
    """Digest over the names and contents of a folder's files; `hub` is then its place now."""

    @property
    def title(self) -> str:
        """A name for people."""
        return self.hub if self.sha256 is None else PurePath(self.hub).name

    @property
    def at(self) -> str:
        """Its place, for errors about rows, which are counted among those that `where` keeps."""
        return self.hub + _kept(self.where)


def _kept(where: Where) -> str:
    return f" (rows that `where: {{{', '.join(where)}}}` keeps)" if where else ""


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
    """The row's number in the file, or among the rows that `where` keeps, from 1."""

    row_number: Literal[True]


class Template(Value):
    """A text made of several columns: `"{passage}\\n\\n{question}"`. Braces that are meant are doubled."""

    template: str

    @field_validator("template")
    @classmethod
    def _names_columns(cls, template: str) -> str:
        try:
            parts = list(Formatter().parse(template))
        except ValueError as error:
            raise ValueError(f"{error}. Double the braces that are meant: `{{{{` and `}}}}`") from error
        names = [part[1:] for part in parts if part[1] is not None]
        if not names:
            raise ValueError("it names no column: write each in braces, as `{question}`")
        if wrong := ["".join(filter(None, one)) for one in names if not one[0] or any(one[1:])]:
            raise ValueError(f"braces hold a column's name or path and nothing else; found {wrong[0]!r}")
        return template

    def pieces(self) -> tuple[tuple[str, str | None], ...]:
        """Return each piece of text with the column that follows it, None at the end."""
        return tuple((text, column) for text, column, _, _ in Formatter().parse(self.template))


class Mapped(Value):
    """A column whose values stand for texts, as `{column: label, values: {"0": A, "1": B}}`."""

    column: str | StrictInt
    values: dict[str, str] = Field(min_length=1)
    """Value of the column -> its text; `"true"` and `"false"` are values, too."""


Written = str | StrictInt | Part | RowNumber | Template
Selector = Written | Mapped
"""A key, a dotted path with list indices (`instances.0.output`; `answers.*.text` for every entry's), a
column's number (from 0) in a file without a header, a part of one, a text of several, or what one stands
for."""


class LanguageColumn(Value):
    """A column that calls languages otherwise than the study does: each of these -> its name there."""

    column: str | StrictInt
    values: dict[Language, str]
    """Language of the study -> its name in the column, as `{fr: fra, zh-Hant: ZH}`; one that is not here has
    its own code there."""


class Conversation(Value):
    """A column that holds a conversation, and the names that it has for things.

    Known without settings: the keys role and content, or from and value; the roles system, user, human,
    prompter, assistant, gpt, chatgpt and bot.
    """

    column: str | StrictInt
    """A key or a dotted path that leads to a list of messages (or to lists under the keys of one), to a
    transcript, or to a tree: a message with `replies`, of which the conversation of the best-ranked (`rank`,
    from 0) is read. As `chosen` and `rejected`, a tree is the best and the worst answer to the first question
    with several ranked ones."""
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
    """One text or a list of texts; null and the empty text are no answer."""
    reference: Selector | tuple[Selector, ...] | None = None
    """A reference answer; where `turns` are asked, one for each. Some rows may lack the column."""
    category: Selector | None = None
    language: Written | LanguageColumn | None = None
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
