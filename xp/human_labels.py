"""Import a sample that people have labelled as a judge's verdicts: all of a file or, with any fault,
nothing."""

import csv
import io
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import get_args

from dsl.data.records import Draw, Label
from dsl.errors import ArgumentError
from dsl.messages import one_line
from runners.store.store import Store
from warehouse.connect import connect
from warehouse.load import load_store
from warehouse.statements import fetch
from xp.sampling import ASKED, NAME, SHOWN, answers_of, unguarded

_DELIMITERS = ",;\t"
"""Spreadsheets write what their language writes: a semicolon where a comma is in numbers."""

Scale = tuple[float, float]


@dataclass
class Labelled:
    """A labelled file's content."""

    labels: list[Label] = field(default_factory=list[Label])
    n_answers: int = 0
    """Rows with at least one score."""
    n_blank: int = 0
    """Rows without any."""
    n_left_out: dict[str, int] = field(default_factory=dict[str, int])
    """Aspect with labels -> answers drawn at random that have none of it. Who labels what they like labels no
    random sample, so its labels are recorded as of no draw."""


def import_labels(
    store: Path, warehouse: Path, experiment: str, file: Path, judge: str, scale: Scale | None = None
) -> Labelled:
    """Import a labelled file as the verdicts of `judge`, replacing earlier ones of this name.

    Raises:
        ArgumentError: there is no such study, its judges include one of this name, or the file is invalid;
            every fault of it is reported, with its line.
        StoreLocked, WarehouseError: somebody else has the store or the warehouse.
    """
    if not NAME.fullmatch(judge):
        raise ArgumentError(
            f"`{judge}` is no name for a judge: letters, digits, `_`, `.` and `-`, beginning with a letter or"
            " digit"
        )
    known = {str(row["answer_id"]) for row in answers_of(warehouse, experiment)}
    with connect(warehouse, read_only=True) as connection:
        asked = "select distinct judge from cells join cell_judges using (cell_id) where experiment = ?"
        if judge in {row["judge"] for row in fetch(connection, asked, [experiment])}:
            raise ArgumentError(
                f"`{judge}` is a judge of the study itself. Give the labels a name of their own"
            )
    found = read_labels(file, known, scale)
    held = Store(store)
    with held.lock():
        held.record_labels(experiment, judge, found.labels)
        load_store(store, [])
    return found


def read_labels(file: Path, known: Iterable[str], scale: Scale | None = None) -> Labelled:
    """Read a labelled file's scores of the answers in `known`.

    Raises:
        ArgumentError: with every fault of the file, one a line.
    """
    reader = _Reader(file, frozenset(known), scale)
    reader.read(_text(file))
    if reader.faults:
        raise ArgumentError(f"{file} is invalid, and nothing of it is imported:\n" + "\n".join(reader.faults))
    if not reader.found.labels:
        raise ArgumentError(f"{file}: no row has a score, so there is nothing to import")
    return _without_partial_draws(reader.found)


def _without_partial_draws(found: Labelled) -> Labelled:
    """The labels, those of an aspect that random answers lack without how they were drawn."""
    drawn = {label.aspect for label in found.labels if label.drawn == "random"}
    found.n_left_out = {aspect: n for aspect, n in found.n_left_out.items() if aspect in drawn}
    found.labels = [
        label.model_copy(update={"drawn": None})
        if label.drawn == "random" and label.aspect in found.n_left_out
        else label
        for label in found.labels
    ]
    return found


def read_scale(text: str) -> Scale:
    """`0..1` as a pair of numbers. Raises ArgumentError."""
    low, _, high = (_number(part) for part in text.partition(".."))
    if low is None or high is None or not low < high:
        raise ArgumentError(f"`{text}` is no scale. Write the lowest and the highest score, as 0..1 or 1..5")
    return low, high


