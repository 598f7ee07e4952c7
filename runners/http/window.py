"""Congestion window: how many requests a server gets at once, found by additive increase and multiplicative
decrease (AIMD) after a slow start, as in TCP (Jacobson 1988; RFC 5681).

Only overload responses and time-outs shrink the window. Latency does not: it grows with the length of an
answer.
"""

import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

_INITIAL_SIZE = 8
"""Requests that any server can take."""
_ADDITIVE_INCREASE = 1 / 8
"""Growth of the window with each round of answers: small, so a server is overloaded by little."""


class Window:
    """At most `max_size` requests in flight, and no more than the server has kept up with.

    Every answer adds one, which doubles the window with each round of answers (slow start), until the first
    overload; from then on a round adds an eighth, or one. An overload halves what is in flight, once for all
    requests sent before it was known. Answers to those, and answers while less than half of the window is
    used, do not change its size.
    """

    def __init__(self, max_size: int) -> None:
        from anyio import CapacityLimiter

        self._max_size = max_size
        self._size = float(min(_INITIAL_SIZE, max_size))
        self._limiter = CapacityLimiter(int(self._size))
        self._n_decreases = 0
        self._paused_until = 0.0

    @asynccontextmanager
    async def slot(self) -> AsyncGenerator[int]:
        """Wait, first come, first served, for a slot; a request is in flight for as long as the block lasts.

        Call `succeeded` or `overloaded` in the block, with the value yielded.
        """
        from anyio import sleep

        async with self._limiter:
            while (seconds := self._paused_until - time.monotonic()) > 0:
                await sleep(seconds)
            yield self._n_decreases

    def succeeded(self, slot: int) -> None:
        """Count a request that the server answered."""
        if slot == self._n_decreases and 2 * self._limiter.borrowed_tokens >= self._size:
            increase = self._size if self._n_decreases == 0 else max(1.0, self._size * _ADDITIVE_INCREASE)
            self._resize(min(self._max_size, self._size + increase / self._size))

    def overloaded(self, slot: int, seconds: float = 0.0) -> None:
        """Shrink the window after an overload, and send nothing for so many seconds."""
        if slot == self._n_decreases:
            self._n_decreases += 1
            self._resize(max(1.0, min(self._size, self._limiter.borrowed_tokens) / 2))
        self._paused_until = max(self._paused_until, time.monotonic() + seconds)

    def _resize(self, size: float) -> None:
        self._size = size
        self._limiter.total_tokens = int(size)
