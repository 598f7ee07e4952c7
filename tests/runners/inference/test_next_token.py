import pytest
import torch
from transformers import (
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from runners.inference.next_token import Sampling, next_tokens, repetition_penalised

LOGITS = torch.tensor([[2.0, 1.5, 1.0, 0.5, 0.0, -0.5, -1.0, -4.0]])


def test_temperature_zero_takes_the_most_likely_token_and_needs_no_generator():
    logits = torch.tensor([[0.1, 3.0, 2.9], [5.0, -1.0, 4.0]])
    assert next_tokens(logits, None, Sampling(1, top_k=1, top_p=0.1), [None, None]).tolist() == [1, 0]


@pytest.mark.parametrize("vocabulary", [1, 255, 256, 257, 1000])
def test_the_first_of_the_most_likely_tokens_is_taken_wherever_it_stands(vocabulary: int):
    draw = torch.Generator().manual_seed(vocabulary)
    # many ties, all below what fills up a block
    logits = torch.randint(-50, -40, (200, vocabulary), generator=draw).float()
    assert next_tokens(logits, None, Sampling(1), [None] * 200).tolist() == logits.argmax(-1).tolist()


@pytest.mark.parametrize(
    ("temperature", "top_k", "top_p"),
    [(1.0, 0, 1.0), (0.7, 0, 0.8), (1.6, 5, 1.0), (1.6, 5, 0.7), (0.01, 0, 1.0)],
)
def test_tokens_are_drawn_as_often_as_transformers_would_draw_them(
    temperature: float, top_k: int, top_p: float
):
    scores = TemperatureLogitsWarper(temperature)(None, LOGITS)
    scores = TopKLogitsWarper(top_k)(None, scores) if top_k else scores
    expected = TopPLogitsWarper(top_p)(None, scores).softmax(-1)[0]
    n = 4000
    generators = [torch.Generator().manual_seed(seed) for seed in range(n)]
    drawn = next_tokens(LOGITS.expand(n, -1), None, Sampling(1, temperature, top_p, top_k), generators)
    often = torch.bincount(drawn, minlength=8) / n
    assert not often[expected == 0].any()
    # four standard errors of a proportion
    assert ((often - expected).abs() <= 4 * (expected * (1 - expected) / n).sqrt() + 1e-9).all()


@pytest.mark.parametrize(("top_k", "top_p"), [(0, 0.9), (0, 0.3), (40, 0.8), (7, 1.0), (0, 1.0)])
def test_over_a_large_vocabulary_draws_fall_where_transformers_distribution_says(top_k: int, top_p: float):
    logits = torch.randn(6, 20_000, generator=torch.Generator().manual_seed(1)) * 2.5
    scores = TemperatureLogitsWarper(0.8)(None, logits)
    scores = TopKLogitsWarper(top_k)(None, scores) if top_k else scores
    cumulative = TopPLogitsWarper(top_p)(None, scores).double().softmax(-1).cumsum(-1)
    for seed in range(30):
        drawn = next_tokens(
            logits, None, Sampling(1, 0.8, top_p, top_k), [torch.Generator().manual_seed(seed)] * 6
        )
        generator = torch.Generator().manual_seed(seed)
        for row, token in enumerate(drawn.tolist()):
            number = torch.rand(1, generator=generator).item()
            before = cumulative[row, token - 1].item() if token else 0.0
            assert before - 1e-5 <= number <= cumulative[row, token].item() + 1e-5
            assert cumulative[row, token] > before


def test_a_row_takes_one_number_from_its_generator_and_no_other_rows_number():
    generators = [torch.Generator().manual_seed(seed) for seed in (7, 8)]
    logits = torch.randn(2, 50, generator=torch.Generator().manual_seed(0))
    together = [next_tokens(logits, None, Sampling(1, 1.0), generators).tolist() for _ in range(20)]
    for row, seed in enumerate((7, 8)):
        generator = torch.Generator().manual_seed(seed)
        alone = [
            next_tokens(logits[row : row + 1], None, Sampling(1, 1.0), [generator]).item() for _ in range(20)
        ]
        assert [step[row] for step in together] == alone


def test_the_penalty_is_that_of_transformers():
    scores = torch.randn(3, 30, generator=torch.Generator().manual_seed(0))
    token_ids = torch.tensor([[1, 2, 2, 7], [0, 29, 5, 5], [3, 3, 3, 3]])
    seen = torch.zeros(3, 30, dtype=torch.bool).scatter_(1, token_ids, True)
    for penalty in (1.3, 0.8):
        assert torch.equal(
            repetition_penalised(scores, seen, penalty),
            RepetitionPenaltyLogitsProcessor(penalty)(token_ids, scores.clone()),
        )


def test_logits_that_are_not_numbers_are_an_error():
    with pytest.raises(FloatingPointError, match="not numbers"):
        next_tokens(torch.tensor([[0.0, float("nan")]]), None, Sampling(1), [None])
