from collections.abc import Sequence

import torch
from hypothesis import given
from hypothesis import strategies as st

from runners.inference import prefix_cache as prefix_tree
from runners.inference.prefix_cache import PrefixCache, PrefixNode

PREAMBLE, EXAMPLES, OTHERS = (
    tuple(range(start, start + n)) for start, n in ((100, 60), (200, 80), (300, 90))
)
BYTES_A_TOKEN = 16  # one layer: a key and a value of one head with two numbers each


class Reading:
    """A tree over a model that notes what it is asked to read; a token's keys are the token itself."""

    def __init__(self, max_tokens: int = 10**6) -> None:
        self.read: list[tuple[int, tuple[int, ...]]] = []
        self.tree = PrefixCache(self._read, max_tokens * BYTES_A_TOKEN)

    def _read(self, below: PrefixNode, token_ids: tuple[int, ...]) -> PrefixNode:
        self.read.append((below.end, token_ids))
        keys = torch.tensor(token_ids, dtype=torch.float32)[None, :, None].expand(1, -1, 2).contiguous()
        return PrefixNode(token_ids, below, [keys], [keys.clone()])

    def place(self, *prompts: Sequence[int]) -> list[int]:
        """The length of each prompt's kept prefix, once it has been seen to be made of the prompt's own
        tokens."""
        placed = self.tree.place([tuple(prompt) for prompt in prompts])
        for prompt, below in zip(prompts, placed, strict=True):
            chain = below.chain()
            assert [token for part in chain for token in part.token_ids] == list(prompt[: below.end])
            for part in chain:
                assert (
                    part.keys[0][0, :, 0].tolist() == list(part.token_ids) == part.values[0][0, :, 0].tolist()
                )
        return [below.end for below in placed]


def rows(before: Sequence[int], n: int) -> list[tuple[int, ...]]:
    return [(*before, 1000 + at) for at in range(n)]


def test_preamble_and_examples_are_read_once_each():
    reading = Reading()
    few, zero = rows(PREAMBLE + EXAMPLES, 5), rows(PREAMBLE, 4)
    assert reading.place(*few, *zero) == [140] * 5 + [60] * 4
    assert reading.read == [(0, PREAMBLE), (60, EXAMPLES)]


def test_the_next_call_finds_what_was_read_and_splits_it_where_it_goes_another_way():
    reading = Reading()
    reading.place(*rows(PREAMBLE + EXAMPLES, 5))
    assert reading.place(*rows(PREAMBLE + EXAMPLES, 5), (*PREAMBLE, *EXAMPLES, 7, 8)) == [140] * 6
    assert reading.place(*rows(PREAMBLE + OTHERS, 5)) == [150] * 5
    assert reading.place((*PREAMBLE, *EXAMPLES, 5)) == [140]
    assert reading.read == [(0, PREAMBLE + EXAMPLES), (60, OTHERS)]


def test_a_prompt_keeps_a_token_of_its_own():
    reading = Reading()
    assert reading.place(*[PREAMBLE] * 4) == [59] * 4
    assert reading.place(PREAMBLE[:59], PREAMBLE) == [58, 59] or reading.place(PREAMBLE[:59], PREAMBLE) == [
        0,
        59,
    ]


def test_what_few_rows_share_is_not_worth_keeping():
    reading = Reading()
    assert reading.place(*rows(PREAMBLE, 3)) == [0] * 3, "120 tokens saved"
    assert reading.place(*rows(PREAMBLE, 4)) == [60] * 4, "180 tokens saved"
    assert reading.place(*rows(EXAMPLES[:15], 50)) == [0] * 50, "too short"


def test_what_was_not_used_for_longest_gives_way():
    reading = Reading(max_tokens=160)
    reading.place(*rows(PREAMBLE, 4))
    reading.place(*rows(EXAMPLES, 4))
    assert reading.place(*rows(PREAMBLE, 4)) == [60] * 4
    assert len(reading.read) == 2
    assert reading.place(*rows(OTHERS, 4)) == [90] * 4, "in the place of the examples"
    assert reading.place(*rows(PREAMBLE, 4)) == [60] * 4
    assert len(reading.read) == 3
    assert reading.place(*rows(EXAMPLES, 4)) == [80] * 4
    assert len(reading.read) == 4


def test_what_does_not_fit_is_not_read():
    reading = Reading(max_tokens=100)
    assert reading.place(*rows(PREAMBLE, 4), *rows(OTHERS, 4)).count(0) == 4
    assert len(reading.read) == 1


def test_a_thousand_nested_prompts_are_placed():
    reading = Reading()
    assert len(reading.place(*[tuple(range(n)) for n in range(1, 1500)])) == 1499


@given(
    st.lists(st.lists(st.integers(0, 2), min_size=1, max_size=12), min_size=1, max_size=8), st.integers(1, 3)
)
def test_kept_prefixes_are_beginnings_of_their_prompts(prompts: list[list[int]], times: int):
    minima = prefix_tree.MIN_TOKENS, prefix_tree.MIN_SAVED_TOKENS
    prefix_tree.MIN_TOKENS = prefix_tree.MIN_SAVED_TOKENS = 1
    try:
        reading = Reading()
        for _ in range(times):
            ends = reading.place(*prompts)
            assert all(end < len(prompt) for end, prompt in zip(ends, prompts, strict=True))
        n_read = sum(len(token_ids) for _, token_ids in reading.read)
        beginnings = {tuple(prompt[:n]) for prompt in prompts for n in range(1, len(prompt))}
        assert n_read <= len(beginnings), "no token is read twice"
    finally:
        prefix_tree.MIN_TOKENS, prefix_tree.MIN_SAVED_TOKENS = minima
