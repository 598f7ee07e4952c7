"""`xp import`: results of another tool become specs and data files."""

import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, cast

from dsl.errors import ArgumentError
from dsl.messages import listed
from xp.imports.contract import Reader
from xp.imports.studies import ImportedStudy, studies_of
from xp.output_files import write_together

ImportFormat = Literal["lm-eval", "inspect", "every-eval-ever"]


def import_results(
    format: ImportFormat, files: Sequence[Path], out: Path, languages: Sequence[str]
) -> tuple[ImportedStudy, ...]:
    """Write a spec for each task in the files, and its data.

    Raises:
        ArgumentError: a file is not of the form, or one that would be written is there already. Nothing is
            written then.
        OutputError: the folder cannot be written to.
    """
    reader = cast(Reader, importlib.import_module(f"xp.imports.{format.replace('-', '_')}"))
    found = {one.resolve(): one for path in files for one in _files(path, reader)}  # each once
    named = list(found.values())
    studies = tuple(studies_of(reader.read(named), reader.TOOL, languages))
    texts = {out / path: text for study in studies for path, text in study.files.items()}
    if there := [str(path) for path in texts if path.exists()]:
        raise ArgumentError(
            f"{there[0]} is there already, and not overwritten. Name another folder: --out DIR"
        )
    write_together(texts)
    return studies


def _files(path: Path, reader: Reader) -> list[Path]:
    """Return a file, or a folder's files of the form."""
    if not path.is_dir():
        return [path]
    if found := sorted(one for pattern in reader.FILES for one in path.rglob(pattern)):
        return found
    raise ArgumentError(f"{path}: a folder without {listed(reader.FILES)}, the files of {reader.TOOL}")
