"""One query of the SQL box, in a process of its own: `-m xp.view.query_process WAREHOUSE ROWS SECONDS`.

DuckDB can be interrupted while it computes, but not Python while it makes values of what was found, of which
a single row may hold any number. A process is ended at any moment, by its own alarm, and the warehouse is
free then.
"""

import contextlib
import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from dsl.errors import ArgumentError, WarehouseError, XpError
from warehouse.connect import connect
from warehouse.errors import WarehouseHeld
from warehouse.query import first_rows
from xp.view.opened import late

_ERRORS = {error.__name__: error for error in (ArgumentError, WarehouseHeld)}


def ask(path: Path, sql: str, n: int, longest: float) -> dict[str, Any]:
    """Return a query's `columns`, its first `n` `rows` as JSON knows them, and whether there are more
    (`is_cut`).

    Raises:
        ArgumentError, WarehouseError: as `first_rows`, or the warehouse was open for `longest` seconds.
    """
    command = [sys.executable, "-P", "-m", "xp.view.query_process", str(path), str(n), str(longest)]
    # in a session of its own: the terminal's Ctrl-C is for the server
    done = subprocess.run(command, input=sql.encode(), stdout=subprocess.PIPE, start_new_session=True)
    if done.returncode == -signal.SIGALRM:
        raise late(longest)
    if not done.stdout:
        raise WarehouseError("The query took the process that ran it with it: perhaps it needs more memory.")
    found: dict[str, Any] = json.loads(done.stdout)
    if "error" in found:
        raise _ERRORS.get(found["kind"], WarehouseError)(found["error"])
    return found


def main() -> None:
    path, n, longest = sys.argv[1:]
    sql = sys.stdin.buffer.read().decode()
    try:
        with contextlib.closing(connect(Path(path), read_only=True, may_migrate=False)) as connection:
            signal.setitimer(signal.ITIMER_REAL, float(longest))  # whose signal ends a process
            names, rows, is_cut = first_rows(connection, sql, int(n))
        found = {
            "columns": names,
            "rows": [[_exact(value) for value in row] for row in rows],
            "is_cut": is_cut,
        }
    except XpError as error:
        found = {"kind": type(error).__name__, "error": str(error)}
    sys.stdout.write(json.dumps(found))


def _exact(value: object) -> object:
    """The value, an integer that JavaScript would round as text."""
    return str(value) if isinstance(value, int) and abs(value) > 2**53 else value


if __name__ == "__main__":
    main()
