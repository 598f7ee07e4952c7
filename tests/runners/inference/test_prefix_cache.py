from collections.abc import Sequence

import torch
from hypothesis import given
from hypothesis import strategies as st

from runners.inference import prefix_cache
from runners.inference.prefix_cache import PrefixCache, PrefixNode

PREAMBLE, EXAMPLES, OTHERS = (
    tuple(range(start, start + n)) for start, n in ((100, 60), (200, 80), (300, 90))
)
BYTES_A_TOKEN = 16  # one layer: a key and a value of one head with two numbers each


class Recorded:
    """A prefix cache that records what it prefills; a token's keys are the token itself."""

    def __init__(self, max_tokens: int = 10**6) -> None:
        self.prefilled: list[tuple[int, tuple[int, ...]]] = []
        self.cache = PrefixCache(self._prefill, max_tokens * BYTES_A_TOKEN)

    def _prefill(self, prefix: PrefixNode, token_ids: tuple[int, ...]) -> PrefixNode:
        self.prefilled.append((prefix.end, token_ids))
        keys = torch.tensor(token_ids, dtype=torch.float32)[None, :, None].expand(1, -1, 2).contiguous()
        return PrefixNode(token_ids, prefix, [keys], [keys.clone()])

    def match(self, *prompts: Sequence[int]) -> list[int]:
        """Return the length of each prompt's cached prefix, after checking that it consists of the prompt's
        own tokens."""
        found = self.cache.prefixes([tuple(prompt) for prompt in prompts])
        for prompt, prefix in zip(prompts, found, strict=True):
            path = prefix.path()
            assert [token for part in path for token in part.token_ids] == list(prompt[: prefix.end])
            for part in path:
                assert (
                    part.keys[0][0, :, 0].tolist() == list(part.token_ids) == part.values[0][0, :, 0].tolist()
                )
        return [prefix.end for prefix in found]


def rows(before: Sequence[int], n: int) -> list[tuple[int, ...]]:
    return [(*before, 1000 + at) for at in range(n)]


def test_preamble_and_examples_are_prefilled_once_each():
    cache = Recorded()
    few, zero = rows(PREAMBLE + EXAMPLES, 5), rows(PREAMBLE, 4)
    assert cache.match(*few, *zero) == [140] * 5 + [60] * 4
    assert cache.prefilled == [(0, PREAMBLE), (60, EXAMPLES)]


def test_the_next_call_finds_cached_prefixes_and_splits_a_node_where_it_diverges():
    cache = Recorded()
    cache.match(*rows(PREAMBLE + EXAMPLES, 5))
    assert cache.match(*rows(PREAMBLE + EXAMPLES, 5), (*PREAMBLE, *EXAMPLES, 7, 8)) == [140] * 6
    assert cache.match(*rows(PREAMBLE + OTHERS, 5)) == [150] * 5
    assert cache.match((*PREAMBLE, *EXAMPLES, 5)) == [140]
    assert cache.prefilled == [(0, PREAMBLE + EXAMPLES), (60, OTHERS)]


def test_a_prompt_keeps_a_token_of_its_own():
    cache = Recorded()
    assert cache.match(*[PREAMBLE] * 4) == [59] * 4
    assert cache.match(PREAMBLE[:59], PREAMBLE) == [58, 59] or cache.match(PREAMBLE[:59], PREAMBLE) == [
        0,
        59,
    ]


def test_a_prefix_of_few_rows_is_not_cached():
    cache = Recorded()
    assert cache.match(*rows(PREAMBLE, 3)) == [0] * 3, "120 tokens saved"
    assert cache.match(*rows(PREAMBLE, 4)) == [60] * 4, "180 tokens saved"
    assert cache.match(*rows(EXAMPLES[:15], 50)) == [0] * 50, "too short"


def test_the_least_recently_used_prefix_is_evicted():
    cache = Recorded(max_tokens=160)
    cache.match(*rows(PREAMBLE, 4))
    cache.match(*rows(EXAMPLES, 4))
    assert cache.match(*rows(PREAMBLE, 4)) == [60] * 4
    assert len(cache.prefilled) == 2
    assert cache.match(*rows(OTHERS, 4)) == [90] * 4, "evicting the examples"
    assert cache.match(*rows(PREAMBLE, 4)) == [60] * 4
    assert len(cache.prefilled) == 3
    assert cache.match(*rows(EXAMPLES, 4)) == [80] * 4
    assert len(cache.prefilled) == 4


def test_a_prefix_that_does_not_fit_is_not_prefilled():
    cache = Recorded(max_tokens=100)
    assert cache.match(*rows(PREAMBLE, 4), *rows(OTHERS, 4)).count(0) == 4
    assert len(cache.prefilled) == 1


def test_a_thousand_nested_prompts_are_matched():
    cache = Recorded()
    assert len(cache.match(*[tuple(range(n)) for n in range(1, 1500)])) == 1499


@given(
    st.lists(st.lists(st.integers(0, 2), min_size=1, max_size=12), min_size=1, max_size=8), st.integers(1, 3)
)
def test_cached_prefixes_are_beginnings_of_their_prompts(prompts: list[list[int]], times: int):
    minima = prefix_cache.MIN_TOKENS, prefix_cache.MIN_SAVED_TOKENS
    prefix_cache.MIN_TOKENS = prefix_cache.MIN_SAVED_TOKENS = 1
    try:
        cache = Recorded()
        for _ in range(times):
            ends = cache.match(*prompts)
            assert all(end < len(prompt) for end, prompt in zip(ends, prompts, strict=True))
        n_prefilled = sum(len(token_ids) for _, token_ids in cache.prefilled)
        beginnings = {tuple(prompt[:n]) for prompt in prompts for n in range(1, len(prompt))}
        assert n_prefilled <= len(beginnings), "no token is prefilled twice"
    finally:
        prefix_cache.MIN_TOKENS, prefix_cache.MIN_SAVED_TOKENS = minima
