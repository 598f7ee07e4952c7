"""Rows of a source: a local file, or a data set on the Hugging Face hub."""

import re
from collections.abc import Iterable
from typing import Any

from dsl.data.files import Row, read_planned
from dsl.data.source import FileSource, Source
from dsl.errors import DataError


def rows_of(source: Source) -> tuple[Iterable[Row], str | None]:
    """Return the rows in the source's order, and the commit that a name on the hub stands for now.

    The commit is None where the source names it, or is a file.

    Raises:
        DataError: the file cannot be read or is no longer the one that was planned; the hub does not have the
            data set or cannot be reached.
    """
    if isinstance(source, FileSource):
        return read_planned(source), None
    import datasets  # pyright: ignore[reportMissingTypeStubs]  # it comes without types

    hub: Any = datasets
    try:
        builder = hub.load_dataset_builder(source.hub, source.name, revision=source.revision)
        builder.download_and_prepare()
        rows: Iterable[Row] = builder.as_dataset(split=source.split)
    except (hub.exceptions.DatasetsError, OSError, ValueError) as error:
        raise DataError(f"{source.hub}: {error}") from error
    commit: str = builder.hash or ""
    return rows, commit if re.fullmatch("[0-9a-f]{40}", commit) and commit != source.revision else None
