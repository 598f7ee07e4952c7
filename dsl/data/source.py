"""Sources of rows, and the meaning of their columns."""

import re
from string import Formatter
from typing import Annotated, Literal

from pydantic import Field, StrictInt, field_validator

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
    """Over the names and contents of a folder's files; `hub` is then its place now."""


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


class Columns(Value):
    """Columns by meaning."""

    item: Selector | None = None
    instruction: Selector | None = None
    input: Selector | None = None
    """Text put below the instruction where it is not empty."""
    response: Selector | None = None
    chosen: Selector | None = None
    rejected: Selector | None = None
    answers: Selector | None = None
    """One text or a list of texts; null and the empty text are no answer."""
    reference: Selector | None = None
    category: Selector | None = None
    language: Written | LanguageColumn | None = None
    """For one file that holds several languages: only rows of the step's language are taken."""
    extra: dict[Name, Selector] = {}
