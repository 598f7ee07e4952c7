"""Intervals: inside their scale, never empty, never against their test, and covering as often as they say."""

import duckdb
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats.proportion import proportion_confint

from benchmarks._coverage import Scores, coverage_over_seeds, false_claims, levels, right_or_wrong
from warehouse.statements import HERE
from warehouse.statistics.contrast import PairedTest
from warehouse.statistics.estimates import mean_of
from warehouse.statistics.intervals import bounded_interval, paired_interval
from warehouse.statistics.seeds import with_seeds
from warehouse.statistics.sign_flips import SignFlips

RIGHT_OR_WRONG = st.lists(st.sampled_from([-1.0, 0.0, 1.0]), min_size=2, max_size=40)
LEVELS = st.lists(st.sampled_from([-4.0, -1.0, 0.0, 0.5, 1.0, 2.0]), min_size=2, max_size=40)


def test_shares_have_wilsons_interval() -> None:
    for right, n in ((0, 9), (3, 16), (16, 16), (200, 400)):
        share = right / n
        found = bounded_interval(share, share * (1 - share) / max(1, n - 1), n, 0.05)
        assert found == pytest.approx(proportion_confint(right, n, method="wilson"), abs=1e-9)


@pytest.mark.parametrize("n", [1, 2, 9, 12, 100, 1000])
def test_no_error_at_all_has_an_interval_from_zero_and_no_success_at_all_one_to_one(n: int) -> None:
    with duckdb.connect() as connection:
        connection.execute((HERE / "statistics" / "macros.sql").read_text("utf-8"))
        asked = "select wilson_low(0.0, $n), wilson_high(0.0, $n), wilson_low(1.0, $n), wilson_high(1.0, $n)"
        low, high, low_of_all, high_of_all = connection.execute(asked, {"n": n}).fetchall()[0]
    expected = proportion_confint(0, n, method="wilson")
    assert (low, high) == (0.0, pytest.approx(expected[1], abs=1e-6))
    assert (low_of_all, high_of_all) == (pytest.approx(1 - expected[1], abs=1e-6), 1.0)
    assert high > 0.0


def test_equal_scores_of_nine_items_are_as_sure_as_nine_items_allow() -> None:
    assert bounded_interval(1.0, 0.0, 9, 0.05) == pytest.approx((0.7008, 1.0), abs=1e-4)
    assert bounded_interval(0.5, 0.0, 9, 0.05) == pytest.approx(proportion_confint(4.5, 9, method="wilson"))


def test_sql_has_the_same_intervals() -> None:
    with duckdb.connect() as connection:
        connection.execute((HERE / "statistics" / "macros.sql").read_text("utf-8"))
        for scores in (
            [0.0, 1.0, 1.0, 0.0, 1.0],
            [1.0, 0.5, 0.25, 1.0, 1.0, 0.75],
            [1.0, 1.0, 1.0],
            [0.5, 0.5],
        ):
            x = np.array(scores)
            variance = float(x.var(ddof=1)) / len(x)
            args = [float(x.mean()) * 4 + 1, 4 * variance**0.5, len(x), len(x) - 1, 1, 5]
            row = connection.execute(
                "select interval_low($1,$2,$3,$4,$5,$6), interval_high($1,$2,$3,$4,$5,$6)", args
            ).fetchall()[0]
            expected = bounded_interval(float(x.mean()), variance, len(x), 0.05)
            assert row == pytest.approx(tuple(4 * end + 1 for end in expected), abs=1e-5)
        ((one, equal, real),) = connection.execute(
            "select interval_low(1, null, 1, 0, 0, 1), interval_low(7, 0, 5, 4, null, null), interval_low(7,"
            " 1, 5, 4, null, null)"
        ).fetchall()
        assert (one, equal) == (None, None)
        assert real == pytest.approx(7 - 2.7764451)


@pytest.mark.parametrize("alpha", [0.05, 0.05 / 18])
@given(differences=st.one_of(RIGHT_OR_WRONG, LEVELS))
def test_an_interval_never_speaks_against_its_p_value_nor_leaves_its_scale(
    alpha: float, differences: list[float]
) -> None:
    d = np.array(differences)
    test = PairedTest(d, 4.0)
    found, p = test.interval(alpha), test.p_value
    assert found is not None
    assert p is not None
    assert -4 <= found[0] < found[1] <= 4
    assert found[0] - 1e-9 <= d.mean() <= found[1] + 1e-9
    if abs(p - alpha) > 1e-6:
        assert (found[0] > 0 or found[1] < 0) == (p < alpha)


@given(differences=LEVELS)
def test_the_other_way_round_an_interval_is_mirrored(differences: list[float]) -> None:
    low, high = PairedTest(np.array(differences), 4.0).interval(0.05) or (0.0, 0.0)
    assert PairedTest(-np.array(differences), 4.0).interval(0.05) == pytest.approx((-high, -low), abs=1e-4)


