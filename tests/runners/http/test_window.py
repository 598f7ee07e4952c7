"""The congestion window alone, in rounds: a round's requests are all in flight before the server replies."""

import time
from collections import Counter
from collections.abc import Callable
from itertools import pairwise

import anyio

from runners.http.window import Window

Reply = Callable[[Window, int, int], None]
"""The server's reply to a request: the window, the request's slot, and its rank in its round."""


def succeeded(window: Window, slot: int, rank: int) -> None:
    window.succeeded(slot)


def overloaded(window: Window, slot: int, rank: int) -> None:
    window.overloaded(slot)


def overloaded_once(window: Window, slot: int, rank: int) -> None:
    window.overloaded(slot) if rank == 0 else window.succeeded(slot)


def in_flight(max_size: int, *replies: Reply, n_asking: int = 100) -> list[int]:
    """Return the number of requests in flight in each round, and in one more, with enough requests
    waiting."""
    found: Counter[int] = Counter()
    current = 0

    async def ask(window: Window, gates: list[anyio.Event]) -> None:
        while True:
            async with window.slot() as slot:
                mine, rank = current, found[current]
                found[mine] += 1
                await gates[mine].wait()
                replies[mine](window, slot, rank)

    async def run() -> None:
        nonlocal current
        window, gates = Window(max_size), [anyio.Event() for _ in range(len(replies) + 1)]
        async with anyio.create_task_group() as group:
            for _ in range(n_asking):
                group.start_soon(ask, window, gates)
            for gate in gates[:-1]:
                await anyio.wait_all_tasks_blocked()
                current += 1
                gate.set()
            await anyio.wait_all_tasks_blocked()
            group.cancel_scope.cancel()

    anyio.run(run)
    return [found[n] for n in range(len(replies) + 1)]


async def most_at_once(window: Window) -> int:
    """Return how many enter while none leaves."""
    n_inside = 0

    async def stay() -> None:
        nonlocal n_inside
        async with window.slot():
            n_inside += 1
            await anyio.sleep_forever()

    async with anyio.create_task_group() as group:
        for _ in range(100):
            group.start_soon(stay)
        await anyio.wait_all_tasks_blocked()
        group.cancel_scope.cancel()
    return n_inside


def test_it_begins_with_eight_and_doubles_with_each_round_up_to_the_maximum() -> None:
    assert in_flight(50, succeeded, succeeded, succeeded, succeeded) == [8, 16, 32, 50, 50]


def test_a_maximum_below_eight_holds_from_the_start() -> None:
    assert in_flight(3, succeeded, succeeded) == [3, 3, 3]


def test_a_round_of_overloads_halves_it_once_and_never_below_one() -> None:
    assert in_flight(64, overloaded, overloaded, overloaded, overloaded, overloaded) == [8, 4, 2, 1, 1, 1]


def test_one_overload_halves_it_and_answers_to_earlier_requests_do_not_grow_it() -> None:
    assert in_flight(64, succeeded, succeeded, overloaded_once) == [8, 16, 32, 16]


def test_after_an_overload_a_round_adds_an_eighth_or_one_up_to_the_maximum() -> None:
    sizes = in_flight(24, overloaded, overloaded, overloaded, *[succeeded] * 19)
    assert sizes[:4] == [8, 4, 2, 1]
    assert all(before <= after <= before + max(1, before / 8) + 1 for before, after in pairwise(sizes[3:]))
    assert sizes[15] >= 8
    assert sizes[-1] == 24


def test_a_window_of_which_less_than_half_is_used_does_not_grow() -> None:
    async def run() -> int:
        window = Window(64)
        for _ in range(100):
            async with window.slot() as slot:
                window.succeeded(slot)
        return await most_at_once(window)

    assert anyio.run(run) == 8


def test_an_overload_halves_what_is_in_flight() -> None:
    assert in_flight(64, succeeded, succeeded, overloaded, n_asking=20) == [8, 16, 20, 10]


def test_no_request_is_sent_before_the_retry_after_is_over() -> None:
    async def run() -> float:
        window = Window(8)
        async with window.slot() as slot:
            window.overloaded(slot, 0.2)
            window.overloaded(slot, 0.1)
        began = time.perf_counter()
        async with window.slot():
            return time.perf_counter() - began

    assert 0.19 <= anyio.run(run) < 2
