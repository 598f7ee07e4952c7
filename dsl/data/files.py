"""Rows of the data files that a source names."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from dsl.data.fingerprints import combined, file_sha256
from dsl.data.formats import rows_of_file
from dsl.data.inner_rows import Row
from dsl.data.public_files import holds
from dsl.data.selectors import pick
from dsl.data.source import FileSource, Where
from dsl.errors import DataError
from dsl.messages import listed
from dsl.values import Scalar, as_written


class FileRows(Iterator[Row]):
    """The rows of a source, in order: mappings, or lists where the file names no columns.

    With `where`, `counted` gets the numbers of rows `read` and `kept`.

    Raises, where it is iterated:
        DataError: a file is missing, cut off, or not in its format, with its line; or `where` names a column
            that a row lacks, or keeps no row.
    """

    def __init__(self, source: FileSource, counted: Counter[str] | None = None) -> None:
        self._file, self._kept = source.path, source.at.removeprefix(source.path)
        self._number = 0
        self._rows = self._read(source, Filter(source.where, counted))

    def __next__(self) -> Row:
        row = next(self._rows)
        self._number += 1
        return row

    @property
    def at(self) -> str:
        """The file of the row that came last, and its number there, for errors."""
        return f"{self._file}{self._kept}: row {self._number}"

    def _read(self, source: FileSource, filtered: "Filter") -> Iterator[Row]:
        for path in paths_of(source):
            self._file, self._number = str(path), 0
            yield from filtered.rows(_rows(source, path), str(path))
        filtered.check(source.path)


def read_file(source: FileSource, counted: Counter[str] | None = None) -> FileRows:
    """The rows of a source, as `FileRows` says."""
    return FileRows(source, counted)


def placed(rows: Iterable[Row], where: str) -> Iterator[tuple[int, str, Row]]:
    """Return each row behind its number, from 1, and its place for errors: of several files, that in its own.

    Args:
        where: The place of rows that are of no file.
    """
    if isinstance(rows, FileRows):
        yield from ((number, rows.at, row) for number, row in enumerate(rows, 1))
    else:
        yield from ((number, f"{where}: row {number}", row) for number, row in enumerate(rows, 1))


def read_planned(source: FileSource, counted: Counter[str] | None = None) -> FileRows:
    """The rows of a source whose digest the plan has filled in.

    Raises:
        DataError: as `read_file`, or a file is no longer the one that was planned.
    """
    paths = paths_of(source)
    digests = [file_sha256(path) for path in paths]
    if source.sha256 != (combined(*digests) if source.files else digests[0]) and not (
        source.url is not None and holds(paths[0], digests[0], source.sha256)
    ):
        raise DataError(f"{source.path} has changed since it was planned. Plan again")
    return read_file(source, counted)


def paths_of(source: FileSource) -> list[Path]:
    """Return a source's files in their order."""
    return [Path(file.path) for file in source.files] or [Path(source.path)]


def is_here(source: FileSource) -> bool:
    """Test whether a source can be read now; a public file may still have to be fetched."""
    return source.url is None or Path(source.path).is_file()


def _rows(source: FileSource, path: Path) -> Iterator[Row]:
    return rows_of_file(
        path,
        source.format,
        header=source.header,
        delimiter=source.delimiter,
        quoting=source.quoting,
        field=source.field,
    )


def filtered_rows(
    rows: Iterable[Row], where: Where, at: str, counted: Counter[str] | None = None
) -> Iterator[Row]:
    """The rows that `where` keeps of rows from one place, as `Filter` says."""
    filtered = Filter(where, counted)
    yield from filtered.rows(rows, at)
    filtered.check(at)


class Filter:
    """The rows that hold one of the wanted values in every column of `where`; all of them without one.

    A text, in the file or wanted, is compared as it is written, so `7` and `"7"` are the text in a CSV file
    and the number in a JSON file.
    """

    def __init__(self, where: Where, counted: Counter[str] | None = None) -> None:
        """`counted` gets the numbers of rows `read` and `kept`, where there is something to keep by."""
        self._where = where
        self._counted = Counter[str]() if counted is None else counted
        self._others: dict[str, Counter[str]] = {column: Counter() for column in where}

    def rows(self, rows: Iterable[Row], at: str) -> Iterator[Row]:
        """Yield those that are kept. Raises DataError for a row that lacks such a column."""
        if not self._where:
            yield from rows
            return
        for number, row in enumerate(rows, 1):
            self._counted["read"] += 1
            held = {column: pick(row, column, number, f"{at}: row {number}") for column in self._where}
            missed = [column for column, value in held.items() if not _is_wanted(value, self._where[column])]
            if missed:
                self._others[missed[0]][str(held[missed[0]]) if isinstance(row, Mapping) else ""] += 1
                continue
            self._counted["kept"] += 1
            yield row

    def check(self, at: str) -> None:
        """Raise DataError where rows were read and none was kept, with what the columns hold."""
        if self._counted["read"] and not self._counted["kept"]:
            n = self._counted["read"]
            raise DataError(f"{at}: `where` keeps none of {n} rows{_held(self._others)}")


def _held(others: Mapping[str, Counter[str]]) -> str:
    """The values of the rows that were left out, unless the file names no columns and so may be no data."""
    told = [
        f"`{column}` holds {listed((value for value, _ in found.most_common()), most=6)}"
        for column, found in others.items()
        if found.keys() - {""}
    ]
    return f": {'; '.join(told)}" if told else ""


def _is_wanted(held: object, wanted: tuple[Scalar, ...]) -> bool:
    return any(
        as_written(held) == as_written(one)
        if isinstance(held, str) or isinstance(one, str)
        else held == one and isinstance(held, bool) == isinstance(one, bool)
        for one in wanted
    )
