"""Power of the paired test: found in simulation as often as it says, and nothing listed that no data could
make significant."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import optimize, stats

from dsl.plan.study import ContrastPlan
from tests.warehouse.stores import StoreMaker
from warehouse.connect import WAREHOUSE, connect
from warehouse.load import rebuild
from warehouse.statistics.contrast import PairedTest
from warehouse.statistics.estimates import Floats, mean_of
from warehouse.statistics.power import (
    Variation,
    could_be_significant,
    minimum_detectable_effect,
    power,
    spreads,
    t_quantile,
)
from warehouse.statistics.seeds import with_seeds

RIGHT_OR_WRONG = Variation(deviation=0.5, size=1, smallest=1, width=1)
REAL_VALUED = Variation(deviation=1, size=1, smallest=1e-6)
ALPHA = 0.05


def found(
    draw: Callable[[np.random.Generator], PairedTest], n_tests: int = 1, n_studies: int = 1000
) -> float:
    """Return the share of simulated studies in which the test passes the first step of Holm's correction."""
    random = np.random.default_rng(0)
    p_values = [draw(random).p_value for _ in range(n_studies)]
    return float(np.mean([p is not None and p < ALPHA / n_tests for p in p_values]))


def right_or_wrong(effect: float, deviation: float, n: int) -> Callable[[np.random.Generator], PairedTest]:
    """Paired differences of right/wrong scores with that mean and deviation."""
    discordant = min(1.0, max(effect, deviation**2 + effect**2))
    chances = [(discordant - effect) / 2, 1 - discordant, (discordant + effect) / 2]
    return lambda random: PairedTest(random.choice([-1.0, 0.0, 1.0], n, p=chances), 1.0)


def one_to_five(n: int, n_tests: int) -> Callable[[np.random.Generator], PairedTest]:
    """Paired differences of 1–5 scores whose true mean is the minimum detectable effect of their own
    variation."""
    values = np.arange(-4.0, 5.0)

    def law(shift: float) -> Floats:
        of, against = (stats.binom.pmf(np.arange(5), 4, p) for p in (0.3 + shift, 0.3))
        return np.convolve(of, against[::-1])

    def missing(shift: float) -> float:
        chances = law(shift)
        mean, squares = float(chances @ values), float(chances @ values**2)
        effect = minimum_detectable_effect(
            Variation((squares - mean**2) ** 0.5, (squares / (1 - chances[4])) ** 0.5, 1, 4), n, n_tests
        )
        assert effect is not None
        return effect - mean

    chances = law(optimize.brentq(missing, 0.01, 0.69, xtol=1e-4))
    return lambda random: PairedTest(random.choice(values, n, p=chances), 4.0)


def real_valued(n: int, n_tests: int) -> Callable[[np.random.Generator], PairedTest]:
    """The same of real-valued scores."""
    effect = minimum_detectable_effect(REAL_VALUED, n, n_tests)
    assert effect is not None
    return lambda random: PairedTest(random.normal(effect, 1, n), None)


@pytest.mark.parametrize("n_tests", [1, 12])
@pytest.mark.parametrize("n", [9, 16, 50, 400])
@pytest.mark.parametrize("deviation", [0.2, 0.5])
def test_the_minimum_detectable_effect_of_right_or_wrong_scores_is_found_in_80_percent_of_studies(
    deviation: float, n: int, n_tests: int
) -> None:
    effect = minimum_detectable_effect(Variation(deviation, 1, 1, 1), n, n_tests)
    assert effect is not None
    assert 0.78 <= found(right_or_wrong(effect, deviation, n), n_tests, 2000) <= 0.82


@pytest.mark.parametrize(("n", "n_tests"), [(9, 1), (16, 1), (16, 12), (50, 1), (50, 12), (400, 1)])
def test_the_minimum_detectable_effect_of_one_to_five_scores_is_found_in_80_percent_of_studies(
    n: int, n_tests: int
) -> None:
    assert 0.78 <= found(one_to_five(n, n_tests), n_tests) <= 0.88


@pytest.mark.parametrize("n", [9, 16, 50])
def test_the_minimum_detectable_effect_of_real_valued_scores_is_found_in_80_percent_of_studies(
    n: int,
) -> None:
    assert 0.78 <= found(real_valued(n, 1)) <= 0.83


