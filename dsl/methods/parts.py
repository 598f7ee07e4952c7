"""Parts of a spec that methods and the experiment share: models, data sets, prompts."""

from typing import Any, Literal, Self, cast

from pydantic import Field, field_validator, model_validator

from dsl.data.public_files import check_public
from dsl.data.source import Columns, Format, Quoting, Where
from dsl.engines import EngineOrWeights
from dsl.values import Language, Name, Sha256, Value


class Model(Value):
    """One model of the study: its base weights, and its instruct version where there is one."""

    base: EngineOrWeights | None = None
    instruct: EngineOrWeights | None = None
    parameters: int | None = Field(default=None, ge=1)
    """Number of parameters: read from weights that are loaded here, to be stated where answers are recorded
    or hosted."""
    recorded: Name | None = None
    """The word that `{model}` stands for in the path of recorded answers; without it, the model's own
    name."""


class Rows(Value):
    """Source of rows: files here, a public file, or a data set on the hub."""

    path: str | tuple[str, ...] | None = None
    """A file, relative to the spec, or several of one format that are read as one: a list, a pattern
    (`train/*.jsonl`), or a folder. A list keeps its order; patterns and folders are read in the order of
    their paths. A file that is not there is looked for in the folder that the environment variable XP_DATA
    names. `{language}` (and `{model}` for recorded answers) stand for the cell's."""
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
        if self.path == ():
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


class Dataset(Value):
    """Examples: to be asked, to be trained on, or pairs to prefer from."""

    rows: Rows | dict[Language, Rows]
    """Its rows, or each language's."""
    columns: Columns
    parallel: bool = True
    """`item` names the same question in every language. Without it nothing is paired across languages."""
    languages: tuple[Language, ...] | None = None
    """The languages it has; without it, all of the study's."""
    limit: int | None = Field(default=None, ge=1)
    """Only the first so many rows of each language."""
    allow_overlap: bool = False
    """Ask items that methods are trained on or show as worked examples; the report says how many. Without it
    such a study is refused."""


class PromptPath(Value):
    """Someone's own prompt text, in the form of `runners/prompting/prompt_texts/<language>.yaml`."""

    file: str
    """Relative to the spec; `{language}` stands for the asked language."""


class DemonstrationsFrom(Value):
    """Worked examples from a data set."""

    source: Name = Field(alias="from")
    """A data set of the study with a `response` column."""
    select: Literal["fixed", "random", "bm25"] = "fixed"
    """The first rows, rows drawn by seed, or the rows most like the question (BM25)."""
