"""Parts of a spec that methods and the experiment share: models, data sets, prompts."""

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from dsl.data.rows import Rows
from dsl.data.source import Columns, Selector
from dsl.engines import EngineOrWeights
from dsl.values import Language, Name, Value


class Model(Value):
    """One model of the study: its base weights, and its instruct version where there is one."""

    base: EngineOrWeights | None = None
    instruct: EngineOrWeights | None = None
    parameters: int | None = Field(default=None, ge=1)
    """Number of parameters: read from weights that are loaded here. A recorded or hosted model without it is
    not drawn by size."""
    recorded: str | None = Field(default=None, min_length=1)
    """The word that `{model}` stands for in the path of recorded answers and verdicts; without it, the
    model's own name."""

    def weights(self) -> tuple[EngineOrWeights, ...]:
        """The weights that it has."""
        return tuple(one for one in (self.base, self.instruct) if one is not None)

    def has_size(self) -> bool:
        """Test whether its size is stated, or read from weights that are loaded here."""
        return self.parameters is not None or any(
            one.engine in ("transformers", "vllm", "llama_cpp", "echo") for one in self.weights()
        )


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
    allow_overlap: bool = False
    """Ask items that methods are trained on or show as worked examples; the report says how many. Without it
    such a study is refused."""

    @model_validator(mode="after")
    def _one_reference(self) -> Self:
        if self.references is not None and self.columns.reference is not None:
            raise ValueError("`columns.reference` and `references` both give references; name one of them")
        return self


class PromptPath(Value):
    """Someone's own prompt text, in the form of `runners/prompting/prompt_texts/<language>.yaml`."""

    file: str
    """Relative to the spec; `{language}` stands for the asked language."""

    def of(self, language: Language, folder: Path) -> Path:
        """Return the file of one language. `folder`: where relative paths start."""
        return folder / self.file.replace("{language}", language)


class DemonstrationsFrom(Value):
    """Worked examples from a data set."""

    source: Name = Field(alias="from")
    """A data set of the study with a `response` column; rows with earlier turns are not shown."""
    select: Literal["fixed", "random", "bm25"] = "fixed"
    """The first rows, rows drawn by seed, or the rows most like the question (BM25)."""
