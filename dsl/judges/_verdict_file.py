"""Files of verdicts that exist already, with the columns a study names."""

import hashlib
import math
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Self

from pydantic import Field, model_validator

from dsl.data.files import read_planned
from dsl.data.inner_rows import Row
from dsl.data.normalise import composed
from dsl.data.recorded_answers import CellReader, NoColumn
from dsl.data.records import Example
from dsl.data.selectors import language_in_file, language_selector, name_of
from dsl.data.source import Columns, FileSource, LanguageColumn, Selector, Written
from dsl.errors import DataError
from dsl.messages import listed, ticked
from dsl.values import Name, Scalar, Value, as_written


class Scores(Value):
    """A column whose words stand for scores."""

    column: Selector
    values: dict[str, float] | None = Field(None, min_length=1)
    """Word in the file -> its score, as `{C: 1, I: 0}`; `true` and `false` are words too. A word that is not
    listed is no score. Without it, numbers are scores, true is 1 and false is 0."""
    missing: tuple[Scalar, ...] = ()
    """Words that stand for no verdict, as `[-1]`."""

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if self.values is None and not self.missing:
            raise ValueError("name `values` or `missing`; a column of numbers needs neither")
        return self

    def is_missing(self, word: str) -> bool:
        """Test whether a word stands for no verdict."""
        return any(_same(word, as_written(one)) for one in self.missing)

    def read(self, word: str) -> tuple[float | None, str | None]:
        """Return a word's score, or None and why it has none."""
        if self.is_missing(word):
            return None, f"{ticked(word)} stands for no verdict (`missing`)"
        if self.values is None:
            return read_number(word)
        for known, score in self.values.items():
            if _same(word, known):
                return score, None
        return None, f"{ticked(word)} is not among the `values`: {listed(self.values)}"


class BothOrders(Value):
    """Two comparisons of the same two answers. Each says as `preference` does which answer is better, not
    which place."""

    first: Selector | Scores
    """The column of the comparison in which the study's answer stood first."""
    second: Selector | Scores
    """The column of the one in which it stood second."""


class VerdictColumns(Value):
    """Columns by meaning: those that identify the answer, and those that hold the finding."""

    item: Selector | None = None
    """The item of the answer; without it, the instruction says which answer is meant."""
    instruction: Selector | None = None
    input: Selector | None = None
    """Text put below the instruction where it is not empty."""
    language: Written | LanguageColumn | None = None
    """For one file that holds several languages."""
    response: Selector | None = None
    """The text that was judged. With it, a verdict on another text than the answer's is none."""
    aspect: Selector | None = None
    """For files with a row for each aspect."""
    score: Selector | Scores | None = None
    """A number, or true or false; other words with the score of each: `{column: correct, values: {C: 1, I:
    0}, missing: [-1]}`."""
    scores: dict[Name, Selector | Scores] | None = Field(None, min_length=1)
    """Aspect -> a column as `score` has it."""
    preference: Selector | Scores | BothOrders | None = None
    """As AlpacaEval writes it: 1 where the other answer is better, 2 where this one is, 1.5 or 0 for a tie;
    between 1 and 2, how sure that is. Of two comparisons, `{first: …, second: …}`: the study's answer stood
    first in one and second in the other."""
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
        language = "" if self.language is None else language_in_file(self.language, example.language)
        return language, example.item if self.item is not None else composed(example.instruction)


Key = tuple[str, str]
"""Language as the file calls it (empty where it has no such column), and item or instruction."""


@dataclass(frozen=True, slots=True)
class Given:
    """A row's finding on one aspect; on every aspect where `aspect` is empty."""

    row: int
    aspect: str
    of: str | None = None
    """Digest of the text that was judged, where the file says it."""
    instruction: str | None = None
    """Normalised text that has to be the example's, where item and instruction are named."""
    score: float | None = None
    raw: str | None = None
    """A judge's words, which are yet to be read."""
    orders: Mapping[str, float] | None = None
    """Order of a comparison -> its score."""
    missing: str | None = None
    """The reason for neither score nor words."""
    is_unread: bool = False
    """The file says something there that is no score, and that is not said to be missing."""

    def is_about(self, example: Example) -> bool:
        """Test whether the example's instruction is the row's, as far as the file says."""
        return self.instruction in (None, composed(example.instruction))

    def is_on(self, answer: str) -> bool:
        """Test whether the answer is the text that was judged, as far as the file says."""
        return self.of is None or self.of == _digest(answer)


@dataclass(frozen=True)
class Verdicts:
    """Findings of a file, and the reasons of rows that cannot be matched."""

    by_key: Mapping[Key, tuple[Given, ...]]
    unmatched: tuple[str, ...]
    n_rows: int


def read_verdicts(source: FileSource, columns: VerdictColumns) -> Verdicts:
    """Read every row of a source whose digest the plan has filled in. Files are remembered: many cells may
    share one.

    Raises:
        DataError: the file cannot be read or has changed, or no row has a named column.
    """
    return _read(source.model_dump_json(), columns.model_dump_json())


