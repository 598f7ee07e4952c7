"""The `openai` engine with 64 requests in flight against a server on this machine that answers each of them
after 200 ms.

Ideal are 64 answers every 200 ms. Ours is one run of 20,000 requests from start to end: loading the HTTP
client, opening connections, growing the window from 8 to 64, and the last answers, when there is nothing left
to send, are part of it. The server has a process of its own, and so has the engine. Memory is the engine's:
how far its peak rises between answer 2,000 and the last one. Answers that were kept would take another 100
MB.
"""

import json
import subprocess
import sys
from collections.abc import Iterator

from benchmarks._servers.server import SECONDS
from benchmarks.measured import Measured

N_REQUESTS, N_IN_FLIGHT = 20_000, 64
LIMIT_MEGABYTES = 5.0


def run() -> Iterator[Measured]:
    with subprocess.Popen(
        [sys.executable, "-m", "benchmarks._servers.server"], stdout=subprocess.PIPE, text=True
    ) as server:
        try:
            assert server.stdout is not None
            url = f"http://127.0.0.1:{int(server.stdout.readline())}/v1"
            asking = [
                sys.executable,
                "-m",
                "benchmarks._servers.client",
                url,
                str(N_REQUESTS),
                str(N_IN_FLIGHT),
            ]
            found = json.loads(subprocess.run(asking, check=True, stdout=subprocess.PIPE, text=True).stdout)
        finally:
            server.kill()
    name = f"openai engine, {N_IN_FLIGHT} in flight, server takes {1000 * SECONDS:g} ms"
    yield Measured(
        name, found["a_second"], N_IN_FLIGHT / SECONDS, "the ideal", "answers/s", 0.95, is_least=True
    )
    grown = found["end"] - found["warm"]
    yield Measured(
        f"openai engine, peak memory from answer 2,000 to {N_REQUESTS:,}",
        grown,
        LIMIT_MEGABYTES,
        "the limit",
        "MB",
        1.0,
    )
