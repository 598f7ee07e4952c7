"""Files of a store, read whole, with errors that name the file."""

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from dsl.data.records import Record, read_record, why_invalid
from dsl.errors import DataError, WarehouseError

_Record = TypeVar("_Record", bound=Record)


def parse(text: str, kind: type[_Record], file: Path) -> _Record:
    try:
        return kind.model_validate_json(text)
    except ValidationError as error:
        raise WarehouseError(
            f"{file}: cannot be read as {kind.__name__}: {why_invalid(error)}. {kind.IF_LOST}."
        ) from error


def records(files: Iterable[Path], kind: type[_Record], notes: list[str]) -> Iterator[_Record]:
    """The files that can be read; of the others, what to tell."""
    for file in files:
        try:
            yield read_record(file, kind)
        except DataError as error:
            notes.append(f"{error}.")


def read_outcome(folder: Path | str) -> bytes | None:
    """Return the content of `outcome.json`; None where the step is not finished.

    A bare `open`: there are tens of thousands of them to read.
    """
    try:
        with open(f"{folder}/outcome.json", "rb", buffering=0) as file:
            return file.read()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise WarehouseError(f"{folder}/outcome.json: cannot be read: {error}") from error


def read_text(file: Path) -> str:
    try:
        return decode(file.read_bytes(), file)
    except OSError as error:
        raise WarehouseError(f"{file}: cannot be read: {error}") from error


def decode(content: bytes, file: Path) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise WarehouseError(f"{file}: cannot be read: {error}") from error


def sha256_of(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def file_sha256(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise WarehouseError(f"{path}: cannot be read: {error}") from error
