"""Sources of rows, from what a spec says of them: files that are there, with their digests, or a data set."""

import glob
import os
import re
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from pathlib import Path

from dsl.data.fingerprints import Fingerprints, combined, folder_sha256
from dsl.data.formats import READ, format_of
from dsl.data.other_formats import advice_on
from dsl.data.paths import CellNames, beside_or_shared, filled, not_there, own_entry
from dsl.data.public_files import file_name, public_file
from dsl.data.rows import Paths, Rows
from dsl.data.source import DataFile, FileSource, Format, HubSource
from dsl.errors import DataError
from dsl.messages import listed
from dsl.values import Language, Scalar

NO_DATA = (".*", "_*", "*.md", "LICENSE*", "dataset_info.json", "state.json", "dataset_dict.json")
"""Names of files and folders in a folder of data files that hold no rows: those that git, Spark, the hub and
`datasets` keep."""


def rows_in(rows: Rows | dict[Language, Rows], language: Language) -> Rows:
    """One language's rows. Raises DataError where it has none."""
    if isinstance(rows, Rows):
        return rows
    if language not in rows:
        raise DataError(f"no rows for `{language}`. Add them, or name the data set's `languages`")
    return rows[language]


def rows_of_cell(rows: Rows, cell: CellNames) -> Rows:
    """Recorded rows of one cell, with its names in the place of placeholders, also in `where`.

    Raises:
        DataError: an unknown placeholder, or a map of files that names none for the cell.
    """
    words = cell.words()

    def here(value: Scalar) -> Scalar:
        return filled(value, words) if isinstance(value, str) else value

    texts = {name: text for name in ("hub", "name", "split") if (text := getattr(rows, name)) is not None}
    found: dict[str, object] = {name: filled(text, words) for name, text in texts.items()}
    found["where"] = {column: tuple(map(here, values)) for column, values in rows.where.items()}
    if rows.path is not None:
        path: Paths = own_entry(rows.path, cell) if isinstance(rows.path, dict) else rows.path
        found["path"] = (
            filled(path, words) if isinstance(path, str) else tuple(filled(p, words) for p in path)
        )
    return rows.model_copy(update=found)


def source_of(
    rows: Rows, fingerprints: Fingerprints, folder: Path, language: Language
) -> FileSource | HubSource:
    """One language's rows. `folder`: where relative paths start.

    Raises:
        DataError: a file that is not there, several of different formats, an ending that does not tell the
            format, or a placeholder that means nothing here.
    """
    names = {"language": language}
    if rows.hub is not None:
        return _hub(rows, fingerprints, folder, names)
    settings = {name: getattr(rows, name) for name in ("header", "delimiter", "quoting", "field", "where")}
    if rows.url is not None:
        assert rows.sha256 is not None
        path = str(public_file(rows.url, rows.sha256))
        kind = _format(rows, Path(file_name(rows.url)))
        return FileSource(path=path, sha256=rows.sha256, format=kind, url=rows.url, **settings)
    assert rows.path is not None
    if isinstance(rows.path, dict):
        raise DataError("a map of files is for recorded answers. For data write `rows: {en: {path: …}}`")
    named = (rows.path,) if isinstance(rows.path, str) else rows.path
    for one in named:
        if advice := advice_on(one):
            raise DataError(f"{folder / one} {advice}")
    paths = [path for one in named for path in _files(folder, filled(one, names), rows.format)]
    if doubled := sorted({str(path) for path in paths if paths.count(path) > 1}):
        raise DataError(f"{listed(doubled, most=3)}: named more than once, so its rows would count twice")
    kind = _format(rows, paths[0])
    if others := [str(path) for path in paths if _format(rows, path) != kind]:
        raise DataError(
            f"files of different formats: {listed([str(paths[0]), others[0]])}. Name those of one, as"
            " `path: data/*.jsonl`, or the `format` to take from the folder"
        )
    files = [DataFile(path=str(path), sha256=fingerprints.file(path)) for path in paths]
    digests = [file.sha256 for file in files]
    if len(files) == 1:
        return FileSource(path=files[0].path, sha256=digests[0], format=kind, **settings)
    return FileSource(
        path=str(folder / filled(named[0], names)) + (f" and {len(named) - 1} more" if named[1:] else ""),
        sha256=combined(*digests),
        format=kind,
        files=tuple(files),
        **settings,
    )


