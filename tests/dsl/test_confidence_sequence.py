"""The betting confidence sequence: its error over all looks, and its agreement with itself."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsl.confidence_sequence import ALPHA, ConfidenceSequence

differences = st.lists(st.sampled_from([-1.0, -0.5, 0.0, 0.5, 1.0]), min_size=1, max_size=80)


@given(differences, st.floats(-1, 1), st.sampled_from([0.05, 0.01, 0.2]))
def test_a_mean_is_outside_exactly_where_its_e_value_is_at_least_one_over_alpha(
    values: list[float], mean: float, alpha: float
):
    sequence = ConfidenceSequence(values, -1, 1)
    low, high = sequence.interval(alpha)
    assert -1 <= low <= high <= 1
    e_value = sequence.e_value(mean)
    if not math.isclose(e_value, 1 / alpha, rel_tol=1e-6):
        assert (e_value >= 1 / alpha) == (not low <= mean <= high)
    assert sequence.p_value(mean) == min(1.0, 1 / max(e_value, 1.0))


@given(differences)
def test_e_values_after_each_observation_are_those_of_a_sequence_that_ends_there(values: list[float]):
    sequence = ConfidenceSequence(values, -1, 1)
    assert sequence.e_values(0.0)[-1] == sequence.e_value(0.0)
    half = ConfidenceSequence(values[: len(values) // 2 + 1], -1, 1)
    assert half.e_value(0.0) == pytest.approx(sequence.e_values(0.0)[len(half) - 1])


@given(differences, st.floats(0.1, 10), st.floats(-3, 3))
def test_another_scale_gives_the_same_in_its_units(values: list[float], factor: float, shift: float):
    one = ConfidenceSequence(values, -1, 1)
    moved = [shift + factor * value for value in values]
    other = ConfidenceSequence(moved, min(shift - factor, *moved), max(shift + factor, *moved))
    assert other.e_value(shift) == pytest.approx(one.e_value(0.0), rel=1e-6)
    assert other.interval() == pytest.approx([shift + factor * end for end in one.interval()], abs=1e-6)


def test_rounding_may_put_a_value_out_of_bounds_and_nothing_else_may():
    rounded = ConfidenceSequence([1 + 1e-15, -1 - 1e-15, 0.5], -1, 1)
    assert rounded.interval() == ConfidenceSequence([1, -1, 0.5], -1, 1).interval()
    with pytest.raises(ValueError, match=r"values from 0 to 1\.001 leave the bounds -1, 1"):
        ConfidenceSequence([0, 1.001], -1, 1)


def test_the_capital_is_that_of_the_paper_multiplied_out():
    """The hedged capital process of arXiv 2010.09686, bet by bet."""
    x, m = [1.0, 0.0, 1.0, 1.0, 0.5], 0.5
    above = below = 1.0
    sums, spread, variance = 0.5, 0.25, 0.25
    for t, value in enumerate(x, 1):
        bet = min(math.sqrt(2 * math.log(2 / ALPHA) / (variance * t * math.log(t + 1))), 0.5 / m)
        above *= 1 + bet * (value - m)
        below *= 1 - bet * (value - m)
        sums += value
        spread += (value - sums / (t + 1)) ** 2
        variance = spread / (t + 1)
    assert ConfidenceSequence(x, 0, 1).e_value(m) == pytest.approx(max(above, below) / 2)


@pytest.mark.parametrize("looks", [1, 20])
def test_few_of_many_null_studies_claim_a_difference_at_any_look(looks: int):
    chance = np.random.default_rng(5)
    n_false = 0
    for _ in range(400):
        values = chance.choice([-1.0, 0.0, 1.0], p=[0.2, 0.6, 0.2], size=200)
        e_values = ConfidenceSequence(values, -1, 1).e_values(0.0)
        n_false += bool((e_values[200 // looks - 1 :: 200 // looks] >= 1 / ALPHA).any())
    assert n_false / 400 <= 0.064


def test_a_difference_is_found_sooner_the_larger_it_is():
    chance = np.random.default_rng(6)

    def mean_n(difference: float) -> float:
        shares = [0.2 - difference / 2, 0.6, 0.2 + difference / 2]
        found: list[int] = []
        for _ in range(60):
            values = chance.choice([-1.0, 0.0, 1.0], p=shares, size=400)
            settled = ConfidenceSequence(values, -1, 1).e_values(0.0) >= 1 / ALPHA
            found.append(int(settled.argmax()) + 1 if settled.any() else 400)
        return float(np.mean(found))

    assert mean_n(0.3) < 70 < mean_n(0.2) < 140 < mean_n(0.1)


def test_nothing_observed_says_nothing_and_what_is_out_of_bounds_is_refused():
    empty = ConfidenceSequence([], -1, 1)
    assert (empty.interval(), empty.e_value(0.0), empty.p_value(0.0)) == ((-1, 1), 1.0, 1.0)
    with pytest.raises(ValueError, match="leave the bounds"):
        ConfidenceSequence([1.5], -1, 1)
