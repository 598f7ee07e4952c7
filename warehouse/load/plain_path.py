"""Paths of rows as DuckDB may be given them: to it, `*` and `[` in a folder's name are a pattern."""

import atexit
import functools
import re
import shutil
import tempfile
from pathlib import Path

_PATTERN = re.compile(r"[*?\[]")


def plain(path: Path) -> str:
    """Return a path to the same file without pattern characters.

    It goes through a link in a temporary folder where the file's own path has some.
    """
    path = path.absolute()
    odd = [folder for folder in path.parents if _PATTERN.search(folder.name)]
    # the nearest: nothing odd is below it
    return str(_link_to(odd[0]) / path.relative_to(odd[0]) if odd else path)


@functools.cache
def _link_to(folder: Path) -> Path:
    place = Path(tempfile.mkdtemp(prefix="xp-"))
    atexit.register(shutil.rmtree, place, ignore_errors=True)  # the link alone goes, not what it leads to
    link = place / "store"
    link.symlink_to(folder, target_is_directory=True)
    return link
