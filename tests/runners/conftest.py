from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where weights are kept that are converted when they are first asked for, which takes some ten seconds for the packaged model."""
    return tmp_path_factory.mktemp("cache")
