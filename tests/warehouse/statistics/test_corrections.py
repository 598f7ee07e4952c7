"""Corrections for several tests: statsmodels' numbers, levels of intervals, and shared arms."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm
from statsmodels.stats.multitest import multipletests

from warehouse.statistics.corrections import ALPHA, Correction, correct, smallest_corrected
from warehouse.statistics.power import smallest_p_value
from warehouse.statistics.sign_flips import SignFlips

P_VALUES = st.lists(st.one_of(st.floats(0, 1), st.floats(0, 0.02)), min_size=1, max_size=20)
METHODS: dict[Correction, str] = {
    "holm": "holm",
    "benjamini_hochberg": "fdr_bh",
    "benjamini_yekutieli": "fdr_by",
}


@pytest.mark.parametrize("correction", METHODS)
@given(p_values=P_VALUES)
@settings(deadline=None, max_examples=15)  # statsmodels collects garbage at every call
def test_corrected_p_values_are_statsmodels(correction: Correction, p_values: list[float]) -> None:
    found = [one.p_value for one in correct(p_values, correction)]
    assert found == pytest.approx(list(multipletests(p_values, method=METHODS[correction])[1]))


@pytest.mark.parametrize("correction", ["benjamini_hochberg", "benjamini_yekutieli"])
@given(p_values=P_VALUES)
def test_a_test_is_below_its_level_exactly_where_it_is_significant(
    correction: Correction, p_values: list[float]
) -> None:
    for p, one in zip(p_values, correct(p_values, correction), strict=True):
        if abs(p - one.alpha) > 1e-12:
            assert (one.p_value < ALPHA) == (p < one.alpha)
        assert one.p_value >= p or one.p_value == pytest.approx(p)


@pytest.mark.parametrize("correction", ["holm", "e_holm"])
@given(p_values=P_VALUES)
def test_a_declared_test_whose_interval_leaves_zero_out_is_significant(
    correction: Correction, p_values: list[float]
) -> None:
    for p, one in zip(p_values, correct(p_values, correction), strict=True):
        assert one.alpha == ALPHA / len(p_values)
        assert one.p_value < ALPHA or p > one.alpha - 1e-12


def test_a_later_step_of_holm_may_reject_where_the_interval_covers_zero() -> None:
    first, second = correct([0.001, 0.04], "holm")
    assert first.p_value < ALPHA
    assert second.p_value < ALPHA
    assert second.alpha == 0.025 < 0.04


@pytest.mark.parametrize("n_large", [0, 10, 19])
def test_intervals_of_declared_tests_hold_at_once(n_large: int) -> None:
    """20 independent estimates with standard error 1: some effects are large, the others are zero."""
    true = np.repeat([6.0, 0.0], [n_large, 20 - n_large])
    estimates = true + np.random.default_rng(1).normal(size=(4_000, 20))
    held = 0
    for estimate in estimates:
        p_values = (2 * norm.sf(abs(estimate))).tolist()
        alphas = np.array([one.alpha for one in correct(p_values, "holm")])
        held += bool((abs(estimate - true) <= norm.isf(alphas / 2)).all())
    assert held / len(estimates) >= 0.94, "0.95, less what as many draws can miss it by"


def test_no_test_needs_no_correction() -> None:
    assert correct([], "holm") == []


def test_contrasts_far_from_zero_outlive_any_number_of_tests() -> None:
    p_values = [SignFlips(np.random.default_rng(i).normal(185 / 20, 1, 400)).p_value for i in range(4)] * 126
    assert len(p_values) == 504
    assert all(one.p_value < 1e-50 for one in correct(p_values, "holm"))


def test_nine_items_cannot_give_a_significant_result_in_eighteen_tests() -> None:
    assert smallest_corrected(smallest_p_value(9), 18, "holm") == pytest.approx(0.0703125)
    assert smallest_corrected(smallest_p_value(10), 18, "holm") < 0.05


def test_with_shared_arms_few_studies_make_a_false_discovery() -> None:
    """All methods are equally good: every discovery is false."""
    random = np.random.default_rng(5)
    false: dict[Correction, int] = {"holm": 0, "benjamini_yekutieli": 0}
    n_studies = 300
    for _ in range(n_studies):
        baseline = (random.random(50) < 0.5).astype(float)
        p_values = [SignFlips((random.random(50) < 0.5) - baseline).p_value for _ in range(6)]
        for correction in false:
            false[correction] += any(one.p_value < ALPHA for one in correct(p_values, correction))
    assert all(n / n_studies <= 0.064 for n in false.values())
