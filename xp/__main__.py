"""`python -m xp` and the command `xp`."""

import atexit
import gc
import os
import sys


def main() -> None:
    """Run the command line; a pipe that is closed early (`xp query … | head`) ends it quietly."""
    sys.path[:] = [entry for entry in sys.path if not _is_working_folder(entry)]
    # a plan is many values and no cycle among them: looking for one took a fifth of its time
    gc.set_threshold(100_000, 20, 100)
    from xp.cli import app

    atexit.register(_leave_what_is_left)
    try:
        app(prog_name="xp")
    except BrokenPipeError:
        # so that the interpreter's last flush finds somewhere to go
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)


def _leave_what_is_left() -> None:
    """Have the interpreter end without looking for garbage once more, a twentieth of a large plan's time; the
    bindings of DuckDB would take what is left for leaked."""
    if "duckdb" not in sys.modules:
        gc.freeze()


def _is_working_folder(entry: str) -> bool:
    """Test whether a module path is the working folder and not ours.

    A folder `dsl` in it may be anyone's. Workers are given the paths that are left.
    """
    try:
        is_here = os.path.samefile(entry or os.curdir, os.curdir)
        return is_here and not os.path.samefile(os.path.dirname(os.path.dirname(__file__)), os.curdir)
    except OSError:  # no such folder
        return False


if __name__ == "__main__":
    main()
