"""Memory that a training frees is the system's again."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from runners.execution.executors._process import MALLOC

GROWN = """
import random, sys
from runners.models import memory

def resident():
    return next(int(line.split()[1]) << 10 for line in open("/proc/self/status") if line.startswith("VmRSS"))

random.seed(0)
memory.free_bytes = lambda device: 256 << 20
small = []
before = resident()
for _ in range(25):  # batches of another length each, and something small that stays
    batch = [bytes(random.randrange(40, 120) << 20) for _ in range(3)]
    small.append([bytes(random.randrange(200_000)) for _ in range(20)])
    if sys.argv[1] == "returned":
        memory.give_back_unused()
print(resident() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's allocator")
def test_a_worker_does_not_grow_by_the_batches_of_a_training() -> None:
    kept, returned = (_grown_by(how) for how in ("kept", "returned"))
    assert returned < 500 << 20 < kept  # three of the largest are 360 MiB


def _grown_by(how: str) -> int:
    """Bytes by which a process with a worker's allocator grew."""
    environment = {**os.environ, **MALLOC, "PYTHONPATH": str(Path(__file__).parents[3])}
    done = subprocess.run(
        [sys.executable, "-c", GROWN, how], env=environment, capture_output=True, text=True, check=True
    )
    return int(done.stdout)
