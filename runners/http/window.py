"""How many requests a server stands at once, found by asking it, as TCP finds what a network stands (Jacobson
1988; RFC 5681).

Only refusals and time-outs shrink the window. How long an answer takes says nothing: that is how long the
answer is.
"""

import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

_FIRST = 8
"""Requests that any server stands."""
_REGROWTH = 1 / 8
"""Of the window, with each round of answers: what a server is then asked beyond what it stands is little."""


class Window:
    """At most `most` requests in flight, and no more than the server has shown that it stands.

    Every answer adds one, which doubles the window with each round of answers, until the server first
    refuses; from then on a round adds an eighth, or one. A refusal halves what is in flight, once for all
    that was sent before it was known. What was sent before it, and answers while less than half of the window
    is used, say nothing about its size.
    """

    def __init__(self, most: int) -> None:
        from anyio import CapacityLimiter

        self._most = most
        self._size = float(min(_FIRST, most))
        self._limiter = CapacityLimiter(int(self._size))
        self._n_cuts = 0
        self._opens_at = 0.0

    @asynccontextmanager
    async def turn(self) -> AsyncGenerator[int]:
        """Waits, first come, first served, until one more may be sent; it is in flight for as long as the
        block lasts.

        What it yields is for `answered` and `refused`, which are called in the block.
        """
        from anyio import sleep

        async with self._limiter:
            while (seconds := self._opens_at - time.monotonic()) > 0:
                await sleep(seconds)
            yield self._n_cuts

    def answered(self, turn: int) -> None:
        """The server kept up with a request."""
        if turn == self._n_cuts and 2 * self._limiter.borrowed_tokens >= self._size:
            a_round = self._size if self._n_cuts == 0 else max(1.0, self._size * _REGROWTH)
            self._resize(min(self._most, self._size + a_round / self._size))

    def refused(self, turn: int, seconds: float = 0.0) -> None:
        """The server has too much to do. For so many seconds it wants no request at all."""
        if turn == self._n_cuts:
            self._n_cuts += 1
            self._resize(max(1.0, min(self._size, self._limiter.borrowed_tokens) / 2))
        self._opens_at = max(self._opens_at, time.monotonic() + seconds)

    def _resize(self, size: float) -> None:
        self._size = size
        self._limiter.total_tokens = int(size)
