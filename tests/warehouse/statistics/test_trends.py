"""The line through models' means against size, with models as a sample, and the size at which two methods are
equal."""

import numpy as np
import pytest
from scipy import optimize

from warehouse.statistics.estimates import Floats
from warehouse.statistics.trends import Crossing, Trend, crossing, size_trend

SIZES = [10**8, 10**8.5, 10**9, 10**9.5]

Rows = tuple[Floats, Floats, list[int], list[int]]
"""Values, sizes, models and items."""


def asked(
    random: np.random.Generator,
    slope: float,
    zero_at: float,
    noise: float = 1.0,
    scatter: float = 0.0,
    sizes: list[float] = SIZES,
    n_items: int = 40,
) -> Rows:
    """A model of each size on a line that is zero at 10 ** zero_at, each `scatter` beside it; items keep half
    of their noise from model to model."""
    models, items = np.repeat(np.arange(len(sizes)), n_items), np.tile(np.arange(n_items), len(sizes))
    shared = random.normal(size=n_items)[items] + random.normal(size=len(items))
    beside = scatter * random.normal(size=len(sizes))[models]
    each = np.asarray(sizes)[models]
    return slope * (np.log10(each) - zero_at) + beside + noise * shared, each, models.tolist(), items.tolist()


def trend_of(rows: Rows) -> Trend:
    found = size_trend(*rows)
    assert isinstance(found, Trend)
    return found


def cross(trend: Trend) -> Crossing:
    return crossing(trend, SIZES[0], SIZES[-1])


def significant(slope: Trend) -> bool:
    return slope.slope.p_value is not None and slope.slope.p_value < 0.05


def test_the_slope_is_the_change_for_ten_times_the_parameters() -> None:
    found = trend_of(asked(np.random.default_rng(1), slope=0.5, zero_at=9.0, noise=0.0))
    assert found.slope.value == pytest.approx(0.5)
    assert found.at(10**10).value == pytest.approx(0.5)
    assert found.slope.standard_error == pytest.approx(0, abs=1e-6)


def test_models_that_differ_by_the_same_on_every_item_have_a_slope_without_an_error() -> None:
    rows = asked(np.random.default_rng(1), slope=0.5, zero_at=9.0, noise=0.0)
    found = trend_of((rows[0] + np.array(rows[3]) / 100, *rows[1:]))
    assert found.slope.value == pytest.approx(0.5)
    assert found.slope.standard_error == pytest.approx(0, abs=1e-6)
    assert (found.at(1e9).standard_error or 0) > 0.01


@pytest.mark.parametrize("scatter", [0.0, 0.5])
def test_the_line_is_statsmodels_generalised_least_squares_with_the_items_covariance_and_the_models_scatter(
    scatter: float,
) -> None:
    import statsmodels.api as sm

    rows = asked(
        np.random.default_rng(2),
        slope=0.5,
        zero_at=9.0,
        scatter=scatter,
        sizes=[10**x for x in (8, 8.4, 9, 9.1, 10)],
    )
    table = rows[0].reshape(5, 40)
    means, design = table.mean(axis=1), sm.add_constant(np.log10(rows[1].reshape(5, 40)[:, 0]))

    def fitted(between: float) -> tuple[Floats, Floats, float]:
        sigma = np.cov(table) / 40 + between * np.eye(5)
        fit = sm.GLS(means, design, sigma).fit()
        return fit.params, fit.normalized_cov_params, fit.resid @ np.linalg.solve(sigma, fit.resid) - 3

    found = trend_of(rows)
    # Paule and Mandel: the weighted mean square of the residuals is one
    between = optimize.brentq(lambda b: fitted(b)[2], 0, 10) if fitted(0)[2] > 0 else 0.0
    assert (between > 0) == (scatter > 0)
    assert found.variance_between == pytest.approx(between)
    assert found.line.coefficients == pytest.approx(fitted(between)[0])
    assert found.line.covariance == pytest.approx(fitted(between)[1])
    assert found.line.df == 3


@pytest.mark.parametrize(("n_models", "scatter"), [(4, 0.3), (5, 0.3), (8, 0.1), (8, 0.3)])
def test_a_slope_of_zero_among_scattered_models_is_significant_in_5_percent(
    n_models: int, scatter: float
) -> None:
    random = np.random.default_rng(3)
    sizes = [float(x) for x in np.logspace(8, 10, n_models)]
    found = [
        significant(trend_of(asked(random, 0.0, 9.0, scatter=scatter, sizes=sizes, n_items=50)))
        for _ in range(1000)
    ]
    assert np.mean(found) <= 0.065


