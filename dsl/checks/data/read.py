"""Rows of the data files that a study's cells need, read once for all checks."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from dsl.data.examples import Reader, Told
from dsl.data.files import is_here, placed, read_file
from dsl.data.fingerprints import Fingerprints
from dsl.data.inner_rows import Row
from dsl.data.records import Example
from dsl.data.references import references, with_references
from dsl.data.source import FileSource, Source
from dsl.data.sources import rows_in, source_of
from dsl.errors import DataError
from dsl.methods.parts import Dataset
from dsl.plan.building import data_step, references_of
from dsl.spec.experiment import Experiment
from dsl.steps.steps import DataStep
from dsl.values import Language, Name

Late = Callable[[DataStep], tuple[Example, ...] | None]
"""Rows that a step has read since, or None."""


def not_yet(step: DataStep) -> None:
    """Know no rows but those of files."""


@dataclass(frozen=True)
class ReadRows:
    """Rows of one data set in one language; of questions that are asked in turn, the first of each row."""

    source: Source
    rows: tuple[Example, ...] | None
    """None where they are not on this machine yet: on the hub, or in a public file."""
    languages: Counter[str] = field(default_factory=Counter[str])
    """Value of the language column -> rows of the file that have it."""
    told: Told = field(default_factory=dict[str, list[str]])
    """Notes on rows that were left out or lack something."""
    later: tuple[tuple[Example, ...], ...] = ()
    """Questions of each turn behind the first, where several are asked in turn."""

    def of_turn(self, turn: int | None) -> tuple[Example, ...] | None:
        """Return the questions of one turn, from 1; None where they are not here yet."""
        return self.rows if turn in (None, 1) or self.rows is None else self.later[turn - 2]


_Place = tuple[Name, Language]
"""A data set, and one of its languages."""


def read_rows(
    experiment: Experiment,
    wanted: Mapping[Name, tuple[Language, ...]],
    fingerprints: Fingerprints,
    folder: Path,
    late: Late = not_yet,
) -> dict[Name, dict[Language, ReadRows | DataError]]:
    """Read each data set in these languages; a DataError says why one cannot be read.

    What several languages or data sets have in one file is read in one pass.
    """
    found: dict[_Place, ReadRows | DataError] = {}
    in_files: dict[str, tuple[FileSource, dict[_Place, Dataset]]] = {}
    sets = {name: experiment.data[name] for name in wanted if name in experiment.data}
    for name, data in sets.items():
        for language in wanted[name]:
            try:
                source = source_of(rows_in(data.rows, language), fingerprints, folder, language)
                if isinstance(source, FileSource) and is_here(source):
                    of_file = in_files.setdefault(source.model_dump_json(), (source, {}))
                    of_file[1][name, language] = data
                else:
                    found[name, language] = _read_late(source, data, language, fingerprints, folder, late)
            except DataError as error:
                found[name, language] = error
    for source, places in in_files.values():
        for place, reading in _read_file(source, places).items():
            try:
                found[place] = _with_references(reading, places[place], place[1], fingerprints, folder)
            except DataError as error:
                found[place] = error
    return {name: {language: found[name, language] for language in wanted[name]} for name in sets}


def _read_late(
    source: Source, data: Dataset, language: Language, fingerprints: Fingerprints, folder: Path, late: Late
) -> ReadRows:
    found = [late(data_step(data, language, turn, fingerprints, folder)) for turn in data.columns.in_turn]
    whole = [rows for rows in found if rows is not None]
    if len(whole) < len(found):
        return ReadRows(source, None)
    return ReadRows(source, whole[0], later=tuple(whole[1:]))


class _Reading:
    """Examples of one data set in one language while its file is read: in each turn those so far."""

    def __init__(self, source: FileSource, data: Dataset, language: Language) -> None:
        self.source = source
        self.told: Told = {}
        self.readers = [
            Reader(data.columns, language, data.limit, source.at, turn, self.told)
            for turn in data.columns.in_turn
        ]
        self.found: list[list[Example]] = [[] for _ in self.readers]
        self.error: DataError | None = None

    @property
    def is_over(self) -> bool:
        """No more rows are wanted."""
        return self.error is not None or self.readers[0].is_full

    def read(self, row: Row, number: int, at: str) -> None:
        try:
            for reader, found in zip(self.readers, self.found, strict=True):
                if (example := reader.read(row, number, at)) is not None:
                    found.append(example)
        except DataError as error:
            self.error = error

    def finish(self) -> None:
        """Note that a column is in none of all rows."""
        try:
            for reader in self.readers:
                reader.finish()
        except DataError as error:
            self.error = error


def _read_file(source: FileSource, places: Mapping[_Place, Dataset]) -> dict[_Place, _Reading]:
    readings = {place: _Reading(source, data, place[1]) for place, data in places.items()}
    left = list(readings.values())
    try:
        for number, at, row in placed(read_file(source), source.at):
            for reading in left:
                reading.read(row, number, at)
            if any(reading.is_over for reading in left):
                left = [reading for reading in left if not reading.is_over]
                if not left:
                    break
        for reading in left:
            reading.finish()
    except DataError as error:
        for reading in left:
            reading.error = error
    return readings


def _with_references(
    reading: _Reading, data: Dataset, language: Language, fingerprints: Fingerprints, folder: Path
) -> ReadRows:
    """Return what was read, with references from another file. Raises DataError where it cannot be read."""
    if reading.error is not None:
        raise reading.error
    read, turns = [tuple(rows) for rows in reading.found], data.columns.in_turn
    given = references_of(data, fingerprints, folder, language)
    if given is not None and isinstance(given.source, FileSource) and is_here(given.source):
        file, is_whole = given.source, data.limit is None
        read = [
            tuple(
                with_references(of_turn, references(read_file(file), given, turn, file.at), file.at, is_whole)
            )
            for of_turn, turn in zip(read, turns, strict=True)
        ]
    first, *others = read
    if not all(others):
        raise DataError(f"{reading.source.at}: no row has a question in each of the {len(turns)} turns")
    return ReadRows(reading.source, first, reading.readers[0].languages, reading.told, tuple(others))
