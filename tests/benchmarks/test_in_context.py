"""Prompts of the benchmark of in-context generation, and its floor."""

from collections import Counter

import pytest

from benchmarks._in_context.floor import Request, Shape, floor_seconds
from benchmarks._in_context.job import Job
from benchmarks._in_context.questions import instructions
from benchmarks._in_context.rates import Rates

SHAPE = Shape(layer_weights=100, output_weights=50, attention=2, keys_and_values=3)


def test_240_requests_all_differ_and_begin_alike() -> None:
    prompts = [prompt.text or "" for prompt in Job(240).prompts()]
    assert len(set(prompts)) == 240
    assert len({text[:1500] for text in prompts}) == 1


def test_more_instructions_than_there_are_is_an_error() -> None:
    with pytest.raises(ValueError, match="there are 240 instructions, not 241"):
        instructions(241)


def test_a_sample_is_every_so_manyth_whole_batch_in_order_of_length() -> None:
    lengths = [len(prompt.text or "") for prompt in Job(240, batch_size=24, sampled=5).prompts()]
    everyone = sorted(len(prompt.text or "") for prompt in Job(240).prompts())
    assert Counter(lengths) == Counter(everyone[48:72] + everyone[168:192])


def test_where_memory_is_endless_the_floor_is_all_arithmetic_at_the_rate() -> None:
    # prefix: 200 · 4 tokens + 8 · (1 + 2 + 3 + 4) pairs = 880; own: 200 · 2 + 8 · (5 + 6) + 100 = 588; one
    # step: 200 + 8 · 7 + 100 = 356
    assert (
        floor_seconds(SHAPE, 4, [Request(n_own=2, n_steps=1)], Rates(flops=1.0, bytes=1e9)) == 880 + 588 + 356
    )


def test_where_arithmetic_is_free_the_floor_is_all_weights_keys_and_values_read() -> None:
    # in numbers: the prefix reads 100; the own tokens 100 + 50 + 3 · 4; a step 100 + 50 + 3 · (4 + 3) for one
    # row, and 3 · 3 more for two
    requests = [Request(n_own=2, n_steps=1), Request(n_own=2, n_steps=0)]
    assert floor_seconds(SHAPE, 4, requests, Rates(flops=1e9, bytes=4.0)) == pytest.approx(
        100 + 162 + 171, abs=1e-4
    )
    requests = [Request(n_own=2, n_steps=1), Request(n_own=2, n_steps=1)]
    assert floor_seconds(SHAPE, 4, requests, Rates(flops=1e9, bytes=4.0)) == pytest.approx(
        100 + 162 + 180, abs=1e-4
    )