def test_a_slope_is_found_where_the_models_lie_near_the_line() -> None:
    random = np.random.default_rng(4)
    sizes = [float(x) for x in np.logspace(8, 10, 6)]
    found = [
        significant(trend_of(asked(random, 1.0, 9.0, scatter=0.2, sizes=sizes, n_items=50)))
        for _ in range(200)
    ]
    assert np.mean(found) > 0.9


def test_items_that_all_models_share_cancel_from_the_slope() -> None:
    rows = asked(np.random.default_rng(5), slope=1.0, zero_at=9.0, noise=0.1, scatter=0.1)
    shifted = rows[0] + 5 * np.random.default_rng(6).normal(size=40)[rows[3]]
    found, other = trend_of(rows), trend_of((shifted, *rows[1:]))
    assert (other.slope.value, other.slope.standard_error) == pytest.approx(
        (found.slope.value, found.slope.standard_error), rel=0.05
    )
    assert (other.at(1e9).standard_error or 0) > 3 * (found.at(1e9).standard_error or 0)


@pytest.mark.parametrize(
    ("sizes", "n_items", "reason"),
    [
        ([1e8, 1e9], 40, "2 models of known size with two items or more, and a trend needs 4"),
        ([1e8, 1e9, 1e10], 40, "3 models of known size with two items or more, and a trend needs 4"),
        ([1e8, 1e9, 1e9, 1e9], 40, "2 sizes were measured, and a trend needs 3"),
        (SIZES, 1, "0 models of known size with two items or more, and a trend needs 4"),
        (SIZES, 11, "11 items, and a trend over 4 models needs 12"),
    ],
)
def test_below_four_models_three_sizes_or_three_items_a_model_no_trend_is_claimed(
    sizes: list[float], n_items: int, reason: str
) -> None:
    assert size_trend(*asked(np.random.default_rng(7), 1.0, 9.0, sizes=sizes, n_items=n_items)) == reason


def test_without_known_sizes_no_trend_is_claimed() -> None:
    assert size_trend(np.array([]), np.array([]), [], []) == "sizes are not known"


def test_a_model_with_a_single_item_is_left_out() -> None:
    values, sizes, models, items = asked(np.random.default_rng(8), slope=1.0, zero_at=9.0)
    with_one = trend_of((np.append(values, 100.0), np.append(sizes, 1e10), [*models, 9], [*items, 0]))
    assert with_one.slope == trend_of((values, sizes, models, items)).slope


def test_a_crossing_is_where_the_line_is_zero_and_its_interval_holds_it() -> None:
    found = cross(trend_of(asked(np.random.default_rng(3), slope=3.0, zero_at=8.7)))
    assert found.reason is None
    assert found.low is not None
    assert found.size is not None
    assert found.high is not None
    assert found.low < 10**8.7 < found.high
    assert found.size == pytest.approx(10**8.7, rel=0.5)


def test_the_ends_of_the_interval_are_where_the_line_s_own_interval_touches_zero() -> None:
    trend = trend_of(asked(np.random.default_rng(3), slope=3.0, zero_at=8.7))
    found = cross(trend)
    low, high = trend.at(found.low or 0).interval, trend.at(found.high or 0).interval
    assert low is not None
    assert high is not None
    assert low[1] == pytest.approx(0, abs=1e-9)
    assert high[0] == pytest.approx(0, abs=1e-9)


def test_intervals_of_the_crossing_cover_between_93_and_97_percent_where_models_scatter() -> None:
    random = np.random.default_rng(5)
    covered, said = 0, 0
    for _ in range(1000):
        found = cross(trend_of(asked(random, slope=6.0, zero_at=8.7, noise=0.2, scatter=0.5)))
        if found.size is not None:
            said += 1
            covered += (found.low or 0) <= 10**8.7 <= (found.high or np.inf)
    assert said > 950
    assert 0.93 <= covered / said <= 0.97


def test_without_a_slope_or_within_other_sizes_a_crossing_cannot_be_said() -> None:
    flat = cross(trend_of(asked(np.random.default_rng(4), slope=0.0, zero_at=8.7)))
    assert flat == Crossing(reason="not estimable: the change with size is not significant")
    outside = cross(trend_of(asked(np.random.default_rng(4), slope=3.0, zero_at=12.0)))
    assert outside.size is None
    assert "does not reach zero between the sizes" in (outside.reason or "")
    level = cross(trend_of(asked(np.random.default_rng(4), slope=0.0, zero_at=8.7, noise=0.0)))
    assert level.size is None


def test_an_end_of_the_interval_outside_the_measured_sizes_is_not_given() -> None:
    found = cross(trend_of(asked(np.random.default_rng(6), slope=3.0, zero_at=8.04)))
    assert found.size is not None
    assert found.low is None
    assert found.high is not None