@lru_cache(maxsize=16)
def _read(source_json: str, columns_json: str) -> Verdicts:
    source, columns = (
        FileSource.model_validate_json(source_json),
        VerdictColumns.model_validate_json(columns_json),
    )
    found: dict[Key, list[Given]] = defaultdict(list)
    unmatched: list[str] = []
    reader = CellReader()
    number = 0
    for number, row in enumerate(read_planned(source), 1):
        key, blank, missing = _matched(row, columns, number, reader)
        if missing is not None:
            unmatched.append(missing)
            continue
        found[key] += _findings(row, columns, blank, reader)
    try:
        reader.check()
    except NoColumn as error:
        raise DataError(f"{source.path}: {error}") from error
    return Verdicts({key: tuple(rows) for key, rows in found.items()}, tuple(unmatched), number)


def _matched(
    row: Row, columns: VerdictColumns, number: int, reader: CellReader
) -> tuple[Key, Given, str | None]:
    """Return the key of a row, a finding that is yet to be filled in, and the reason for no match."""
    asked = Columns(instruction=columns.instruction, input=columns.input)
    texts: dict[str, str | None] = {}
    for name in ("language", "item", "instruction", "response", "aspect"):
        if (selector := getattr(columns, name)) is None:
            continue
        if isinstance(selector, LanguageColumn):
            selector = language_selector(selector)
        if name == "instruction":
            texts[name], missing = reader.instruction(row, asked, number)
        elif name == "response":
            texts[name], missing = reader.answer(row, selector, number)
        else:
            texts[name], missing = reader.text(row, selector, number)
        if missing is not None:
            return ("", ""), Given(number, ""), missing
    instruction = texts.get("instruction")
    key = texts.get("language") or "", (instruction if columns.item is None else texts["item"]) or ""
    judged = texts.get("response")
    given = Given(
        number,
        texts.get("aspect") or "",
        None if judged is None else _digest(judged),
        None if columns.item is None else instruction,
    )
    return key, given, None


def _findings(row: Row, columns: VerdictColumns, blank: Given, reader: CellReader) -> Iterator[Given]:
    def found(column: Selector | Scores, as_preference: bool = False) -> Given:
        selector = column.column if isinstance(column, Scores) else column
        word, missing = reader.text(row, selector, blank.row, booleans=True)
        if word is None:
            return replace(blank, missing=missing)
        if isinstance(column, Scores):
            number, why = column.read(word)
        elif as_preference and _is_boolean(word):
            number, why = None, f"{ticked(word)} names no answer. Write `{{column: {selector}, {_WINS}}}`"
        else:
            number, why = read_number(word)
        if number is not None and as_preference:
            number, why = _preferred(number, word)
        if number is not None:
            return replace(blank, score=number)
        is_said = bool(word.strip()) and not (isinstance(column, Scores) and column.is_missing(word))
        why = f"row {blank.row}: {why} (`{name_of(selector)}`)"
        return replace(blank, missing=why, is_unread=is_said)

    for aspect, column in (columns.scores or {}).items():
        yield replace(found(column), aspect=aspect)
    if columns.score is not None:
        yield found(columns.score)
    if columns.raw is not None:
        words, why = reader.text(row, columns.raw, blank.row)
        yield replace(blank, raw=words, missing=why)
    if isinstance(columns.preference, BothOrders):
        orders = {name: getattr(columns.preference, name) for name in ("first", "second")}
        yield _of_both_orders(blank, {name: found(column, True) for name, column in orders.items()})
    elif columns.preference is not None:
        yield found(columns.preference, True)


def _of_both_orders(blank: Given, found: Mapping[str, Given]) -> Given:
    """Combine both orders: the mean where they agree on the better answer, and a tie where they do not."""
    orders = {name: one.score for name, one in found.items() if one.score is not None}
    if len(orders) < len(found):
        lacking = next(one for one in found.values() if one.score is None)
        return replace(lacking, orders=orders or None)
    first, second = orders.values()
    agree = (first > 0.5) == (second > 0.5) and (first < 0.5) == (second < 0.5)
    return replace(blank, score=(first + second) / 2 if agree else 0.5, orders=orders)


_WINS = "values: {true: 2, false: 1}"
"""Settings of a preference that is true where the study's answer is the better one."""


def _preferred(number: float, word: str) -> tuple[float | None, str | None]:
    """Return the score, from 0 to 1, of a preference as AlpacaEval writes it."""
    if number == 0:
        return 0.5, None
    return (number - 1, None) if 1 <= number <= 2 else (None, f"{ticked(word)} is no preference")


def read_number(word: str) -> tuple[float | None, str | None]:
    """Return a word as a finite number (true is 1, false is 0), or None and the reason."""
    if _is_boolean(word):
        return float(word.strip().lower() == "true"), None
    try:
        number = float(word)
    except ValueError:
        return None, f"{ticked(word)} is no number" if word.strip() else "it is empty"
    return (number, None) if math.isfinite(number) else (None, f"{ticked(word)} is no finite number")


def _is_boolean(word: str) -> bool:
    return word.strip().lower() in ("true", "false")


def _same(word: str, known: str) -> bool:
    """Test whether two words are one: the same text, or, as `1` and `1.0`, the same number."""
    word, known = word.strip(), known.strip()
    if word == known:
        return True
    if _is_boolean(known):
        return word.lower() == known.lower()
    try:
        return float(word) == float(known)
    except ValueError:
        return False


def _digest(text: str) -> str:
    return hashlib.sha256(composed(text).encode(errors="surrogatepass")).hexdigest()
