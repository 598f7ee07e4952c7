"""The `openai` engine with many requests in flight: how many the server has at once, as the server counts
them, and in which order they come."""

import random
from collections import OrderedDict
from collections.abc import Iterable
from itertools import pairwise

import pytest

from dsl.data.records import Prompt
from dsl.errors import ServerError
from runners.engines.contract import EngineRequest
from tests.runners.engines.fake_server import (
    SOON,
    Asked,
    Said,
    answers,
    chat,
    completion,
    engine,
    requests,
    serving,
)


def after(seconds: float, said: Said) -> Said:
    return Said(said.body, said.status, said.headers, seconds)


# ---------------------------------------------------------------- how many at once


def test_a_server_that_keeps_up_is_asked_more_and_more_at_once() -> None:
    with serving(lambda _: after(0.1, completion("fine"))) as server:
        found = answers(engine(server, max_concurrency=16), requests(*map(str, range(100))))
    at_once = [asked.at_once for asked in server.asked]
    assert len(found) == 100
    assert max(at_once[:8]) <= 8
    assert 12 <= max(at_once) <= 16


def test_after_a_burst_of_429_fewer_are_in_flight_until_the_server_keeps_up_again() -> None:
    burst = range(50, 60)

    def answer(asked: Asked) -> Said:
        return Said("too many", 429, SOON) if len(server.asked) in burst else after(0.1, completion("fine"))

    with serving(answer) as server:
        found = answers(engine(server, max_concurrency=12), requests(*map(str, range(220))))
    at_once = [asked.at_once for asked in server.asked]
    assert {answer.text for answer in found.values()} == {"fine"}
    assert max(at_once[: burst.start]) >= 10
    assert max(at_once[burst.stop + 5 : burst.stop + 10]) <= 7
    assert max(at_once[burst.stop :]) >= 10


def test_a_server_that_stands_four_at_once_refuses_few_of_many() -> None:
    def answer(asked: Asked) -> Said:
        return Said("too many", 503, SOON) if asked.at_once > 4 else after(0.03, completion("fine"))

    with serving(answer) as server:
        found = answers(engine(server, max_concurrency=64, max_retries=6), requests(*map(str, range(150))))
    assert {answer.text for answer in found.values()} == {"fine"}
    assert len(server.asked) < 200
    assert max(asked.at_once for asked in server.asked[20:]) <= 8


def test_of_eight_requests_that_time_out_only_four_places_are_filled_again() -> None:
    def answer(asked: Asked) -> Said:
        return after(0.6 if len(server.asked) <= 8 else 0.3, completion("fine"))

    with serving(answer) as server:
        found = answers(engine(server, max_concurrency=8, timeout=0.45), requests(*map(str, range(20))))
    times = [asked.seconds for asked in server.asked]
    assert {answer.text for answer in found.values()} == {"fine"}
    assert sum(time < times[8] + 0.2 for time in times[8:]) <= 4


def test_when_the_server_says_how_long_to_wait_nobody_asks_in_the_meantime() -> None:
    def answer(asked: Asked) -> Said:
        return (
            Said("wait", 429, {"retry-after-ms": "500"})
            if asked.prompt == "10" and not asked.n_before
            else after(0.02, completion("fine"))
        )

    with serving(answer) as server:
        assert len(answers(engine(server), requests(*map(str, range(40))))) == 40
    times = [asked.seconds for asked in server.asked]
    assert sum(later - earlier > 0.4 for earlier, later in pairwise(times)) == 1
    assert max(later - earlier for earlier, later in pairwise(times)) < 2


def test_a_server_that_wants_to_be_left_alone_for_an_hour_is_not_waited_for() -> None:
    with (
        serving(lambda _: Said("quota", 429, {"retry-after": "3600"})) as server,
        pytest.raises(ServerError, match="at the only try"),
    ):
        answers(engine(server, max_concurrency=1), requests("a", "b"))
    assert len(server.asked) == 2  # the prompt, and one that no server refuses


def test_a_prompt_that_the_server_wants_to_leave_alone_for_a_day_keeps_no_other_waiting() -> None:
    def answer(asked: Asked) -> Said:
        return Said("quota", 429, {"retry-after": "86400"}) if asked.prompt == "a" else completion("fine")

    with serving(answer) as server:
        found = answers(engine(server, max_concurrency=1), requests("a", "b", "c"))
    assert (
        found["a"].error
        == "the server failed on this prompt at the only try, and answers others (429): quota"
    )
    assert [found[key].text for key in "bc"] == ["fine", "fine"]


# ---------------------------------------------------------------- in which order


def hits(prompts: Iterable[str], holds: int = 3) -> int:
    """Count the prompts that find their first 40 characters in a cache that keeps the last few."""
    cache: OrderedDict[str, None] = OrderedDict()
    n_found = 0
    for prompt in prompts:
        n_found += prompt[:40] in cache
        cache[prompt[:40]] = None
        cache.move_to_end(prompt[:40])
        if len(cache) > holds:
            cache.popitem(last=False)
    return n_found


def test_prompts_that_begin_alike_find_their_beginning_in_the_servers_cache() -> None:
    asked = [
        f"{preamble:02d} {'a preamble of some length ' * 3} item {item}"
        for item in range(10)
        for preamble in range(12)
    ]
    random.Random(0).shuffle(asked)
    with serving(lambda _: completion("fine")) as server:
        found = answers(engine(server, max_concurrency=4), requests(*asked))
    assert sorted(found) == sorted(asked)
    assert hits(asked) < 40
    assert hits(one.prompt for one in server.asked) == 120 - 12


def test_chats_with_one_system_message_go_together_and_keep_the_callers_order() -> None:
    def request(system: str, user: str) -> EngineRequest:
        return EngineRequest(key=system + user, prompt=Prompt(messages=(("system", system), ("user", user))))

    asked = [request("y", "3"), request("x", "9"), request("y", "1"), request("x", "2")]
    with serving(lambda _: chat("fine")) as server:
        answers(engine(server, max_concurrency=1), asked)
    assert [(one.body["messages"][0]["content"], one.prompt) for one in server.asked] == [
        ("x", "9"),
        ("x", "2"),
        ("y", "3"),
        ("y", "1"),
    ]


def test_answers_do_not_depend_on_the_order_in_which_they_are_asked_for() -> None:
    def seeded(asked: Asked) -> Said:
        return completion(f"{asked.prompt} {asked.body['seed']}")

    rows = [
        EngineRequest(key=str(n), prompt=Prompt(text="same" if n % 2 else f"{n}"), seed=n) for n in range(20)
    ]
    with serving(seeded) as server:
        one = answers(engine(server, max_concurrency=5), rows, temperature=1.0)
        other = answers(engine(server, max_concurrency=2), rows[::-1], temperature=1.0)
    assert {key: answer.text for key, answer in one.items()} == {
        key: answer.text for key, answer in other.items()
    }
