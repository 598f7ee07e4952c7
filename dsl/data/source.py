"""Sources of rows, and the meaning of their columns."""

import re
from typing import Annotated, Literal

from pydantic import Field, StrictInt, field_validator

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
    reference: Selector | None = None
    category: Selector | None = None
    language: Selector | None = None
    """For one file that holds several languages: only rows of the step's language are taken."""
    extra: dict[Name, Selector] = {}
