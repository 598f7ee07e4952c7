"""Rows as a spec names them: files here, a public file, or a data set on the hub."""

from typing import Any, Self, cast

from pydantic import Field, field_validator, model_validator

from dsl.data.public_files import check_public
from dsl.data.source import Format, Quoting, Where
from dsl.messages import unquoted_braces
from dsl.values import Name, Sha256, Value

Paths = str | tuple[str, ...]
"""A file, pattern or folder, or several."""


class Rows(Value):
    """Source of rows: files here, a public file, or a data set on the hub."""

    path: Paths | dict[Name, Paths] | None = None
    """A file, relative to the spec, or several of one format that are read as one: a list, a pattern
    (`train/*.jsonl`), or a folder. A list keeps its order; patterns and folders are read in the order of
    their paths. A file that is not there is looked for in the folder that the environment variable XP_DATA
    names. `{language}` stands for the cell's. Of recorded answers and verdicts also `{model}`, `{method}`,
    `{dataset}`, `{seed}` and `{turn}`, and there may be a map of files, `{gpt: a.jsonl, claude: b.jsonl}`,
    under the names of models, methods, data sets or languages."""
    url: str | None = None
    """A public file, `https://…`: fetched once, when the study is applied, and kept. The folder that XP_DATA
    names is looked through first, for a file of that hash."""
    sha256: Sha256 | None = None
    """With `url`: the SHA-256 of its bytes, in hex. Another file is refused."""
    format: Format | None = None
    """Without it, the file's ending says (`.gz` or `.zst` may follow)."""
    header: bool = True
    """The first line of a CSV or TSV file names the columns."""
    delimiter: str | None = Field(None, min_length=1, max_length=1)
    """The character between the values of a CSV or TSV file; without it, a comma or a tab."""
    quoting: Quoting | None = None
    """Quotes around values of a CSV or TSV file: `minimal` takes them away, `none` keeps them as text.
    Without it, a CSV file is read as `minimal`, and a TSV file as its quotes show."""
    field: str | None = None
    """The path to the rows inside of a JSON document, or of each row: `data`, or `data.*.paragraphs.*.qas`,
    with `*` for each element of a list. The keys around a row are its columns, too, from the top:
    `data.paragraphs.context`."""
    hub: str | None = None
    """A data set on the hub, or one in a folder: `./` or `../` and its place from the spec."""
    name: str | None = None
    """The data set's configuration. `{language}` may stand in it, as in `hub` and `split`."""
    split: str | None = None
    revision: str | None = None
    where: Where = {}
    """Column, or dotted path -> a value or a list of values: only rows that hold one of them are read."""

    @field_validator("path", mode="before")
    @classmethod
    def _is_quoted(cls, path: Any) -> Any:
        if isinstance(path, dict) and len(entries := list(cast("dict[str, Any]", path).items())) == 1:
            name, file = entries[0]
            if file is None:
                raise ValueError(unquoted_braces(f"{{{name}}}").removesuffix("."))
        return cast("Any", path)

    @field_validator("delimiter", mode="before")
    @classmethod
    def _is_a_character(cls, delimiter: Any) -> Any:
        if delimiter in ("\\t", "tab", "TAB"):
            raise ValueError('a tab is written in double quotes: `delimiter: "\\t"`')
        return delimiter

    @field_validator("where", mode="before")
    @classmethod
    def _listed(cls, where: Any) -> Any:
        if not isinstance(where, dict):
            return where
        columns = cast("dict[str, Any]", where).items()
        return {
            column: cast("Any", one) if isinstance(one, list | tuple) else (one,) for column, one in columns
        }

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if sum(place is not None for place in (self.path, self.url, self.hub)) != 1:
            raise ValueError("name exactly one of `path`, `url` and `hub`")
        if () in (self.path, *(self.path.values() if isinstance(self.path, dict) else ())):
            raise ValueError("`path` is an empty list. Name a file")
        if (self.url is None) != (self.sha256 is None):
            raise ValueError("`url` and `sha256` belong together: the hash says which file is meant")
        if self.hub is None:
            if self.name or self.split or self.revision:
                raise ValueError("`name`, `split` and `revision` are for a data set on the hub, `hub: …`")
        elif self.split is None:
            raise ValueError("a data set on the hub needs its `split`")
        elif named := [name for name in _OF_FILES if getattr(self, name) != Rows.model_fields[name].default]:
            raise ValueError(f"`{named[0]}` is for files; `datasets` reads a data set on the hub")
        return self

    @model_validator(mode="after")
    def _public(self) -> Self:
        if self.url is not None:
            check_public(self.url)
        return self


_OF_FILES = ("format", "header", "delimiter", "quoting", "field")
