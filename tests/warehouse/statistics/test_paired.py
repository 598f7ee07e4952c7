"""Standardised effects, bounds for what is unscored, and contrasts at equal length."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from warehouse.statistics.paired import (
    Unscored,
    bounds_for_unscored,
    length_adjusted,
    natural_spline,
    standardised_effect,
)


def side(*verdicts: list[float | None]) -> Unscored:
    return Unscored(
        np.array([sum(v for v in item if v is not None) for item in verdicts], dtype=float),
        np.array([sum(v is not None for v in item) for item in verdicts], dtype=float),
        np.array([sum(v is None for v in item) for item in verdicts], dtype=float),
    )


def test_the_standardised_effect_is_the_mean_in_deviations() -> None:
    assert standardised_effect(np.array([3.0, 2.0, 1.0])) == 2.0
    assert standardised_effect(np.array([3.0])) is None
    assert standardised_effect(np.array([0.1 + 0.2, 0.3])) is None


def test_bounds_put_the_worst_and_the_best_in_the_place_of_what_is_unscored() -> None:
    # of: 5, ?; against: ?, 2 on a scale of 1 to 5. Worst: (5 + 1)/2 - (5 + 2)/2, best: (5 + 5)/2 - (1 + 2)/2
    assert bounds_for_unscored(side([5.0], [None]), side([None], [2.0]), 1, 5) == (-0.5, 3.5)


def test_bounds_average_the_seeds_of_an_item_first() -> None:
    assert bounds_for_unscored(side([1.0, None]), side([0.0]), 0, 1) == (0.5, 1.0)


SCORES = st.lists(
    st.tuples(*(st.one_of(st.none(), st.floats(0, 1)) for _ in range(2))), min_size=1, max_size=8
)


@given(SCORES)
def test_bounds_hold_every_way_of_filling_in_and_are_the_estimate_where_all_is_scored(
    pairs: list[tuple[float | None, float | None]],
) -> None:
    low, high = bounds_for_unscored(side(*([a] for a, _ in pairs)), side(*([b] for _, b in pairs)), 0, 1)
    half = np.mean([(0.5 if a is None else a) - (0.5 if b is None else b) for a, b in pairs])
    assert low - 1e-9 <= half <= high + 1e-9
    n_unscored = sum(v is None for pair in pairs for v in pair)
    assert high - low == pytest.approx(n_unscored / len(pairs))


def test_the_spline_spans_what_patsys_natural_cubic_spline_spans() -> None:
    import patsy

    x = np.random.default_rng(1).uniform(10, 900, 60)
    knots = np.quantile(np.unique(x), [0, 1 / 3, 2 / 3, 1])
    theirs = np.asarray(patsy.dmatrix("cr(x, df=3, constraints='center')", {"x": x}))
    ours = np.column_stack([np.ones(60), natural_spline(x, knots)])
    assert ours.shape == theirs.shape
    y = np.sin(x / 100)
    fits = [design @ np.linalg.lstsq(design, y, rcond=None)[0] for design in (ours, theirs)]
    assert fits[0] == pytest.approx(fits[1], abs=1e-9)


def test_the_length_adjusted_contrast_is_a_regression_on_items_method_and_spline() -> None:
    import patsy
    import statsmodels.api as sm

    random = np.random.default_rng(2)
    n = 60
    of, against = random.uniform(100, 900, n), random.uniform(50, 600, n)
    differences = 0.3 + np.sqrt(of / 900) - np.sqrt(against / 900) + random.normal(0, 0.1, n)
    found = length_adjusted(differences, of, against, range(n)).estimate
    assert found is not None
    # all 2n scores on a dummy for each item, one for the method, and the spline of length
    lengths = np.concatenate([of, against])
    spline = np.asarray(patsy.dmatrix("cr(x, df=3, constraints='center') - 1", {"x": lengths}))
    design = np.column_stack([np.repeat([1.0, 0.0], n), spline, np.vstack([np.eye(n)] * 2)])
    expected = sm.OLS(np.concatenate([differences, np.zeros(n)]), design).fit()
    assert found.value == pytest.approx(expected.params[0])
    paired = sm.OLS(differences, np.column_stack([np.ones(n), spline[:n] - spline[n:]]))
    assert found.standard_error == pytest.approx(
        paired.fit(cov_type="cluster", cov_kwds={"groups": np.arange(n)}).bse[0]
    )


def test_a_difference_that_is_all_length_goes_away_and_one_that_is_not_stays() -> None:
    random = np.random.default_rng(3)
    n = 200
    against = random.uniform(100, 500, n)
    of = against + random.uniform(0, 400, n)
    by_length = (of - against) / 500 + random.normal(0, 0.05, n)
    gone = length_adjusted(by_length, of, against, range(n)).estimate
    stays = length_adjusted(by_length + 0.5, of, against, range(n)).estimate
    assert gone is not None
    assert stays is not None
    assert by_length.mean() > 0.3
    assert abs(gone.value) < 3 * (gone.standard_error or 0)
    assert stays.value == pytest.approx(gone.value + 0.5)


def test_intervals_of_the_adjusted_contrast_cover_between_93_and_97_percent() -> None:
    random = np.random.default_rng(4)
    covered = 0
    for _ in range(2000):
        of, against = random.uniform(100, 900, 40), random.uniform(50, 600, 40)
        differences = 0.2 + (of - against) / 500 + random.normal(0, 0.3, 40)
        adjusted = length_adjusted(differences, of, against, range(40)).estimate
        low, high = (adjusted.interval if adjusted else None) or (0.0, 0.0)
        covered += low <= 0.2 <= high
    assert 0.93 <= covered / 2000 <= 0.97


def test_a_score_that_is_the_length_is_not_adjusted_for_it() -> None:
    of, against = np.arange(30.0) ** 2, np.arange(30.0)
    assert length_adjusted(of - against, of, against, range(30)).reason == "the score is the length"


@pytest.mark.parametrize(
    ("of", "against", "says"),
    [
        ([5.0, 9.0], [1.0, 2.0], "2 pairs are too few"),
        ([5.0] * 30, [7.0] * 30, "fewer than 4 values"),
        (list(range(30)), list(range(30)), "do not vary enough"),
    ],
)
def test_where_lengths_tell_nothing_a_reason_stands_in_the_place_of_a_number(
    of: list[float], against: list[float], says: str
) -> None:
    found = length_adjusted(
        np.arange(len(of)) + 0.5, np.array(of, dtype=float), np.array(against, dtype=float), range(len(of))
    )
    assert found.estimate is None
    assert says in (found.reason or "")
