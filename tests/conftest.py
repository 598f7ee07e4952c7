"""Before torch is loaded: threads that wait give their core away, since tests and the workers they start
share the machine's cores."""

import gc
import os
import shutil
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import duckdb
import pytest
from hypothesis import settings

import warehouse.connect

gc.disable()  # until all tests are collected, of which it took a quarter of the time
# or each of hundreds of processes would compile every module again, a fifth of its start
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
if "PYTEST_XDIST_WORKER" in os.environ:  # as many processes as cores: one thread for each
    os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
# how long an example takes is no claim of any test
settings.register_profile("untimed", settings.default, deadline=None)
settings.load_profile("untimed")


@pytest.hookimpl(optionalhook=True)  # without xdist, too
def pytest_xdist_auto_num_workers() -> int:
    """Return a worker more than processors, since some tests wait."""
    return 1 + (os.cpu_count() or 1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put files with slow tests first, so that at the end no worker is left alone with one of them."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


def pytest_collection_finish() -> None:
    """Collect garbage from now on, but for what collecting the tests left."""
    gc.collect()
    gc.freeze()
    gc.enable()


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """Exempt modules from garbage collection once a test has loaded many: a training collects five times, and
    to walk through torch, transformers and TRL took a third of its time."""
    n = len(sys.modules)
    is_end = nextitem is None or nextitem.path != item.path
    if n > _Frozen.n_modules + 100 or (is_end and n > _Frozen.n_modules_at_end):
        gc.unfreeze()  # with models of the file's tests, which are freed at its end
        gc.collect()
        gc.freeze()
        _Frozen.n_modules = n
    if is_end:
        _Frozen.n_modules_at_end = n


def pytest_unconfigure() -> None:
    """Let the interpreter free at its end what was frozen."""
    gc.unfreeze()


class _Frozen:
    """Numbers of modules that were loaded when garbage was last collected and frozen."""

    n_modules = 0
    n_modules_at_end = 0


@pytest.fixture(scope="session", autouse=True)
def copied_warehouses(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Begin each new warehouse of this process as a copy of one empty one: views take ten
    times as long to make as a file to copy."""
    opened = warehouse.connect._open

    @cache
    def empty() -> Path:
        path = tmp_path_factory.mktemp("warehouse") / "empty.duckdb"
        with opened(path, read_only=False, patience=0.0) as connection:
            warehouse.connect.migrate(connection, path)
        return path

    def begun_as_a_copy(path: Path, read_only: bool, patience: float) -> duckdb.DuckDBPyConnection:
        if path.suffix == ".new" and not path.exists():
            shutil.copyfile(empty(), path)
        return opened(path, read_only, patience)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(warehouse.connect, "_open", begun_as_a_copy)
        yield