def test_an_effect_of_0_375_on_16_right_or_wrong_items_is_found_in_little_more_than_half_of_the_studies() -> (
    None
):
    assert power(RIGHT_OR_WRONG, 0.375, 16) == pytest.approx(
        found(right_or_wrong(0.375, 0.5, 16), n_studies=2000), abs=0.02
    )
    assert 0.5 < power(RIGHT_OR_WRONG, 0.375, 16) < 0.62


@pytest.mark.parametrize(("n", "effect", "n_tests"), [(9, 0.8, 1), (12, 0.5, 3), (14, 0.3, 1)])
def test_power_of_right_or_wrong_scores_is_the_sum_over_all_that_could_come_out(
    n: int, effect: float, n_tests: int
) -> None:
    discordant = 0.25 + effect**2
    total = 0.0
    for won in range(n + 1):
        for lost in range(min(won, n - won) + 1):
            p = PairedTest(np.array([1.0] * won + [-1.0] * lost + [0.0] * (n - won - lost)), 1.0).p_value
            chances = [(discordant + effect) / 2, (discordant - effect) / 2, 1 - discordant]
            if p is not None and p < ALPHA / n_tests:
                total += stats.multinomial.pmf([won, lost, n - won - lost], n, chances)
    assert power(RIGHT_OR_WRONG, effect, n, n_tests) == pytest.approx(total, abs=1e-6)


@pytest.mark.parametrize("n_seeds", [3, 5])
def test_with_several_seeds_the_variance_between_training_runs_counts(n_seeds: int) -> None:
    n, deviation, over_runs = 100, 0.5, 0.03
    variation = Variation(deviation, deviation, 1e-3, None, over_runs)
    effect = minimum_detectable_effect(variation, n, 1, n_seeds)
    alone = minimum_detectable_effect(variation, n, 1, 1)
    assert effect is not None
    assert alone is not None
    assert alone == minimum_detectable_effect(Variation(deviation, deviation, 1e-3, None), n)
    assert effect > 1.5 * alone

    def draw(random: np.random.Generator) -> PairedTest:
        runs = random.normal(0, over_runs**0.5, n_seeds)
        by_seed = effect + random.normal(0, deviation, (n, 1)) + runs + random.normal(0, 0.05, (n, n_seeds))
        differences = by_seed.mean(axis=1)
        return PairedTest(differences, None, with_seeds(mean_of(differences), [(by_seed,)]))

    assert 0.76 <= found(draw) <= 0.88


VARIATIONS = st.builds(
    lambda deviation, size, smallest, width: Variation(
        deviation, size * width, smallest * size * width, width
    ),
    deviation=st.floats(0.01, 4),
    size=st.floats(0.05, 1),
    smallest=st.floats(0.001, 1),
    width=st.sampled_from([1.0, 4.0]),
)


@given(variation=VARIATIONS, n=st.integers(1, 60), n_tests=st.integers(1, 1000))
def test_no_effect_is_listed_that_no_data_could_make_significant(
    variation: Variation, n: int, n_tests: int
) -> None:
    effect = minimum_detectable_effect(variation, n, n_tests)
    best = PairedTest(np.full(n, variation.width), variation.width).p_value
    assert (
        (effect is not None)
        == (best is not None and n_tests * best < ALPHA)
        == could_be_significant(n, n_tests)
    )
    if effect is not None:
        assert 0 < effect <= (variation.width or 0)
        p = PairedTest(np.full(n, effect), variation.width).p_value
        assert p is not None
        assert n_tests * p < ALPHA


@given(variation=VARIATIONS, n=st.integers(6, 200))
def test_power_lies_between_0_and_1_and_a_stricter_test_has_less(variation: Variation, n: int) -> None:
    for effect in (0.1 * (variation.width or 1), 0.5 * (variation.width or 1)):
        once, thrice = power(variation, effect, n), power(variation, effect, n, 3)
        assert 0 <= thrice <= once + 1e-9 <= 1 + 2e-9


