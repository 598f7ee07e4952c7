"""Rows of the data files that a study's cells need, read once for all checks."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from dsl.data.examples import examples
from dsl.data.files import is_here, read_file
from dsl.data.fingerprints import Fingerprints
from dsl.data.records import Example
from dsl.data.source import FileSource, Source
from dsl.data.sources import rows_in, source_of
from dsl.errors import DataError
from dsl.spec.experiment import Experiment
from dsl.values import Language, Name


@dataclass(frozen=True)
class ReadRows:
    """Rows of one data set in one language."""

    source: Source
    rows: tuple[Example, ...] | None
    """None where they are not on this machine yet: on the hub, or in a public file."""
    languages: Counter[str] = field(default_factory=Counter[str])
    """Value of the language column -> rows of the file that have it."""


def read_rows(
    experiment: Experiment,
    wanted: Mapping[Name, tuple[Language, ...]],
    fingerprints: Fingerprints,
    folder: Path,
) -> dict[Name, dict[Language, ReadRows | DataError]]:
    """Read each data set in these languages; a DataError says why one cannot be read."""
    found: dict[Name, dict[Language, ReadRows | DataError]] = {}
    for name, languages in wanted.items():
        if name in experiment.data:
            found[name] = {}
            for language in languages:
                try:
                    found[name][language] = _read(experiment, name, language, fingerprints, folder)
                except DataError as error:
                    found[name][language] = error
    return found


def _read(
    experiment: Experiment, name: Name, language: Language, fingerprints: Fingerprints, folder: Path
) -> ReadRows:
    data = experiment.data[name]
    source = source_of(rows_in(data.rows, language), fingerprints, folder, language)
    if not isinstance(source, FileSource) or not is_here(source):
        return ReadRows(source, None)
    languages = Counter[str]()
    rows = examples(read_file(source), data.columns, language, data.limit, source.path, languages)
    return ReadRows(source, tuple(rows), languages)
