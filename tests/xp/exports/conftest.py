"""One study for all tests of exports, which only read it."""

from pathlib import Path

import pytest

from tests.xp.exports.exported import study


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return study(tmp_path_factory.mktemp("hard"))
