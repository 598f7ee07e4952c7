"""`python -m xp` and the command `xp`."""

import gc
import os
import sys


def main() -> None:
    """Run the command line; a pipe that is closed early (`xp query … | head`) ends it quietly."""
    # a plan is many values and no cycle among them: looking for one took a fifth of its time
    gc.set_threshold(100_000, 20, 100)
    from xp.cli import app

    try:
        app(prog_name="xp")
    except BrokenPipeError:
        # so that the interpreter's last flush finds somewhere to go
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)


if __name__ == "__main__":
    main()
