"""Peak rates of this machine: float32 arithmetic on large matrices, and reading memory. With all
threads, as torch does them."""

import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Rates:
    flops: float
    """Additions and multiplications a second."""
    bytes: float
    """Bytes read a second."""


def measure() -> Rates:
    """The best of several tries each: a product of two 4,096 × 4,096 matrices (the larger of this and of
    2,048 × 2,048), and the sum of a gigabyte, far more than the processor's caches hold."""
    import torch

    def best(work: Callable[[], object], times: int) -> float:
        def seconds() -> float:
            began = time.perf_counter()
            work()
            return time.perf_counter() - began

        work()
        return min(seconds() for _ in range(times))

    squares = [torch.rand(n, n) for n in (2048, 4096)]
    flops = max(2 * len(square) ** 3 / best(lambda square=square: square @ square, 10) for square in squares)
    long = torch.rand(1 << 28)
    return Rates(flops, long.nbytes / best(long.sum, 10))


if __name__ == "__main__":
    print(json.dumps(asdict(measure())))
