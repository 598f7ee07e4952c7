"""Asks a server through the `openai` engine, in a process of its own, whose memory holds nothing else; prints
what was measured as JSON."""

import json
import resource
import sys
import time
from pathlib import Path

from dsl.data.records import Prompt
from dsl.engines.contract import Decoding
from dsl.engines.openai import Settings
from runners.engines.contract import EngineRequest
from runners.engines.openai import Engine

N_WARM = 2_000
"""Answers after which memory should be what it will be."""
SYSTEM = (
    "You answer questions about animals that nobody has seen. Be brief, and say so where you do not know. "
    * 40
)


def main(url: str, n_requests: int, n_in_flight: int) -> None:
    engine = Engine(Settings(name="slow", base_url=url, max_concurrency=n_in_flight), None, Path())
    requests = [
        EngineRequest(
            key=str(n),
            prompt=Prompt(messages=(("system", SYSTEM), ("user", f"Where does zorbo number {n} live?"))),
        )
        for n in range(n_requests)
    ]
    warm, n_answered = 0.0, 0
    begin = time.perf_counter()
    for answer in engine.generate(requests, Decoding(max_new_tokens=100)):
        assert answer.text, answer.error
        n_answered += 1
        if n_answered == N_WARM:
            warm = _peak_megabytes()
    seconds = time.perf_counter() - begin
    sys.stdout.write(json.dumps({"a_second": n_answered / seconds, "warm": warm, "end": _peak_megabytes()}))


def _peak_megabytes() -> float:
    """Linux counts in KiB, macOS in bytes."""
    return (
        resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1e6
    )


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
