"""Index of the row keys in finished steps, so that a file without a wanted key is neither read nor hashed.

`<store>/cache/row_keys/<step_id>` has the first 8 bytes of each key of one file, behind the file's mark. It
is made as a file is looked into for the first time, and says only where a row cannot be: one that it leads to
is checked as if there was no index. So it can be deleted, a damaged or outdated one is made again, and a
false one costs rows that are made again.
"""

import contextlib
import os
import struct
import zlib
from array import array
from collections.abc import Iterable
from pathlib import Path

from dsl.data.written_files import written_aside
from runners.store.step_io import KEY

FOLDER = "row_keys"
_N_DIGITS = 16
"""Hex digits of a key that are kept: 8 bytes."""
_HEAD = struct.Struct("<QQQQ")
"""Size, time of change and inode of the file, and the CRC-32 of what follows."""

_Mark = tuple[int, int, int]
_MOST_FILES, _MOST_ROWS = 1024, 1000
"""Limits of the indexes that a process keeps: those of the small files that step after step looks into, 8 MB
at most."""
_kept: dict[str, tuple[_Mark, "array[int]"]] = {}


def prefixes(keys: Iterable[str]) -> frozenset[int]:
    """Return the beginnings of row keys, as the index has them."""
    return frozenset(int(key[:_N_DIGITS], 16) for key in keys)


def may_hold(path: str, wanted: frozenset[int], cache: Path) -> bool:
    """Test whether a finished step's file of rows can hold one of the wanted keys.

    It can, too, where it cannot be indexed. Raises FileNotFoundError where there is none.
    """
    try:
        stat = os.stat(path)
        mark = stat.st_size, stat.st_mtime_ns, stat.st_ino
        known = _kept.get(path)
        found = known[1] if known is not None and known[0] == mark else _indexed(path, mark, cache)
        return not wanted.isdisjoint(found)
    except FileNotFoundError:
        raise
    except (OSError, ValueError):
        return True


def _indexed(path: str, mark: _Mark, cache: Path) -> "array[int]":
    """Read a file's index, or make it. Raises OSError, ValueError."""
    at = cache / FOLDER / os.path.basename(os.path.dirname(path))
    found = _read(at, mark)
    if found is None:
        found = _keys(path)
        _write(at, mark, found)
    if len(found) <= _MOST_ROWS:
        if len(_kept) >= _MOST_FILES:
            del _kept[next(iter(_kept))]
        _kept[path] = mark, found
    return found


def _read(path: Path, mark: _Mark) -> "array[int] | None":
    """Return the keys of a file with this mark; None where they are not known."""
    with contextlib.suppress(OSError, ValueError, struct.error):
        content = path.read_bytes()
        *was, crc = _HEAD.unpack_from(content)
        if tuple(was) == mark and zlib.crc32(content[_HEAD.size :]) == crc:
            return array("Q", content[_HEAD.size :])
    return None


def _write(path: Path, mark: _Mark, keys: "array[int]") -> None:
    """Write keys aside, then move them; what cannot be written is made again."""
    content = keys.tobytes()
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        with written_aside(path, is_of_many=True) as aside:
            aside.write_bytes(_HEAD.pack(*mark, zlib.crc32(content)) + content)


def _keys(path: str) -> "array[int]":
    """Read the keys of a file's rows. Raises ValueError where a line does not begin with its key."""
    keys, begin, end = array("Q"), len(KEY), len(KEY) + _N_DIGITS
    with open(path, "rb") as lines:
        for line in lines:
            if not line.startswith(KEY):
                raise ValueError(f"{path}: a line does not begin with its key")
            keys.append(int(line[begin:end], 16))
    return keys