def test_more_items_detect_less_and_units_of_the_score_are_its_own() -> None:
    effects = [minimum_detectable_effect(RIGHT_OR_WRONG, n) or 9.0 for n in (6, 20, 80, 320, 5000, 100_000)]
    assert effects == sorted(effects, reverse=True)
    assert effects[-1] == pytest.approx(
        (stats.norm.ppf(0.975) + stats.norm.ppf(0.8)) * 0.5 / 100_000**0.5, rel=0.01
    )
    assert minimum_detectable_effect(Variation(2, 4, 4, 4), 80) == pytest.approx(4 * effects[2], rel=1e-3)


def test_no_effect_is_listed_where_few_items_or_many_tests_leave_no_result_significant() -> None:
    assert minimum_detectable_effect(RIGHT_OR_WRONG, 5) is None  # p = 2 / 2⁵ at best
    assert minimum_detectable_effect(RIGHT_OR_WRONG, 9, n_tests=18) is None  # 18 · 2 / 2⁹ = 0.07
    assert minimum_detectable_effect(RIGHT_OR_WRONG, 10, n_tests=18) is not None
    assert could_be_significant(6, 10, "benjamini_hochberg")
    assert not could_be_significant(6, 10, "benjamini_yekutieli")  # 2 / 2⁶ · (1 + ½ + … + 1/10) = 0.09


def test_a_difference_is_listed_as_beyond_the_scale_where_training_runs_differ_too_much() -> None:
    assert minimum_detectable_effect(Variation(0.5, 1, 1, 1, over_runs=0.5), 100, 1, 3) is None


@pytest.mark.parametrize("df", [5, 10, 1000])
@pytest.mark.parametrize("probability", [0.8, 0.975, 0.99])
def test_the_t_quantile_is_scipys_within_one_per_cent(df: int, probability: float) -> None:
    assert t_quantile(probability, df) == pytest.approx(stats.t.ppf(probability, df), rel=0.01)


def test_a_spread_is_pooled_over_models_and_separates_training_runs_but_not_the_judge_s_distribution(
    maker: StoreMaker,
) -> None:
    gain = ContrastPlan(name="gain", of="tuned", against="prompted")
    for model, ours in (("small", {"1": 1.0, "2": 3.0}), ("large", {"1": 1.0, "2": 1.0, "3": 4.0, "4": 4.0})):
        theirs = dict.fromkeys(ours, 1.0)
        maker.cell(
            "tuned",
            model=model,
            scores={"aspects=rubric": {"depth": ours}},
            distribution={"1": 0.5, "3": 0.5},
        )
        maker.cell("prompted", model=model, scores={"aspects=rubric": {"depth": theirs}})
    maker.cell("tuned", language="fr", scores={"contains": {"1": 1.0, "2": 1.0}})
    maker.cell("prompted", language="fr", scores={"contains": {"1": 0.0, "2": 0.0}})
    runs = np.array([[1.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 0.0]])
    for seed, scores in enumerate(runs.T):
        by_item = {str(i): float(score) for i, score in enumerate(scores)}
        maker.cell("tuned", language="es", seed=seed, train_languages=("en",), scores={"contains": by_item})
    maker.cell("prompted", language="es", scores={"contains": dict.fromkeys("0123", 0.0)})
    maker.study(contrasts=(gain,))
    rebuild(maker.folder)
    with connect(maker.folder / WAREHOUSE, read_only=True) as connection:
        spread, trained = spreads(connection)  # in French nothing varies
    assert (spread.contrast, spread.language, spread.measure, spread.df) == ("gain", "en", "aspects.depth", 4)
    # 0, 2: variance 2 and one degree of freedom; 0, 0, 3, 3: variance 3 and three
    assert spread.variance == pytest.approx((1 * 2 + 3 * 3) / 4)
    assert (spread.size, spread.smallest) == pytest.approx(((22 / 3) ** 0.5, 2.0))  # 2, 3 and 3 are not zero
    assert spread.over_runs is None
    estimate = with_seeds(mean_of(runs.mean(axis=1)), [(runs,)])
    assert estimate.standard_error is not None
    assert trained.language == "es"
    assert trained.over_runs == pytest.approx(
        2 * (estimate.standard_error**2 - runs.mean(axis=1).var(ddof=1) / 4)
    )
    assert (trained.smallest, trained.width) == (0.5, 1)