def test_no_discordant_pair_leaves_room_for_as_many_as_wilson_does() -> None:
    low, high = proportion_confint(0, 50, method="wilson")
    assert PairedTest(np.zeros(50), 1.0).interval(0.05) == pytest.approx((-high, high))
    assert low == 0


def test_one_item_is_no_estimate_and_equal_scores_without_a_scale_are_none() -> None:
    assert PairedTest(np.array([1.0]), 1.0).interval(0.05) is None
    assert PairedTest(np.array([1.0]), 1.0).p_value is None
    assert PairedTest(np.zeros(4), None).interval(0.05) is None
    low, high = PairedTest(np.full(8, 3.0), None).interval(0.05) or (3.0, 3.0)
    assert 0 < low < high


def test_two_items_at_a_strict_level_have_an_interval_that_is_finite() -> None:
    low, high = PairedTest(np.array([1.0, 9.0]), None).interval(1e-7) or (0.0, 0.0)
    assert -1e300 < low < 0 < high < 1e300
    differences = np.array([0.5, 0.5, 0.501])
    by_seed = np.array([[1.0, 0.0], [1.0, 0.0], [1.0, 0.002]])
    over_seeds = with_seeds(mean_of(differences), [(by_seed,)])
    assert over_seeds.df >= 1
    assert np.isfinite(PairedTest(differences, None, over_seeds).interval(1e-7)).all()


def test_one_seed_right_and_one_wrong_on_all_items_is_no_difference_of_a_half() -> None:
    """The mean is +0.50, and two training runs say nothing of a third."""
    by_seed = np.column_stack([np.ones(40), np.zeros(40)])
    differences = by_seed.mean(axis=1)
    assert PairedTest(differences, 1.0).p_value == pytest.approx(2 * 0.5**40)
    test = PairedTest(differences, 1.0, with_seeds(mean_of(differences), [(by_seed,)]))
    assert test.p_value is not None
    assert test.p_value > 0.4
    assert test.interval(0.05) == (-1.0, 1.0)


@pytest.mark.parametrize(("n_seeds", "deviation"), [(3, 0.0), (3, 0.15), (5, 0.15)])
def test_intervals_of_trained_methods_cover_over_training_seeds(n_seeds: int, deviation: float) -> None:
    random = np.random.default_rng(n_seeds)
    covered = only_items = 0
    for _ in range(500):
        of = (
            0.2
            + random.normal(0, 0.4, (40, 1))
            + random.normal(0, deviation, n_seeds)
            + random.normal(0, 0.4, (40, n_seeds))
        )
        differences = of.mean(axis=1) - random.normal(0, 0.3, 40)
        low, high = PairedTest(differences, None, with_seeds(mean_of(differences), [(of,)])).interval(
            0.05
        ) or (0.0, 0.0)
        covered += low <= 0.2 <= high
        if deviation:
            low, high = PairedTest(differences, None).interval(0.05) or (0.0, 0.0)
            only_items += low <= 0.2 <= high
    assert covered / 500 >= 0.92
    assert deviation == 0 or only_items / 500 < 0.9


@pytest.mark.parametrize("scores", [right_or_wrong, levels])
@pytest.mark.parametrize("p", [0.5, 0.9, 0.98])
def test_intervals_cover_from_nine_items_on_up_to_the_ceiling(scores: Scores, p: float) -> None:
    random = np.random.default_rng(int(100 * p))
    true_of, true_against = scores(random, 400_000, p, -0.1)
    for n in (9, 16, 50):
        paired = single = 0
        for _ in range(400):
            of, against = scores(random, n, p, -0.1)
            low, high = paired_interval(of - against, SignFlips(of - against), 0.05, 1.0) or (0.0, 0.0)
            paired += low <= (true_of - true_against).mean() <= high
            low, high = bounded_interval(float(of.mean()), float(of.var(ddof=1)) / n, n, 0.05)
            single += low <= true_of.mean() <= high
        assert paired / 400 >= 0.92
        assert single / 400 >= 0.9


@pytest.mark.parametrize("is_right_or_wrong", [True, False])
def test_with_one_seed_intervals_cover_the_difference_of_this_one_trained_model(
    is_right_or_wrong: bool,
) -> None:
    for n in (9, 16, 50):
        assert coverage_over_seeds(is_right_or_wrong, n, 1, 0.15, 200) >= 0.91


@pytest.mark.parametrize("n_tests", [2, 18, 600])
def test_at_most_one_null_study_in_sixteen_makes_a_false_confirmatory_claim(n_tests: int) -> None:
    assert false_claims(n_tests, 50, 200) <= 0.064
