from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.warehouse.stores import StoreMaker
from warehouse.connect import WAREHOUSE, connect
from warehouse.load import rebuild

Ask = Callable[[str], list[dict[str, Any]]]


@pytest.fixture
def maker(tmp_path: Path) -> StoreMaker:
    return StoreMaker(tmp_path / "store")


@pytest.fixture
def ask(maker: StoreMaker) -> Ask:
    """Rebuild the warehouse from the store, if that has changed since it was last asked, and ask it."""
    asked: list[list[tuple[str, int, int]]] = []

    def ask(sql: str) -> list[dict[str, Any]]:
        maker.folder.mkdir(parents=True, exist_ok=True)
        if asked != [_files(maker.folder)]:
            rebuild(maker.folder)
            asked[:] = [_files(maker.folder)]
        with connect(maker.folder / WAREHOUSE, read_only=True) as connection:
            found = connection.execute(sql)
            names = [column[0] for column in found.description]
            return [dict(zip(names, row, strict=True)) for row in found.fetchall()]

    return ask


def _files(folder: Path) -> list[tuple[str, int, int]]:
    """Return the name, time and size of each file of a store, the warehouse among them."""
    found = ((path, path.stat()) for path in sorted(folder.rglob("*")))
    return [(str(path), stat.st_mtime_ns, stat.st_size) for path, stat in found]
