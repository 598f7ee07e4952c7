"""Rows of a source: a local file, or a data set on the Hugging Face hub."""

from collections.abc import Iterator
from pathlib import Path

from dsl.errors import DataError
from dsl.pins import file_sha256
from dsl.rows import Row, read_file
from dsl.sources import FileSource, Source


def rows_of(source: Source) -> Iterator[Row]:
    """The rows, in the source's order.

    Raises:
        DataError: the file cannot be read or is no longer the one that was planned; the hub does not have the data set or cannot be reached.
    """
    if isinstance(source, FileSource):
        if file_sha256(Path(source.path)) != source.sha256:
            raise DataError(f"{source.path} has changed since it was planned. Plan again")
        yield from read_file(source)
        return
    from datasets import load_dataset
    from datasets.exceptions import DatasetsError

    try:
        rows = load_dataset(source.hub, source.name, split=source.split, revision=source.revision)
    except (DatasetsError, OSError, ValueError) as error:
        raise DataError(f"{source.hub}: {error}") from error
    yield from rows