def is_place(hub: str) -> bool:
    """Test whether `hub` names a data set in a folder, and not one on the hub."""
    return hub.startswith(("./", "../", "/"))


def _files(folder: Path, named: str, format: Format | None) -> Iterator[Path]:
    """The files that an entry of `path` names: one, those of a folder, or those that a pattern matches."""
    folder = beside_or_shared(folder, named)
    path = folder / named
    if path.is_dir():
        yield from _files_of_folder(path, format)
    elif path.exists():
        yield path
    elif not glob.has_magic(named):
        raise DataError(f"{path}: {not_there()}")
    else:
        found = [folder / one for one in sorted(glob.glob(named, root_dir=folder, recursive=True))]
        files = [one for one in found if one.is_file()]
        if not files:
            raise DataError(f"{path}: no file matches this pattern")
        yield from files


def _files_of_folder(folder: Path, format: Format | None) -> Iterator[Path]:
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and _may_hold_rows(path, folder)]
    if format is not None:
        files = [path for path in files if format_of(path.name) == format]
    elif others := [path.name for path in files if format_of(path.name) is None]:
        raise DataError(
            f"{folder}: {listed(others, most=3)} in this folder can't be read. Name the files that can, as"
            f" `path: {folder.name}/*.jsonl`; read are {READ}"
        )
    if not files:
        raise DataError(f"{folder}: no {format or 'data'} file in this folder; read are {READ}")
    splits = {found[1]: path for path in files if (found := _split_of(path, folder)) is not None}
    if len({_SPLITS[split] for split in splits}) > 1:
        places = [str(path.relative_to(folder)) for path in splits.values()]
        raise DataError(
            f"{folder}: files of several splits in one folder: {listed(places, most=3)}. Name those that are"
            " meant, by a folder, a pattern or a list"
        )
    yield from files


_SPLITS = {
    name: split
    for split, names in {
        "train": "train training",
        "validation": "validation valid val dev",
        "test": "test",
    }.items()
    for name in names.split()
}
"""Split as a folder or a file's name begins with it -> its name."""


def _split_of(path: Path, folder: Path) -> re.Match[str] | None:
    """Find the split that a file below a folder is of, by the begin of a name on its way."""
    begins = (re.match(rf"({'|'.join(_SPLITS)})(?:[-_.]|$)", part) for part in path.relative_to(folder).parts)
    return next((found for found in begins if found is not None), None)


def _may_hold_rows(path: Path, folder: Path) -> bool:
    return not any(
        fnmatchcase(part, pattern) for part in path.relative_to(folder).parts for pattern in NO_DATA
    )


def _format(rows: Rows, path: Path) -> Format:
    kind = rows.format or format_of(path.name)
    if kind is None:
        raise DataError(
            f"{path}: the ending does not tell the format; read are {READ}. A file of one of these formats"
            " under another name needs its `format`, as `format: jsonl`; any other has to be saved as one"
        )
    return kind


def _hub(rows: Rows, fingerprints: Fingerprints, folder: Path, names: Mapping[str, str]) -> HubSource:
    assert rows.hub is not None
    assert rows.split is not None
    hub, split = filled(rows.hub, names), filled(rows.split, names)
    name = filled(rows.name, names) if rows.name else None
    place = folder / hub
    if not is_place(hub):
        # `datasets` would read a folder of this name below the current one, whatever the spec means
        if here := next((path for path in (place, Path(hub)) if path.is_dir()), None):
            from_spec = os.path.relpath(here, folder)
            if not is_place(from_spec):
                from_spec = f"./{from_spec}"
            raise DataError(
                f"`{hub}` is a data set's name on the hub, and also a folder here. For the folder write its"
                f" place from the spec: `hub: {from_spec}`"
            )
        return HubSource(hub=hub, name=name, split=split, revision=rows.revision, where=rows.where)
    if rows.revision is not None:
        raise DataError(f"{place}: a folder has no `revision`; its content counts")
    sha256 = folder_sha256(place, fingerprints)
    return HubSource(hub=str(place), name=name, split=split, where=rows.where, sha256=sha256)
