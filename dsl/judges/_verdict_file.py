"""Files of verdicts that exist already, with the columns a study names."""

import hashlib
import math
import unicodedata
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Self

from pydantic import Field, model_validator

from dsl.data.examples import instruction_of
from dsl.data.files import Row, read_planned
from dsl.data.public_files import check_public
from dsl.data.records import Example
from dsl.data.selectors import text_at
from dsl.data.source import Columns, FileSource, Format, Selector
from dsl.errors import DataError
from dsl.values import Name, Sha256, Value


class VerdictFile(Value):
    """One file of verdicts, or as many as its path has readings."""

    path: str = ""
    """A file, relative to the spec; `{language}`, `{model}` and `{method}` stand for the cell's. Its content
    counts, not its place. A file that is not there is looked for in the folder that XP_DATA names."""
    url: str | None = None
    """A public file instead, as `rows` of a data set may name it."""
    format: Format | None = None
    """Without it, the file's ending says (`.gz` or `.zst` may follow)."""
    header: bool = True
    """The first line of a CSV or TSV file names the columns."""
    sha256: Sha256 | None = None
    """With `url`, the SHA-256 of its bytes, in hex; of a `path`, filled in by the plan."""

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if not self.path and (self.url is None or self.sha256 is None):
            raise ValueError("name a `path`, or a `url` and its `sha256`")
        if self.url is not None:
            check_public(self.url)
        return self


class VerdictColumns(Value):
    """Columns by meaning: those that identify the answer, and those that hold the finding."""

    item: Selector | None = None
    """The item of the answer; without it, the instruction says which answer is meant."""
    instruction: Selector | None = None
    input: Selector | None = None
    """Text put below the instruction where it is not empty."""
    language: Selector | None = None
    """For one file that holds several languages."""
    response: Selector | None = None
    """The text that was judged. With it, a verdict on another text than the answer's is none."""
    aspect: Selector | None = None
    """For files with a row for each aspect."""
    score: Selector | None = None
    """A number."""
    scores: dict[Name, Selector] | None = Field(None, min_length=1)
    """Aspect -> a column of numbers."""
    preference: Selector | None = None
    """As AlpacaEval writes it: 1 where the other answer is better, 2 where this one is, 1.5 or 0 for a tie;
    between 1 and 2, how sure that is."""
    raw: Selector | None = None
    """A judge's words, to be read as `format` says."""

    @model_validator(mode="after")
    def _enough(self) -> Self:
        if self.item is None and self.instruction is None:
            raise ValueError("name `item` or `instruction`: it says which answer a row is about")
        if len(self.values()) != 1:
            raise ValueError("name exactly one of `score`, `scores`, `preference` and `raw`")
        if self.scores is not None and self.aspect is not None:
            raise ValueError("`scores` has a column for each aspect, so `aspect` can name none")
        return self

    def values(self) -> tuple[str, ...]:
        """Return which of the columns with a finding are named."""
        return tuple(
            name for name in ("score", "scores", "preference", "raw") if getattr(self, name) is not None
        )

    def key(self, example: Example) -> "Key":
        """Return the key of the rows about an example's answers."""
        language = "" if self.language is None else example.language
        return language, example.item if self.item is not None else _normalised(example.instruction)


Key = tuple[str, str]
"""Language (empty where the file has no such column), and item or instruction."""


@dataclass(frozen=True, slots=True)
class Given:
    """A row's finding on one aspect; on every aspect where `aspect` is empty."""

    aspect: str
    of: str | None
    """Digest of the text that was judged, where the file says it."""
    text: str | None
    missing: str | None
    """The reason for no text."""

    def is_about(self, answer: str) -> bool:
        """Test whether the answer is the text that was judged, as far as the file says."""
        return self.of is None or self.of == _digest(answer)


def read_verdicts(file: VerdictFile, columns: VerdictColumns) -> Mapping[Key, Sequence[Given]]:
    """Every row of a file whose digest the plan has filled in. Files are remembered: many cells may share
    one.

    Raises:
        DataError: the file cannot be read or has changed, no row has a named column, or a row does not say
            which answer it is about.
    """
    source = FileSource.model_validate(file.model_dump())
    return _read(source.model_dump_json(), columns.model_dump_json())


@lru_cache(maxsize=16)
def _read(source_json: str, columns_json: str) -> Mapping[Key, Sequence[Given]]:
    source, columns = (
        FileSource.model_validate_json(source_json),
        VerdictColumns.model_validate_json(columns_json),
    )
    asked = Columns(instruction=columns.instruction, input=columns.input)
    found: dict[Key, list[Given]] = defaultdict(list)
    faults: dict[str, DataError] = {}
    held: set[str] = set()
    """Columns that some row has."""
    for number, row in enumerate(read_planned(source), 1):
        at = f"{source.path}: row {number}"
        language = "" if columns.language is None else text_at(row, columns.language, number, at) or ""
        item = None if columns.item is None else text_at(row, columns.item, number, at) or ""
        key = language, _normalised(instruction_of(row, asked, number, at)) if item is None else item
        of = None if columns.response is None else _digest(text_at(row, columns.response, number, at) or "")
        for aspect, selector in _findings(row, columns, number, at):
            try:
                text = text_at(row, selector, number, at)
                missing = None if text is not None else f"row {number} holds null for `{selector}`"
                held.add(str(selector))
            # a row without a finding is one answer unscored; a column that no row has is reported below
            except DataError as error:
                text, missing = None, f"row {number} has no finding: {str(error).removeprefix(f'{at}: ')}"
                faults.setdefault(str(selector), error)
            found[key].append(Given(aspect, of, text, missing))
    for selector, fault in faults.items():
        if selector not in held:
            raise fault
    return dict(found)


def _findings(row: Row, columns: VerdictColumns, number: int, at: str) -> Iterator[tuple[str, Selector]]:
    """(aspect, the column of its finding) of one row."""
    if columns.scores is not None:
        yield from columns.scores.items()
        return
    aspect = "" if columns.aspect is None else text_at(row, columns.aspect, number, at) or ""
    for selector in (columns.score, columns.preference, columns.raw):
        if selector is not None:
            yield aspect, selector


def _digest(text: str) -> str:
    return hashlib.sha256(_normalised(text).encode(errors="surrogatepass")).hexdigest()


def _normalised(text: str) -> str:
    """Equal for two writings of one text: composed characters or not, any white space."""
    return " ".join(unicodedata.normalize("NFC", text).split())


def number_in(text: str) -> float | None:
    """A text as a finite number, or None."""
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None
