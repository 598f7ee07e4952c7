"""Shipped studies find their public data in one folder and fetch nothing."""

import pytest

from tests.specs.public_data import FOLDER


@pytest.fixture(autouse=True)
def _public_data(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    monkeypatch.setenv("XP_DATA", str(FOLDER))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.getbasetemp() / "cache"))
