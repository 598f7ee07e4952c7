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
    """Rebuild the warehouse from the store and ask it."""

    def ask(sql: str) -> list[dict[str, Any]]:
        maker.folder.mkdir(parents=True, exist_ok=True)
        rebuild(maker.folder)
        with connect(maker.folder / WAREHOUSE, read_only=True) as connection:
            found = connection.execute(sql)
            names = [column[0] for column in found.description]
            return [dict(zip(names, row, strict=True)) for row in found.fetchall()]

    return ask
