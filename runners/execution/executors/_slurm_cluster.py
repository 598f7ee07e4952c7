"""Slurm as the `slurm` executor needs it: `sbatch`, `squeue`, `sinfo` and `scancel`, called as programs.

Nothing of this process's environment is sent to a job but what Slurm's own commands read, because Slurm keeps
what it is sent in files. A job begins with a login shell, so a person's profile holds on the nodes too.

A job is known by its name, which is drawn before it is submitted: so it can be cancelled even if this process
was killed before it heard the job's number.
"""

import math
import os
import shlex
import subprocess
import sys
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

from dsl.errors import XpError
from dsl.messages import one_line
from dsl.spec.resources import Resources
from runners.execution import gpus

_ANSWER_SECONDS = 120.0
_SENT = frozenset({"HOME", "LANG", "LOGNAME", "PATH", "SHELL", "SLURM_CONF", "USER"})
"""Environment variables that Slurm's commands, and so jobs, get; beside them the options of `sbatch`."""

OVER = frozenset({"COMPLETED", "FAILED", "OUT_OF_MEMORY"})
"""States of a job whose program ended by itself (squeue, "Job State Codes")."""

LOST = frozenset({"BOOT_FAIL", "CANCELLED", "DEADLINE", "NODE_FAIL", "PREEMPTED", "REVOKED", "TIMEOUT"})
"""States of a job that was taken from its program. In any other it waits or runs."""

UNKNOWN = "unknown to Slurm"
"""State of a job that Slurm knows no more, as some minutes after its end."""


def options_of(given: Resources | None) -> tuple[str, ...]:
    """Return the options of `sbatch`."""
    given = given or Resources()
    options = {
        "cpus-per-task": int(given.num_cpus or 1),
        "gres": f"gpu:{int(given.num_gpus)}" if given.num_gpus else None,
        "mem": f"{math.ceil(given.memory / 1024)}K" if given.memory else None,
        "partition": given.partition,
        "time": given.time,
        "account": given.account,
    }
    return tuple(f"--{name}={value}" for name, value in options.items() if value is not None)


def check(resources: Mapping[str, Resources], kinds: Iterable[str], loading: Collection[str]) -> None:
    """Check that Slurm can give each kind of step what it is to get.

    Raises:
        XpError: Slurm's commands are not here, its controller does not answer, or it refuses the options of a
            kind; or the nodes have GPUs, and for a kind of step that loads a model (`loading`) the spec does
            not say how many it is to have.
    """
    for kind in sorted(kinds):
        given = resources.get(kind) or Resources()
        where = () if given.partition is None else (f"--partition={given.partition}",)
        if kind in loading and given.num_gpus is None and "gpu" in _call("sinfo", "-h", "-o", "%G", *where):
            raise gpus.unsaid("Slurm", kind)
        try:
            _call("sbatch", "--test-only", *options_of(given), given="#!/bin/sh\n")
        except XpError as error:
            asked = " ".join(options_of(given))
            raise XpError(f"Slurm does not take a job for a {kind} step ({asked}): {error}") from error


def submit(name: str, n: int, options: Iterable[str], module: str, folder: Path) -> str:
    """Submit an array of `n` jobs and return its number.

    Job i runs `python -m module FOLDER i` and prints to `i.log` in the folder. Slurm itself begins none again
    (`--no-requeue`).

    Raises XpError.
    """
    modules = os.pathsep.join(path for path in sys.path if path)
    command = shlex.join(["exec", sys.executable, "-P", "-m", module, str(folder)])
    script = f'#!/bin/bash -l\nexport PYTHONPATH={shlex.quote(modules)}\n{command} "$SLURM_ARRAY_TASK_ID"\n'
    printed = str(folder / "%").replace("%", "%%")[:-2] + "%a.log"
    answer = _call(
        *("sbatch", "--parsable", f"--job-name={name}", f"--array=0-{n - 1}", "--nodes=1", "--ntasks=1"),
        *("--no-requeue", f"--output={printed}", f"--chdir={folder}", *options),
        given=script,
    )
    return answer.strip().partition(";")[0]


def states(names: Collection[str]) -> dict[tuple[str, int | None], str]:
    """Return what Slurm says of arrays: (name, index) -> state.

    Jobs that were cancelled together before they began stand under (name, None). What Slurm has forgotten is
    left out. Raises XpError.
    """
    found: dict[tuple[str, int | None], str] = {}
    lines = _call("squeue", "-h", "-r", "--states=all", f"--name={','.join(names)}", "-o", "%j|%K|%T")
    for line in lines.splitlines():
        name, index, state = line.split("|")
        found[name, int(index) if index.isdigit() else None] = state
    return found


def cancel(*jobs: str) -> None:
    """Cancel jobs, each an option `--name=` or a number. Raises XpError."""
    for job in jobs:
        _call("scancel", job)


def _call(*command: str, given: str = "") -> str:
    sent = {key: v for key, v in os.environ.items() if key in _SENT or key.startswith("SBATCH_")}
    try:
        done = subprocess.run(
            command,
            input=given,
            env=sent,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_ANSWER_SECONDS,
            check=False,
            start_new_session=True,  # the terminal's Ctrl-C is for `apply` alone
        )
    except FileNotFoundError as error:
        raise XpError(
            f"`executor: slurm` needs Slurm's commands, and there is no `{command[0]}` here. Run `xp apply`"
            " on a machine from which jobs are submitted"
        ) from error
    except subprocess.TimeoutExpired as error:
        raise XpError(f"{command[0]} gave no answer in {_ANSWER_SECONDS:.0f} s") from error
    if done.returncode != 0:
        raise XpError(one_line(done.stderr)[:600] or f"{command[0]} ended with exit code {done.returncode}")
    return done.stdout
