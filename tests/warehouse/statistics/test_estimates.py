"""Means and lines with clustered errors: statsmodels' numbers, and intervals that cover as often as they
say."""

import numpy as np
import pytest
from scipy import stats

from warehouse.statistics.estimates import (
    Estimate,
    Floats,
    line_of_clusters,
    mean_of,
    number_of_each,
    t_probability,
    t_quantile,
)


def clustered(random: np.random.Generator, n_clusters: int, shared: float = 1.0) -> tuple[Floats, list[int]]:
    """Values around zero, one to five a cluster, that have a part in common within it."""
    sizes = random.integers(1, 6, n_clusters)
    clusters = np.repeat(np.arange(n_clusters), sizes)
    return shared * random.normal(size=n_clusters)[clusters] + random.normal(size=len(clusters)), list(
        clusters
    )


def test_a_line_and_its_errors_are_statsmodels_with_clusters() -> None:
    import statsmodels.api as sm

    random = np.random.default_rng(2)
    values, clusters = clustered(random, 20)
    design = np.column_stack(
        [np.ones(len(values)), random.normal(size=len(values)), random.normal(size=len(values))]
    )
    found = line_of_clusters(values, design, clusters)
    expected = sm.OLS(values, design).fit(
        cov_type="cluster", cov_kwds={"groups": np.array(clusters)}, use_t=True
    )
    assert found.coefficients == pytest.approx(expected.params)
    assert found.covariance == pytest.approx(expected.cov_params())
    assert found.df == 19
    at = [1.0, 0.5, -2.0]
    assert found.estimate(at).standard_error == pytest.approx(expected.t_test(at).sd.item())


def test_the_mean_of_independent_values_is_students_t() -> None:
    values = np.array([0.2, 0.9, -0.4, 1.3])
    interval = stats.ttest_1samp(values, 0).confidence_interval()
    assert mean_of(values).interval == pytest.approx((interval.low, interval.high))
    assert mean_of(values).p_value == pytest.approx(stats.ttest_1samp(values, 0).pvalue)


def test_one_value_has_a_mean_and_no_error() -> None:
    found = mean_of(np.array([1.5]))
    assert (found.value, found.standard_error, found.interval, found.p_value) == (1.5, None, None, None)


@pytest.mark.parametrize(
    ("design", "clusters"),
    [
        ([[1.0, 1.0], [1.0, 1.0], [1.0, 1.0]], "abc"),
        ([[1.0, 0.0], [1.0, 1.0]], "ab"),
        ([[1.0, 0.0], [1.0, 1.0], [1.0, 2.0]], "aaa"),
    ],
)
def test_a_line_that_the_rows_cannot_give_is_refused(design: list[list[float]], clusters: str) -> None:
    with pytest.raises(ValueError, match=r"depend|do not give"):
        line_of_clusters(np.arange(len(design), dtype=float), np.array(design), clusters)


def test_intervals_of_a_slope_cover_between_93_and_97_percent_under_clustering() -> None:
    random = np.random.default_rng(4)
    covered = 0
    for _ in range(2000):
        items = np.repeat(np.arange(40), 3)
        sizes = np.tile([8.0, 8.5, 9.0], 40)
        values = 0.5 * sizes + random.normal(size=40)[items] + random.normal(size=120)
        low, high = line_of_clusters(values, np.column_stack([np.ones(120), sizes]), list(items)).estimate(
            [0, 1]
        ).interval or (0.0, 0.0)
        covered += low <= 0.5 <= high
    assert 0.93 <= covered / 2000 <= 0.97


def test_names_are_numbered_by_their_first_appearance() -> None:
    assert list(number_of_each(["b", "a", "b", "c"])) == [0, 1, 0, 2]


def test_students_t_is_scipys() -> None:
    assert t_quantile(0.975, 7) == pytest.approx(stats.t.ppf(0.975, 7))
    assert t_probability(-1.3, 7) == pytest.approx(stats.t.cdf(-1.3, 7))
    assert Estimate(1.0, 0.0, 3).p_value is None
