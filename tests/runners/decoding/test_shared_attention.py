import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from runners.decoding.shared_attention import _fused, _merge, _partial, _products


@given(st.integers(1, 6), st.integers(1, 5), st.integers(1, 4), st.integers(0, 10**6), st.booleans())
def test_two_parts_merged_are_attention_to_both(first: int, second: int, steps: int, seed: int, hides: bool):
    draw = torch.Generator().manual_seed(seed)
    query = torch.randn(1, 2, steps, 3, 8, generator=draw) * 3
    keys, values = torch.randn(2, 1, 2, first + second, 8, generator=draw)
    hidden = (torch.rand(1, 1, steps, 1, first + second, generator=draw) < 0.5) & torch.tensor(hides)
    hidden[..., -1] = False  # each query sees its own token
    scores = torch.einsum("nhsgw,nhcw->nhsgc", query, keys).masked_fill(hidden, -torch.inf)
    expected = torch.einsum("nhsgc,nhcw->nhsgw", scores.softmax(-1), values)
    parts = [_partial(query, keys[:, :, at], values[:, :, at], hidden[..., at]) for at in (slice(first), slice(first, None))]
    out, lse = _merge(*parts[0], *parts[1])
    torch.testing.assert_close(out, expected, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(lse[..., 0], scores.logsumexp(-1), rtol=1e-5, atol=1e-5)


@given(st.integers(1, 40), st.integers(1, 70), st.integers(0, 10**6), st.booleans())
def test_products_and_fused_attention_agree_also_where_nothing_is_seen(queries: int, columns: int, seed: int, hides: bool):
    draw = torch.Generator().manual_seed(seed)
    query = torch.randn(2, 3, queries, 8, generator=draw)
    keys, values = torch.randn(2, 2, 3, columns, 8, generator=draw)
    hidden = torch.rand(2, 1, queries, columns, generator=draw) < 0.8 if hides else None
    (out, lse), (other, lse_other) = _products(query, keys, values, hidden), _fused(query, keys, values, hidden)
    assert not out.isnan().any()
    assert not other.isnan().any()
    seen = torch.ones(2, 1, queries, dtype=torch.bool) if hidden is None else ~hidden.all(-1)
    seen = seen.expand(-1, 3, -1)
    torch.testing.assert_close(out[seen], other[seen], rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(lse.view_as(lse_other.view(2, 3, queries))[seen], lse_other.view(2, 3, queries)[seen], rtol=1e-5, atol=1e-5)
    assert (lse.view(2, 3, queries)[~seen] < -1e30).all()
    assert (lse_other.view(2, 3, queries)[~seen] < -1e30).all(), "such a part counts for nothing when it is merged"


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_low_precision_is_added_up_in_float32(dtype: torch.dtype):
    query, keys = torch.randn(1, 1, 1, 1, 8, dtype=dtype), torch.randn(1, 1, 500, 8, dtype=dtype)
    out, lse = _partial(query, keys, keys, None)
    assert (out.dtype, lse.dtype) == (torch.float32, torch.float32)
