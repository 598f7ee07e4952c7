"""Faults of servers: rows without an answer for a reason that may pass.

The next two applies ask for them again; then they are final, with their reason.

A finished step with such rows has a file `open` in its folder. Its other rows stay as they are when it is run
again; while it is, the file holds the rows that are asked again, so that a kill forgets none of their faults.
"""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from dsl.engines.contract import EngineSettings, ServerSettings
from dsl.errors import ServerError

MOST = 3
"""Attempts that may end in a fault on the same row."""
MARKER = "open"


def is_open(n_faults: int) -> bool:
    """Check if a row that failed so often for a passing reason is asked for again."""
    return 0 < n_faults < MOST


def were_left_in(folder: Path) -> bool:
    """Check if an attempt at the step in this folder was finished with rows to ask for again."""
    return (folder / MARKER).exists()


def check(model: EngineSettings | None, cells: Iterable[str], failed: Iterable[tuple[str, str]]) -> None:
    """Refuse errors in more than half of the rows, or in a whole cell.

    They say more about the server than about the model behind it.

    Args:
        cells: the cell of each row.
        failed: the cell of each row that is an error, and the error.

    Raises:
        ServerError: with the last error.
    """
    if not isinstance(model, ServerSettings):
        return
    errors = tuple(failed)
    n_rows, n_failed = Counter(cells), Counter(cell for cell, _ in errors)
    if 2 * n_failed.total() > n_rows.total() or any(n_failed[cell] == n for cell, n in n_rows.items()):
        raise ServerError(
            f"{model.name} gave no answer to {n_failed.total()} of {n_rows.total()} requests, too many for a"
            f" result; the last: {errors[-1][1].rstrip('.')}. What was answered is kept: run it again when"
            " the server answers"
        )
