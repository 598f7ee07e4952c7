"""A Slurm cluster of one node on this machine, with a configuration, keys and ports of its own."""

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

NEEDED = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scancel", "sinfo")
CONFIGURATION = """
ClusterName=one
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
SlurmUser=root
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SlurmdParameters=config_overrides
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
DefMemPerCPU=500
SchedulerParameters=sched_min_interval=0
JobRequeue=1
MailProg=/bin/true
KillWait=1
ReturnToService=2
SlurmdTimeout=0
GresTypes=gpu
NodeName={host} NodeAddr=127.0.0.1 CPUs=4 RealMemory=4000 Gres=gpu:2 State=UNKNOWN
PartitionName=short Nodes=ALL Default=YES MaxTime=60 State=UP
PartitionName=long Nodes=ALL MaxTime=INFINITE State=UP
"""


def missing() -> str | None:
    """Return the reason why there can be no such cluster here; None where there can."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return "Slurm's daemons are started as root, on Linux"
    if absent := [name for name in NEEDED if shutil.which(name, path=_path()) is None]:
        return f"{', '.join(absent)} not installed: apt-get install slurmctld slurmd slurm-client munge"
    return None


@contextlib.contextmanager
def running(folder: Path) -> Iterator[Mapping[str, str]]:
    """Start the cluster, and stop it and all of its jobs at the end of the block.

    Yields environment variables by which Slurm's commands find it.
    """
    for name in ("state", "spool"):
        (folder / name).mkdir()
    key = folder / "munge.key"
    key.write_bytes(os.urandom(1024))
    key.chmod(0o400)
    gpus = "".join(f"Name=gpu File=/dev/{name}\n" for name in ("null", "zero"))  # for Slurm to count
    (folder / "gres.conf").write_text(gpus, "utf-8")
    configuration = folder / "slurm.conf"
    host = socket.gethostname().partition(".")[0]
    configuration.write_text(CONFIGURATION.format(host=host, folder=folder, ports=_free_ports()), "utf-8")
    variables = {"SLURM_CONF": str(configuration), "PATH": _path()}
    munged = ["munged", "--foreground", "--force", f"--socket={folder}/munge.socket", f"--key-file={key}"]
    munged += [f"--{name}-file={folder}/munged.{name}" for name in ("pid", "log", "seed")]
    daemons: list[subprocess.Popen[bytes]] = []
    try:
        for command in (munged, ["slurmctld", "-D", "-c"], ["slurmd", "-D"]):
            with (folder / f"{command[0]}.out").open("wb") as log:
                daemon = subprocess.Popen(
                    command, env={**os.environ, **variables}, stdout=log, stderr=log, start_new_session=True
                )
            daemons.append(daemon)
            if command is munged:
                _wait_for(lambda: (folder / "munge.socket").exists(), "munged", folder)
        _wait_for(lambda: "idle" in said(variables, "sinfo", "-h", "-o", "%T"), "a node", folder)
        yield variables
        said(variables, "scancel", "--user=root")
        _wait_for(lambda: not said(variables, "squeue", "-h").strip(), "the end of the jobs", folder)
    finally:
        for daemon in reversed(daemons):
            daemon.terminate()
        for daemon in reversed(daemons):
            try:
                daemon.wait(timeout=10)
            except subprocess.TimeoutExpired:
                daemon.kill()


def _path() -> str:
    return os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/sbin"))


def _free_ports() -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(2)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def said(variables: Mapping[str, str], *command: str) -> str:
    """Return what one of Slurm's commands prints."""
    done = subprocess.run(command, env={**os.environ, **variables}, capture_output=True, text=True)
    return done.stdout


def _wait_for(what: Callable[[], bool], name: str, folder: Path) -> None:
    until = time.monotonic() + 60
    while not what():
        if time.monotonic() > until:
            logs = "\n".join(path.read_text("utf-8", "replace")[-1500:] for path in folder.glob("*.log"))
            pytest.fail(f"Slurm: waited for {name} in vain\n{logs}")
        time.sleep(0.1)
