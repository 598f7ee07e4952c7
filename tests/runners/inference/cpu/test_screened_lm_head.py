from collections.abc import Sequence
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from runners.inference.batch_model import BatchModel
from runners.inference.cpu import screened_lm_head as screening
from runners.inference.cpu.screened_lm_head import ScreenedHead, screened_head
from runners.inference.scheduler import Request, Sampling, generate
from tests.runners.inference.tiny_models import loaded, random_model

HIDDEN, GIGABYTE = 48, 2**30

pytestmark = pytest.mark.skipif(
    not torch.ops.mkldnn._is_mkldnn_bf16_supported(),
    reason="this processor's products in bfloat16 are not oneDNN's",
)


def head_of(weight: torch.Tensor) -> tuple[torch.nn.Linear, ScreenedHead]:
    head = torch.nn.Linear(weight.shape[1], weight.shape[0], bias=False)
    head.weight.data = weight
    return head, ScreenedHead(head)


@given(
    st.integers(1, 5),
    st.integers(1, 200),
    st.integers(0, 10**6),
    st.sampled_from([1e-4, 1e-3, 1e-2, 1.0]),
    st.booleans(),
    st.booleans(),
)
def test_the_largest_logit_is_that_of_the_exact_product(
    n_rows: int, n_tokens: int, seed: int, apart: float, is_aside: bool, others: bool
):
    draw = torch.Generator().manual_seed(seed)
    rows = torch.randn(n_rows, HIDDEN, generator=draw)
    like = torch.randn(HIDDEN, generator=draw) if is_aside else rows[0]
    if is_aside:  # at a right angle to a row: long weights, small logits
        like = like - rows[0] * (like @ rows[0]) / (rows[0] @ rows[0])
    # in bfloat16 the closest of these are equal
    weight = like + apart * torch.randn(n_tokens, HIDDEN, generator=draw)
    if others:
        weight = torch.cat([weight, torch.randn(n_tokens, HIDDEN, generator=draw)])
    head, screened = head_of(weight)
    exact = rows.double() @ weight.double().T
    screened.argmax_only = True
    with torch.inference_mode():
        found = head(rows[None])[0]
    rounding = 1e-6 * rows.norm(dim=-1) * weight.norm(dim=-1).max()
    chosen = exact.gather(1, found.argmax(-1, keepdim=True))[:, 0]
    assert (chosen >= exact.amax(-1) - 2 * rounding).all()
    torch.testing.assert_close(found.amax(-1), exact.amax(-1).float(), rtol=1e-5, atol=1e-4)


def test_screening_alone_would_choose_another_token():
    """Show that the test above can fail."""
    draw = torch.Generator().manual_seed(0)
    row = torch.randn(1, HIDDEN, generator=draw)
    weight = row + 1e-3 * torch.randn(200, HIDDEN, generator=draw)
    assert (row.bfloat16() @ weight.bfloat16().T).argmax() != (row.double() @ weight.double().T).argmax()


def test_all_logits_are_the_layers_own_unless_only_the_argmax_is_needed():
    rows, weight = torch.randn(3, HIDDEN), torch.randn(150, HIDDEN)
    head, _ = head_of(weight)
    assert torch.equal(head(rows), torch.nn.functional.linear(rows, weight))


def test_the_whole_product_is_computed_where_too_many_tokens_are_left():
    rows, weight = torch.randn(3, HIDDEN), torch.randn(1000, HIDDEN)
    weight[7] = -1e4 * rows[0]  # so long that the bound rules out nothing, and far from likely for one row
    head, screened = head_of(weight)
    screened.argmax_only = True
    with torch.inference_mode():
        assert torch.equal(head(rows), torch.nn.functional.linear(rows, weight))


def test_nan_stays_in_its_row_alone():
    rows, weight = torch.randn(3, HIDDEN), torch.randn(150, HIDDEN)
    rows[1, 0] = torch.nan
    head, screened = head_of(weight)
    screened.argmax_only = True
    with torch.inference_mode():
        found = head(rows)
    assert found.amax(-1).isnan().tolist() == [False, True, False]
    assert found[0].argmax() == (rows[0] @ weight.T).argmax()


def able(monkeypatch: pytest.MonkeyPatch, is_able: bool = True) -> None:
    monkeypatch.setattr(screening, "MIN_WEIGHTS", 1)
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": is_able})


def test_only_an_lm_head_that_gets_faster_is_screened(monkeypatch: pytest.MonkeyPatch):
    model = random_model("llama")
    assert screened_head(model, GIGABYTE) is None, "it is small"
    able(monkeypatch, is_able=False)
    assert screened_head(model, GIGABYTE) is None, "the processor multiplies bfloat16 no faster"
    able(monkeypatch)
    assert screened_head(model, model.lm_head.weight.numel() * 8 - 1) is None, "memory is short"
    assert screened_head(random_model("llama").to(torch.bfloat16), GIGABYTE) is None
    assert "forward" not in vars(model.lm_head)
    assert screened_head(model, model.lm_head.weight.numel() * 8) is not None


@pytest.mark.parametrize("architecture", ["llama", "gemma3"])
def test_greedy_answers_are_the_same_and_nothing_else_is_screened(
    architecture: str, monkeypatch: pytest.MonkeyPatch
):
    model = random_model(architecture)
    requests = [Request(str(at), (1, *range(20, 45), 60 + at), seed=at) for at in range(6)]
    every = [Sampling(12), Sampling(12, temperature=0.7), Sampling(12, repetition_penalty=1.3)]
    plain = [answers(BatchModel(loaded(model)), requests, sampling) for sampling in every]

    able(monkeypatch)
    screened: list[int] = []
    screen = ScreenedHead._screened
    monkeypatch.setattr(
        ScreenedHead, "_screened", lambda self, rows: screened.append(len(rows)) or screen(self, rows)
    )
    batch_model = BatchModel(loaded(model))
    for sampling, expected in zip(every, plain, strict=True):
        screened.clear()
        assert answers(batch_model, requests, sampling) == expected
        assert bool(screened) == (sampling == Sampling(12))


def answers(
    batch_model: BatchModel, requests: Sequence[Request], sampling: Sampling
) -> dict[Any, tuple[int, ...]]:
    return {answer.key: answer.token_ids for answer in generate(batch_model, requests, sampling)}
