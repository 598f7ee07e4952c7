"""The warehouse, open for one request at a time and for a few seconds at most.

While a process reads the file, `xp apply` cannot load what is finished. It tries again, at its end for ten
seconds; so a request ends earlier than that, and the next one begins a little after it.
"""

import contextlib
import threading
import time
from collections.abc import Generator
from pathlib import Path

import duckdb

from dsl.errors import WarehouseError
from warehouse.connect import PATIENCE_SECONDS, connect
from warehouse.errors import duckdb_errors

LONGEST_SECONDS = 0.8 * PATIENCE_SECONDS
"""A request that takes longer is interrupted."""

PAUSE_SECONDS = 0.1
"""Time between two requests: a writer that waits looks every 0.05 s."""


class Opener:
    """Opens a warehouse, read-only."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._turn = threading.Lock()
        self._free_since = 0.0

    @contextlib.contextmanager
    def opened(self, longest: float = LONGEST_SECONDS) -> Generator[duckdb.DuckDBPyConnection]:
        """Open it for the block.

        Raises:
            WarehouseHeld: an apply loads into it, for longer than one waits.
            WarehouseError: there is none, a query fails, or the block takes too long.
        """
        with (
            self.turn(),
            contextlib.closing(connect(self.path, read_only=True, may_migrate=False)) as connection,
        ):
            yield from _interrupted(connection, self.path, longest)

    @contextlib.contextmanager
    def turn(self) -> Generator[None]:
        """Keep other requests off for the block, which begins when a writer has had its chance."""
        with self._turn:
            time.sleep(max(0.0, self._free_since + PAUSE_SECONDS - time.monotonic()))
            try:
                yield
            finally:
                self._free_since = time.monotonic()


def late(longest: float) -> WarehouseError:
    """Return the error of what takes too long."""
    return WarehouseError(
        f"This takes longer than {longest:g} s and was ended, so that no apply waits for it. Ask for less, or"
        " use `xp query` or `xp report`, which take their time."
    )


def _interrupted(
    connection: duckdb.DuckDBPyConnection, path: Path, longest: float
) -> Generator[duckdb.DuckDBPyConnection]:
    is_late, is_over = threading.Event(), threading.Event()

    def end() -> None:
        if is_over.wait(longest):
            return
        is_late.set()
        while not is_over.is_set():
            connection.interrupt()  # which is forgotten where no query is running
            is_over.wait(0.05)

    watcher = threading.Thread(target=end, daemon=True)
    watcher.start()
    try:
        with duckdb_errors(path):
            yield connection
    except WarehouseError as error:
        if is_late.is_set():
            raise late(longest) from error
        raise
    finally:
        is_over.set()
        watcher.join()
