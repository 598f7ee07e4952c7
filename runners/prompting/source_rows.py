"""Rows of a source: local files, a public file, or a data set on the Hugging Face hub or in a folder."""

import re
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from dsl.data.files import filtered_rows, read_planned
from dsl.data.fingerprints import Fingerprints, folder_sha256
from dsl.data.inner_rows import Row
from dsl.data.public_files import public_file
from dsl.data.source import FileSource, HubSource, Source
from dsl.errors import DataError
from runners.http.download import fetch


def _silent(done: int, total: int) -> None:
    """Progress that nobody watches."""


def rows_of(
    source: Source, counted: Counter[str] | None = None, report: Callable[[int, int], None] = _silent
) -> tuple[Iterable[Row], str | None]:
    """Return the rows in the source's order, and the commit that a name on the hub stands for now.

    The commit is None where the source names it, or is a file or a folder. With `where`, `counted` gets the
    numbers of rows `read` and `kept`. `report` is called with the megabytes of a public file that are there,
    and those in all.

    Raises:
        DataError: a file cannot be read or fetched, or is no longer the one that was planned; the hub does
            not have the data set or cannot be reached.
    """
    if isinstance(source, FileSource):
        return read_planned(here(source, report), counted), None
    rows, commit = _of_hub(source)
    return filtered_rows(rows, source.where, source.hub, counted), commit


def here(source: FileSource, report: Callable[[int, int], None] = _silent) -> FileSource:
    """Return the source with the place of its file on this machine. A public one that is not there is
    fetched."""
    if source.url is None:
        return source
    path = public_file(source.url, source.sha256)
    if not path.is_file():
        path = fetch(source.url, source.sha256, report)
    return source.model_copy(update={"path": str(path)})


def _of_hub(source: HubSource) -> tuple[Iterable[Row], str | None]:
    import datasets  # pyright: ignore[reportMissingTypeStubs]  # it comes without types

    if source.sha256 is not None and folder_sha256(Path(source.hub), Fingerprints()) != source.sha256:
        raise DataError(f"{source.hub} has changed since it was planned. Plan again")
    hub: Any = datasets
    try:
        builder = hub.load_dataset_builder(source.hub, source.name, revision=source.revision)
        builder.download_and_prepare()
        rows: Iterable[Row] = builder.as_dataset(split=source.split)
    except (hub.exceptions.DatasetsError, OSError, ValueError) as error:
        raise DataError(f"{source.hub}: {error}") from error
    commit: str = builder.hash or ""
    return rows, commit if re.fullmatch("[0-9a-f]{40}", commit) and commit != source.revision else None
