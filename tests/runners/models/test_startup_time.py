"""Start-up time of a process."""

import subprocess
import sys


def test_a_process_counts_its_own_start() -> None:
    code = (
        "import time; time.sleep(0.3); from runners.models.startup_time import count_process, taken;"
        " count_process(); print(taken(), taken())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    counted, again = map(float, done.stdout.split())
    assert 0.3 <= counted < 30
    assert again == 0
