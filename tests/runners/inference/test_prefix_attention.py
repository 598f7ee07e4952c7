import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from runners.inference.prefix_attention import (
    _attention,
    _fused,
    _merged_with_own,
    _prefill_attention,
    _unfused,
    query_blocks,
)

HEADS_KV, GROUP, WIDTH = 2, 3, 8
SCALING = 0.7


@given(
    st.integers(1, 6),
    st.integers(0, 3),
    st.integers(1, 5),
    st.integers(1, 4),
    st.integers(0, 10**6),
    st.booleans(),
)
def test_partial_attention_to_prefix_nodes_and_own_tokens_merges_to_attention_over_all(
    n_rows: int, n_nodes: int, n_in_node: int, own: int, seed: int, hides: bool
):
    draw = torch.Generator().manual_seed(seed)
    query = torch.randn(n_rows, HEADS_KV * GROUP, WIDTH, generator=draw) * 3
    keys, values = torch.randn(2, HEADS_KV, n_nodes * n_in_node, WIDTH, generator=draw)
    own_keys, own_values = torch.randn(2, n_rows, HEADS_KV, own, WIDTH, generator=draw)
    hidden = (torch.rand(n_rows, 1, 1, own, generator=draw) < 0.5) & torch.tensor(hides)
    hidden[..., -1] = False  # each query attends to its own token

    every = [
        torch.cat([both.expand(n_rows, -1, -1, -1), mine], 2)
        for both, mine in ((keys, own_keys), (values, own_values))
    ]
    scores = torch.einsum("nhgw,nhcw->nhgc", query.unflatten(1, (HEADS_KV, GROUP)) * SCALING, every[0])
    scores[..., n_nodes * n_in_node :].masked_fill_(hidden, -torch.inf)
    expected = torch.einsum("nhgc,nhcw->nhgw", scores.softmax(-1), every[1]).flatten(0, 1)

    at = [slice(start, start + n_in_node) for start in range(0, n_nodes * n_in_node, n_in_node)]
    parts = [_attention(query, keys[:, one], values[:, one], SCALING, None) for one in at]
    out, lse = ([_in_rows(part[which]) for part in parts] for which in (0, 1))
    bias = torch.zeros(n_rows, HEADS_KV, GROUP, own).masked_fill_(hidden, -torch.inf).flatten(0, 1)
    found = _merged_with_own(
        out, lse, _in_rows(query), own_keys.flatten(0, 1), own_values.flatten(0, 1), SCALING, bias
    )
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


def _in_rows(each: torch.Tensor) -> torch.Tensor:
    """(rows, heads, n) as (rows · heads_kv, group, n)."""
    return each.unflatten(1, (HEADS_KV, GROUP)).flatten(0, 1)


@given(st.integers(1, 40), st.integers(1, 70), st.integers(0, 10**6), st.booleans())
def test_unfused_and_fused_attention_agree_also_for_fully_masked_queries(
    tokens: int, columns: int, seed: int, hides: bool
):
    draw = torch.Generator().manual_seed(seed)
    query = torch.randn(tokens, HEADS_KV * GROUP, WIDTH, generator=draw)
    keys, values = torch.randn(2, HEADS_KV, columns, WIDTH, generator=draw)
    hidden = torch.rand(tokens, columns, generator=draw) < 0.8 if hides else None
    (out, lse), (other, lse_other) = (
        _unfused(query, keys, values, SCALING, hidden),
        _fused(query, keys, values, SCALING, hidden),
    )
    assert not out.isnan().any()
    assert not other.isnan().any()
    seen = torch.ones(tokens, dtype=torch.bool) if hidden is None else ~hidden.all(-1)
    torch.testing.assert_close(out[seen], other[seen], rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(lse[seen], lse_other[seen], rtol=1e-5, atol=1e-5)
    assert (lse[~seen] < -1e30).all()
    assert (lse_other[~seen] < -1e30).all(), "such a part has no weight in the merge"


@given(
    st.lists(st.integers(1, 150), min_size=1, max_size=5),
    st.integers(0, 10**6),
    st.one_of(st.none(), st.integers(1, 350)),
)
def test_prefill_attention_is_causal_within_each_packed_row(
    lengths: list[int], seed: int, window: int | None
):
    draw, tokens = torch.Generator().manual_seed(seed), sum(lengths)
    query = torch.randn(tokens, HEADS_KV * GROUP, WIDTH, generator=draw)
    keys, values = torch.randn(2, HEADS_KV, tokens, WIDTH, generator=draw)
    index, row = torch.arange(tokens), torch.arange(len(lengths)).repeat_interleave(torch.tensor(lengths))
    hidden = (index > index[:, None]) | (index <= index[:, None] - (window or tokens)) | (row != row[:, None])
    blocks = list(query_blocks(torch.cat([torch.arange(length) for length in lengths]), window))
    for found, expected in zip(
        _prefill_attention(query, keys, values, SCALING, blocks),
        _unfused(query, keys, values, SCALING, hidden),
        strict=True,
    ):
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_attention_in_low_precision_accumulates_in_float32(dtype: torch.dtype):
    query, keys = torch.randn(1, 1, 8, dtype=dtype), torch.randn(1, 500, 8, dtype=dtype)
    out, lse = _attention(query, keys, keys, SCALING, None)
    assert (out.dtype, lse.dtype) == (torch.float32, torch.float32)
