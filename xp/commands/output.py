"""Output and exit codes of commands.

0; 1 (a step failed, the store or warehouse could not be used, or a file not be written); 2 (a spec or an
argument is wrong); 3 (`xp plan --check`: there is something to run; `xp apply`: the budget stopped a step, or
requests wait at a provider, and none failed); 130 (interrupted).
"""

import io
import os
import shutil
import sys
from collections.abc import Generator
from contextlib import contextmanager

import typer

from dsl.data.written_files import REFUSALS
from dsl.errors import ArgumentError, OutputError, SpecError, XpError
from dsl.messages import escaped


def say(text: str, *, err: bool = False) -> None:
    """Print text, without what could drive a terminal.

    Raises:
        OutputError: it cannot be written, as on a full disk.
    """
    with written_out():
        print(escaped(text), file=sys.stderr if err else sys.stdout, flush=True)


@contextmanager
def written_out() -> Generator[None]:
    """Report output that cannot be written; a closed pipe wants no more, and no sentence."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        # what Python holds back is written when it ends
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise OutputError(f"the output cannot be written: {error.strerror or error}") from error


def terminal_width() -> int | None:
    """Cells of a line of the terminal that is written to; None where output goes elsewhere."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


@contextmanager
def exit_on_error() -> Generator[None]:
    """Print the user's errors and exit; anything else is our bug and keeps its traceback.

    Characters that the terminal's encoding lacks are printed as escapes.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        yield
    except SpecError as error:
        say(str(error), err=True)
        raise typer.Exit(2) from None
    except XpError as error:
        say(f"xp: {error}", err=True)
        raise typer.Exit(2 if isinstance(error, ArgumentError) else 1) from None
    except OSError as error:
        if error.errno not in REFUSALS:
            raise
        where = error.filename or "a file cannot be written"
        say(f"xp: {where}: {error.strerror}. `xp doctor` examines store, disk and rights", err=True)
        raise typer.Exit(1) from None
    except (KeyboardInterrupt, RuntimeError) as error:
        if isinstance(error, RuntimeError) and str(error) != "Query interrupted":  # DuckDB's for a Ctrl-C
            raise
        say("interrupted; `xp apply` goes on from here", err=True)
        raise typer.Exit(130) from None
