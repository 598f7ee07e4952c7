"""Parts of a spec that methods and the experiment share: models, data sets, prompts."""

from typing import Literal, Self

from pydantic import Field, model_validator

from dsl.data.source import Columns, Selector
from dsl.engines import EngineOrWeights
from dsl.values import Language, Name, Value


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
    """Source of rows: files, or a split of a data set on the hub."""

    path: str | None = None
    """A file, relative to the spec; `{language}` (and `{model}` for recorded answers) stand for the
    cell's."""
    format: Literal["json", "jsonl", "csv", "tsv", "parquet"] | None = None
    """Without it, the file's ending says (`.gz` may follow)."""
    header: bool = True
    """The first line of a CSV or TSV file names the columns."""
    hub: str | None = None
    """A data set on the hub."""
    name: str | None = None
    """The data set's configuration; `{language}` may stand in it."""
    split: str | None = None
    revision: str | None = None

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if (self.path is None) == (self.hub is None):
            raise ValueError("name exactly one of `path` and `hub`")
        if self.hub is not None and self.split is None:
            raise ValueError("a data set on the hub needs its `split`")
        return self


class ReferencesFrom(Value):
    """Reference answers from a file of their own, matched by item."""

    rows: Rows | dict[Language, Rows]
    item: Selector
    """The item that a reference is of, as `columns.item` gives it."""
    reference: Selector | tuple[Selector, ...]
    """The reference; where `turns` are asked, one for each: `[choices.0.turns.0, choices.0.turns.1]`."""


class Dataset(Value):
    """Examples: to be asked, to be trained on, or pairs to prefer from."""

    rows: Rows | dict[Language, Rows]
    """Its rows, or each language's."""
    columns: Columns
    references: ReferencesFrom | None = None
    """Another file with the items' references."""
    parallel: bool = True
    """`item` names the same question in every language. Without it nothing is paired across languages."""
    languages: tuple[Language, ...] | None = None
    """The languages it has; without it, all of the study's."""
    limit: int | None = Field(default=None, ge=1)
    """Only the first so many rows of each language."""

    @model_validator(mode="after")
    def _one_reference(self) -> Self:
        if self.references is not None and self.columns.reference is not None:
            raise ValueError("`columns.reference` and `references` both give references; name one of them")
        return self


class PromptPath(Value):
    """Someone's own prompt text, in the form of `runners/prompting/prompt_texts/<language>.yaml`."""

    file: str
    """Relative to the spec; `{language}` stands for the asked language."""


class DemonstrationsFrom(Value):
    """Worked examples from a data set."""

    source: Name = Field(alias="from")
    """A data set of the study with a `response` column; rows with earlier turns are not shown."""
    select: Literal["fixed", "random", "bm25"] = "fixed"
    """The first rows, rows drawn by seed, or the rows most like the question (BM25)."""
