"""Rows of the data files that a study's cells need, read once for all checks."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from dsl.data.examples import Told, examples
from dsl.data.files import is_here, read_file
from dsl.data.fingerprints import Fingerprints
from dsl.data.inner_rows import Row
from dsl.data.records import Example
from dsl.data.references import references, with_references
from dsl.data.source import FileSource, Source
from dsl.data.sources import rows_in, source_of
from dsl.errors import DataError
from dsl.plan.compile import data_step, references_of
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


def read_rows(
    experiment: Experiment,
    wanted: Mapping[Name, tuple[Language, ...]],
    fingerprints: Fingerprints,
    folder: Path,
    late: Late = not_yet,
) -> dict[Name, dict[Language, ReadRows | DataError]]:
    """Read each data set in these languages; a DataError says why one cannot be read."""
    found: dict[Name, dict[Language, ReadRows | DataError]] = {}
    for name, languages in wanted.items():
        if name in experiment.data:
            found[name] = {}
            for language in languages:
                try:
                    found[name][language] = _read(experiment, name, language, fingerprints, folder, late)
                except DataError as error:
                    found[name][language] = error
    return found


def _read(
    experiment: Experiment,
    name: Name,
    language: Language,
    fingerprints: Fingerprints,
    folder: Path,
    late: Late,
) -> ReadRows:
    data = experiment.data[name]
    source = source_of(rows_in(data.rows, language), fingerprints, folder, language)
    if not isinstance(source, FileSource) or not is_here(source):
        found = [late(data_step(data, language, turn, fingerprints, folder)) for turn in data.columns.in_turn]
        whole = [rows for rows in found if rows is not None]
        if len(whole) < len(found):
            return ReadRows(source, None)
        return ReadRows(source, whole[0], later=tuple(whole[1:]))
    told: Told = {}
    languages = Counter[str]()
    columns, at, turns = data.columns, source.at, data.columns.in_turn
    read = [
        tuple(
            examples(
                rows,
                columns,
                language,
                data.limit,
                at,
                turn,
                told,
                languages if turn in (None, 1) else None,  # each turn reads the same rows
            )
        )
        for turn, rows in _for_each(turns, source)
    ]
    given = references_of(data, fingerprints, folder, language)
    if given is not None and isinstance(given.source, FileSource) and is_here(given.source):
        file, is_whole = given.source, data.limit is None
        read = [
            tuple(with_references(rows, references(found, given, turn, file.at), file.at, is_whole))
            for rows, (turn, found) in zip(read, _for_each(turns, file), strict=True)
        ]
    first, *others = read
    if not all(others):
        raise DataError(f"{at}: no row has a question in each of the {len(turns)} turns")
    return ReadRows(source, first, languages, told, tuple(others))


def _for_each(turns: Sequence[int | None], source: FileSource) -> Iterator[tuple[int | None, Iterable[Row]]]:
    """A file's rows for each turn, read once: of several turns they are held."""
    rows = read_file(source)
    held = list(rows) if len(turns) > 1 else rows
    return ((turn, held) for turn in turns)
