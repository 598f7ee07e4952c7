"""The sign-flip test and its inversion: scipy's numbers, enumeration, p-values without a floor, and what must
hold for any differences."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from warehouse.statistics import sign_flips
from warehouse.statistics.power import smallest_p_value
from warehouse.statistics.sign_flips import SignFlips

DIFFERENCES = st.lists(st.sampled_from([-1.0, -0.5, 0.0, 0.1, 0.3, 1.0]), min_size=2, max_size=10)


def p_value(differences: object) -> float:
    return SignFlips(np.array(differences, dtype=float)).p_value


def scipys(differences: object) -> float:
    return stats.permutation_test(
        (differences,), np.sum, permutation_type="samples", n_resamples=np.inf, alternative="two-sided"
    ).pvalue


def test_few_differences_are_counted_exactly() -> None:
    # of the 16 sign patterns of 1, 2, 3, 4 only the two with equal signs sum to 10 or more
    assert p_value([1.0, 2.0, 3.0, 4.0]) == 2 / 16
    # and ±8 is reached or passed by ++++, -+++ and their opposites
    assert p_value([-1.0, 2.0, 3.0, 4.0]) == 4 / 16


def test_an_exact_p_value_is_scipys() -> None:
    differences = np.random.default_rng(1).normal(0.4, 1, 11)
    assert p_value(differences) == pytest.approx(scipys(differences))


def test_right_or_wrong_is_the_binomial_on_discordant_pairs_and_its_interval_clopper_and_pearsons() -> None:
    for wins, losses in ((5, 1), (0, 7), (40, 21), (3, 3)):
        flips = SignFlips(np.array([1.0] * wins + [-1.0] * losses + [0.0] * 30))
        expected = stats.binomtest(wins, wins + losses)
        low, high = expected.proportion_ci()
        assert flips.p_value == pytest.approx(expected.pvalue)
        assert flips.balance(0.05) == pytest.approx((2 * low - 1, 2 * high - 1))


def test_p_values_have_no_floor() -> None:
    # 504 such contrasts outlive any correction for 504 tests
    assert p_value(np.ones(400)) == pytest.approx(2 * 0.5**400, rel=1e-6)
    assert p_value(np.random.default_rng(2).normal(9, 1, 400)) < 1e-100
    levels = np.random.default_rng(2).choice([1.0, 2.0, 3.0, -1.0], 400, p=[0.4, 0.3, 0.2, 0.1])
    assert p_value(levels) < 1e-30


@pytest.mark.parametrize("n", [18, 21, 24])
def test_the_saddlepoint_tail_is_near_the_enumerated_one(n: int, monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(n)
    for shift in (0.1, 0.5, 0.9):
        differences = random.normal(shift, 1, n)
        exact = SignFlips(differences)
        with monkeypatch.context() as patch:
            patch.setattr(sign_flips, "ENUMERATED_UP_TO", 5)
            near = SignFlips(differences)
            assert near.p_value == pytest.approx(exact.p_value, rel=0.05)
            assert near.balance(0.05) == pytest.approx(exact.balance(0.05), abs=0.03)


def test_levels_are_counted_by_convolution_as_by_enumeration(monkeypatch: pytest.MonkeyPatch) -> None:
    differences = np.random.default_rng(3).choice([-2.0, -1.0, 1.0, 2.0, 4.0], 20)
    exact = SignFlips(differences)
    expected = exact.p_value, exact.balance(0.05)
    monkeypatch.setattr(sign_flips, "ENUMERATED_UP_TO", 5)
    found = SignFlips(differences)
    assert found.p_value == pytest.approx(expected[0])
    assert found.balance(0.05) == pytest.approx(expected[1], abs=1e-5)


def test_thirds_of_three_seeds_are_multiples_of_one_unit(monkeypatch: pytest.MonkeyPatch) -> None:
    differences = np.random.default_rng(4).choice([-1 / 3, 1 / 3, 2 / 3, 1.0], 20)
    expected = SignFlips(differences).p_value
    monkeypatch.setattr(sign_flips, "ENUMERATED_UP_TO", 5)
    monkeypatch.setattr(SignFlips, "_saddlepoint", None)
    assert SignFlips(differences).p_value == pytest.approx(expected)


def test_sums_that_are_equal_but_for_rounding_count_as_equal() -> None:
    assert p_value([0.1, 0.2, -0.3]) == 1.0
    assert p_value([0.1] * 3 + [0.3]) == p_value([1.0] * 3 + [3.0])


def test_items_that_do_not_differ_change_nothing() -> None:
    assert p_value([1.0, 1.0, -1.0, 1.0]) == p_value([1.0, 1.0, -1.0, 1.0, *[0.0] * 100])


def test_no_difference_is_no_evidence_and_says_nothing_of_signs() -> None:
    assert p_value(np.zeros(5)) == 1.0
    assert SignFlips(np.zeros(5)).balance(0.05) == (-1.0, 1.0)


def test_the_smallest_p_value_is_that_of_differences_of_one_sign() -> None:
    assert [smallest_p_value(n) for n in (1, 5, 9)] == [p_value(np.ones(n)) for n in (1, 5, 9)]


@pytest.mark.parametrize("n", [12, 40, 90])
def test_p_values_are_uniform_under_the_null(n: int) -> None:
    random = np.random.default_rng(n)
    found = [p_value(random.normal(size=n)) for _ in range(400)]
    assert stats.kstest(found, "uniform").pvalue > 0.01
    assert np.mean(np.array(found) <= 0.05) == pytest.approx(0.05, abs=0.03)


@given(DIFFERENCES)
def test_the_sign_of_all_differences_mirrors_everything(differences: list[float]) -> None:
    one, other = SignFlips(np.array(differences)), SignFlips(-np.array(differences))
    assert one.p_value == pytest.approx(other.p_value)
    assert 0 < one.p_value <= 1
    low, high = one.balance(0.05)
    assert other.balance(0.05) == pytest.approx((-high, -low), abs=1e-5)


@pytest.mark.parametrize("least", [10.0**-power for power in range(1, 13)])
def test_one_difference_that_hardly_counts_against_many_leaves_bounds_of_the_balance(least: float) -> None:
    differences = np.append(np.linspace(0.1, 1.0, 49) ** 1.1, -least)
    low, high = SignFlips(differences).balance(0.05)
    # 49 of 50 signs by Clopper and Pearson: 0.787 to 0.999
    assert 0.5 < low < 0.97 < high <= 1.0
    assert SignFlips(differences).p_value < 1e-9
    assert SignFlips(-differences).balance(0.05) == pytest.approx((-high, -low))
