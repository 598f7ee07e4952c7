"""Commands of `xp` in the tests' own process, which has loaded what each process would load anew."""

import contextlib
import subprocess
from pathlib import Path

from typer.testing import CliRunner

from xp.cli import app


def xp(*arguments: str, cwd: Path, stdin: str = "") -> subprocess.CompletedProcess[str]:
    """Run a command as `python -m xp` does in a folder, without a terminal.

    Raises what the command raises, but for its exit.
    """
    with contextlib.chdir(cwd):
        found = CliRunner().invoke(app, arguments, input=stdin, env={"COLUMNS": "200"}, prog_name="xp")
    if found.exception is not None and not isinstance(found.exception, SystemExit):
        raise found.exception
    return subprocess.CompletedProcess(("xp", *arguments), found.exit_code, found.stdout, found.stderr)