class _Reader:
    """Goes through a file and notes every fault."""

    def __init__(self, file: Path, known: frozenset[str], scale: Scale | None) -> None:
        self.found = Labelled()
        self.faults: list[str] = []
        self._file = file
        self._known = known
        self._scale = scale
        self._lines: dict[str, int] = {}
        """Answer -> the line it is on."""

    def read(self, text: str) -> None:
        csv.field_size_limit(2**31 - 1)  # a long answer is a long cell
        rows = csv.reader(io.StringIO(text, newline=""), delimiter=_delimiter(text), strict=True)
        line = 1
        try:
            names = [name.strip() for name in next(rows, list[str]())]
            self._header(names)
            if self.faults:
                return
            line = rows.line_num + 1
            for row in rows:
                if any(cell.strip() for cell in row):
                    self._row(line, names, row)
                line = rows.line_num + 1
        except csv.Error as error:
            self._fault(line, f"not CSV: {error}")

    def _header(self, names: list[str]) -> None:
        if "answer_id" not in names:
            self._fault(
                1,
                "no column `answer_id`: it says which answer a row is about. There are:"
                f" {', '.join(names) or 'none'}",
            )
        for name in sorted({name for name in names if names.count(name) > 1}):
            self._fault(1, f"the column `{name}` is there more than once")
        for place, name in enumerate(names, 1):
            if not NAME.fullmatch(name):
                self._fault(1, f"column {place} is called {name!r}, which is no name for an aspect")
        if not set(names) - set(SHOWN):
            self._fault(1, f"no column of scores: `{ASKED}`, or one for each aspect")

    def _row(self, line: int, names: list[str], row: list[str]) -> None:
        if len(row) != len(names):
            self._fault(line, f"{len(row)} cells under {len(names)} column names")
            return
        cells = {name: cell.strip() for name, cell in zip(names, row, strict=True)}
        answer = cells["answer_id"]
        if answer not in self._known:
            self._fault(line, f"no answer of the study is called {answer!r}" if answer else "no `answer_id`")
        elif answer in self._lines:
            self._fault(line, f"the answer {answer} is on line {self._lines[answer]} already")
        self._lines.setdefault(answer, line)
        given = {name: cell for name, cell in cells.items() if name not in SHOWN and cell}
        comment = unguarded(cells.get("comment", "")).strip() or None
        drawn = self._drawn(line, cells.get("drawn", ""))
        if drawn == "random":
            for name in names:
                if name not in SHOWN and not cells[name]:
                    aspect = _aspect(name)
                    self.found.n_left_out[aspect] = self.found.n_left_out.get(aspect, 0) + 1
        low, high = self._scale or (None, None)
        for name, score in self._scores(line, given):
            label = Label(
                answer_id=answer,
                aspect=_aspect(name),
                score=score,
                comment=comment,
                scale_low=low,
                scale_high=high,
                drawn=drawn,
            )
            self.found.labels.append(label)
        self.found.n_answers += bool(given)
        self.found.n_blank += not given

    def _drawn(self, line: int, cell: str) -> Draw | None:
        for draw in get_args(Draw):
            if cell == draw:
                return draw
        if cell:
            self._fault(
                line,
                f"`drawn` is {one_line(cell[:40])!r}. `xp sample` writes `random`, `disagreement` or nothing"
                " there: leave it as it is",
            )
        return None

    def _scores(self, line: int, given: dict[str, str]) -> Iterator[tuple[str, float]]:
        for name, cell in given.items():
            score = _number(cell)
            if score is None:
                self._fault(line, f"`{name}` is {one_line(cell[:40])!r}, which is no number")
            elif self._scale is not None and not self._scale[0] <= score <= self._scale[1]:
                self._fault(
                    line,
                    f"`{name}` is {score:g}, outside of the scale from {self._scale[0]:g} to"
                    f" {self._scale[1]:g}",
                )
            else:
                yield name, score

    def _fault(self, line: int, message: str) -> None:
        self.faults.append(f"{self._file}:{line}: {message}")


def _aspect(name: str) -> str:
    return "human" if name == ASKED else name


def _text(file: Path) -> str:
    try:
        return file.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise ArgumentError(f"{file}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise ArgumentError(
            f"{file}: not UTF-8 at byte {error.start}. In a spreadsheet, save it as `CSV UTF-8`"
        ) from error


def _delimiter(text: str) -> str:
    """Return the delimiter of the first line."""
    header = text.split("\n", 1)[0]
    return max(_DELIMITERS, key=header.count)


def _number(cell: str) -> float | None:
    """A finite number, with a point or a comma in it."""
    try:
        number = float(cell.strip().replace(",", ".", 1))
    except ValueError:
        return None
    return number if math.isfinite(number) and "_" not in cell else None
