"""What a design can detect: as often as it says, in simulation."""

import numpy as np
import pytest
from scipy import stats

from dsl.plan import ContrastPlan
from tests.warehouse.stores import StoreMaker
from warehouse.connect import WAREHOUSE, connect
from warehouse.load import rebuild
from warehouse.statistics.power import minimum_detectable_effect, spreads, t_quantile


@pytest.mark.parametrize("n", [10, 30, 100])
def test_a_true_difference_of_the_smallest_detectable_size_is_found_in_80_percent_of_studies(n: int) -> None:
    effect = minimum_detectable_effect(0.5, n)
    assert effect is not None
    draws = np.random.default_rng(n).normal(effect, 0.5, (20_000, n))
    found = np.mean(stats.ttest_1samp(draws, 0, axis=1).pvalue < 0.05)
    # the formula itself leaves the noncentral t aside, which costs it a point or two at n = 10
    assert found == pytest.approx(0.8, abs=0.025 if n == 10 else 0.012)


def test_more_items_detect_less_and_a_stricter_test_needs_more() -> None:
    effects = [minimum_detectable_effect(0.5, n) or 9.0 for n in (6, 20, 80, 320)]
    assert effects == sorted(effects, reverse=True)
    assert effects[3] / effects[2] == pytest.approx(0.5, abs=0.01)
    assert (minimum_detectable_effect(0.5, 80, n_tests=6) or 0) > effects[2]
    assert minimum_detectable_effect(1.0, 80) == pytest.approx(2 * effects[2])
    corrected = (stats.t.ppf(1 - 0.025 / 6, 79) + stats.t.ppf(0.8, 79)) * 0.5 / 80**0.5
    assert minimum_detectable_effect(0.5, 80, n_tests=6) == pytest.approx(corrected)


def test_fewer_than_five_items_detect_nothing_that_can_be_said() -> None:
    assert minimum_detectable_effect(0.5, 4) is None


def test_no_effect_is_listed_where_no_result_could_be_significant() -> None:
    assert minimum_detectable_effect(0.5, 5) is None  # p = 2 / 2⁵ at best
    assert minimum_detectable_effect(0.5, 9, n_tests=18) is None  # 18 · 2 / 2⁹ = 0.07
    assert minimum_detectable_effect(0.5, 10, n_tests=18) is not None


@pytest.mark.parametrize("df", [4, 10, 1000])
@pytest.mark.parametrize("probability", [0.8, 0.975, 0.9975])
def test_the_t_quantile_is_scipys_within_half_a_per_cent(df: int, probability: float) -> None:
    assert t_quantile(probability, df) == pytest.approx(stats.t.ppf(probability, df), rel=0.005)


def test_a_measured_spread_is_pooled_over_models_without_the_judge_s_own_distribution(maker: StoreMaker) -> None:
    gain = ContrastPlan(name="gain", of="tuned", against="prompted")
    for model, ours in (("small", {"1": 1.0, "2": 3.0}), ("large", {"1": 1.0, "2": 1.0, "3": 4.0, "4": 4.0})):
        theirs = dict.fromkeys(ours, 1.0)
        maker.cell("tuned", model=model, scores={"aspects=rubric": {"depth": ours}}, distribution={"1": 0.5, "3": 0.5})
        maker.cell("prompted", model=model, scores={"aspects=rubric": {"depth": theirs}})
    maker.cell("tuned", language="fr", scores={"contains": {"1": 1.0, "2": 1.0}})
    maker.cell("prompted", language="fr", scores={"contains": {"1": 0.0, "2": 0.0}})
    maker.study(contrasts=(gain,))
    rebuild(maker.folder)
    with connect(maker.folder / WAREHOUSE, read_only=True) as connection:
        (found,) = spreads(connection)  # in French nothing varies
    assert (found.contrast, found.language, found.measure, found.df) == ("gain", "en", "aspects.depth", 4)
    # 0, 2: variance 2 and one degree of freedom; 0, 0, 3, 3: variance 3 and three
    assert found.variance == pytest.approx((1 * 2 + 3 * 3) / 4)
