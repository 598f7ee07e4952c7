"""The window by itself, in rounds: a round's requests are all in flight before the server says anything to
them."""

import time
from collections import Counter
from collections.abc import Callable
from itertools import pairwise

import anyio

from runners.http.window import Window

Say = Callable[[Window, int, int], None]
"""What the server says to a request: the window, the request's turn, and how many of its round went before
it."""


def answered(window: Window, turn: int, rank: int) -> None:
    window.answered(turn)


def refused(window: Window, turn: int, rank: int) -> None:
    window.refused(turn)


def refused_once(window: Window, turn: int, rank: int) -> None:
    window.refused(turn) if rank == 0 else window.answered(turn)


def in_flight(most: int, *said: Say, n_asking: int = 100) -> list[int]:
    """How many requests are in flight in each round, and in one more, while there is always something to
    ask."""
    found: Counter[int] = Counter()
    current = 0

    async def ask(window: Window, gates: list[anyio.Event]) -> None:
        while True:
            async with window.turn() as turn:
                mine, rank = current, found[current]
                found[mine] += 1
                await gates[mine].wait()
                said[mine](window, turn, rank)

    async def run() -> None:
        nonlocal current
        window, gates = Window(most), [anyio.Event() for _ in range(len(said) + 1)]
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
    return [found[n] for n in range(len(said) + 1)]


async def most_at_once(window: Window) -> int:
    """How many are let in while none leaves."""
    n_inside = 0

    async def stay() -> None:
        nonlocal n_inside
        async with window.turn():
            n_inside += 1
            await anyio.sleep_forever()

    async with anyio.create_task_group() as group:
        for _ in range(100):
            group.start_soon(stay)
        await anyio.wait_all_tasks_blocked()
        group.cancel_scope.cancel()
    return n_inside


def test_it_begins_with_eight_and_doubles_with_each_round_up_to_the_most() -> None:
    assert in_flight(50, answered, answered, answered, answered) == [8, 16, 32, 50, 50]


def test_a_most_of_less_than_eight_holds_from_the_start() -> None:
    assert in_flight(3, answered, answered) == [3, 3, 3]


def test_a_round_of_refusals_halves_it_once_and_never_below_one() -> None:
    assert in_flight(64, refused, refused, refused, refused, refused) == [8, 4, 2, 1, 1, 1]


def test_one_refusal_halves_it_and_answers_to_what_was_sent_before_do_not_grow_it_again() -> None:
    assert in_flight(64, answered, answered, refused_once) == [8, 16, 32, 16]


def test_after_a_refusal_a_round_adds_an_eighth_or_one_up_to_the_most() -> None:
    sizes = in_flight(24, refused, refused, refused, *[answered] * 19)
    assert sizes[:4] == [8, 4, 2, 1]
    assert all(before <= after <= before + max(1, before / 8) + 1 for before, after in pairwise(sizes[3:]))
    assert sizes[15] >= 8
    assert sizes[-1] == 24


def test_a_window_of_which_less_than_half_is_used_does_not_grow() -> None:
    async def run() -> int:
        window = Window(64)
        for _ in range(100):
            async with window.turn() as turn:
                window.answered(turn)
        return await most_at_once(window)

    assert anyio.run(run) == 8


def test_few_in_flight_that_are_refused_leave_half_of_those() -> None:
    assert in_flight(64, answered, answered, refused, n_asking=20) == [8, 16, 20, 10]


def test_when_the_server_wants_to_be_left_alone_nobody_is_let_in_before_the_time_is_over() -> None:
    async def run() -> float:
        window = Window(8)
        async with window.turn() as turn:
            window.refused(turn, 0.2)
            window.refused(turn, 0.1)
        began = time.perf_counter()
        async with window.turn():
            return time.perf_counter() - began

    assert 0.19 <= anyio.run(run) < 2
