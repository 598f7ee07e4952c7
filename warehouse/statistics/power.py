"""Statistical power of the paired test. No numpy, no scipy: a plan is read in a blink."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import ceil, exp, inf, lgamma, log, sqrt
from statistics import NormalDist, fmean
from typing import TYPE_CHECKING

from warehouse.statistics.corrections import ALPHA, Correction, smallest_corrected

if TYPE_CHECKING:  # a plan that has nothing to read of a warehouse does without it
    import duckdb

POWER = 0.8

_NORMAL = NormalDist()
_ALMOST_ONE = 1 - 1e-12


@dataclass(frozen=True, slots=True)
class Variation:
    """Spread of paired differences, as far as the power of their test depends on it."""

    deviation: float
    """Standard deviation over items, > 0."""
    size: float
    """Root mean square of the differences that are not zero."""
    smallest: float
    """Smallest difference that is not zero: as large as `size` for right/wrong scores."""
    width: float | None = None
    """Largest difference that the scale allows; None without bounds."""
    over_runs: float | None = None
    """Variance of the mean difference over training runs of one seed each; None where it was not measured."""


@dataclass(frozen=True, slots=True)
class Spread:
    """Variation of the differences of one contrast, over models and what they were tuned on."""

    experiment: str
    contrast: str
    dataset: str
    language: str
    judge: str
    measure: str
    df: int
    """Degrees of freedom that the variance rests on."""
    variance: float
    size: float
    smallest: float
    width: float | None
    over_runs: float | None
    """As in `Variation`."""


def spreads(connection: "duckdb.DuckDBPyConnection") -> list[Spread]:
    """Return the spread of every contrast that was measured; contrasts without any are left out."""
    from warehouse.statements import fetch

    found = fetch(
        connection,
        """
        with measured as (
            select
                experiment, contrast, dataset, language, judge, measure, model, of_train_languages,
                against_train_languages,
                var_samp(difference) as variance,
                count(difference) as n,
                sum(difference ** 2) as squares,
                count(*) filter (abs(difference) > 1e-9) as n_different,
                min(abs(difference)) filter (abs(difference) > 1e-9) as smallest,
                max(scale_high - scale_low) as width
            from paired_scores
            where (experiment, contrast) in (select (experiment, contrast) from contrasts where not is_noise)
            group by all
            having count(difference) > 1
        )
        select
            experiment, contrast, dataset, language, judge, measure,
            sum(n - 1)::bigint as df,
            sum((n - 1) * variance) / sum(n - 1) as variance,
            sqrt(sum(squares) / sum(n_different)) as size,
            min(smallest) as smallest,
            max(width) as width,
            -- The variance of trained methods is over items and runs; the rest of it is the runs'.
            avg(greatest(0, standard_error ** 2 - variance / n) * n_seeds)
                filter (df is not null) as over_runs
        from measured
        left join contrast_tests
            using (
                experiment, contrast, dataset, language, measure, model, of_train_languages,
                against_train_languages
            )
        group by all
        having sum((n - 1) * variance) > 1e-18
        order by all
        """,
    )
    return [Spread(**row) for row in found]


def pooled(found: Sequence[Spread]) -> Variation:
    """Return the variation that several spreads of one measure have in common."""
    df = sum(spread.df for spread in found)
    over_runs = [spread.over_runs for spread in found if spread.over_runs is not None]
    return Variation(
        deviation=sqrt(sum(spread.df * spread.variance for spread in found) / df),
        size=sqrt(sum(spread.df * spread.size**2 for spread in found) / df),
        smallest=min(spread.smallest for spread in found),
        width=found[0].width,
        over_runs=fmean(over_runs) if over_runs else None,
    )


def judges_measured(connection: "duckdb.DuckDBPyConnection") -> dict[tuple[str, str], list[str]]:
    """Study and name of a judge -> its settings as JSON, which may differ from cell to cell."""
    from warehouse.statements import fetch

    found = fetch(
        connection,
        """
        select distinct
            cells.experiment,
            cell_judges.judge,
            steps.settings -> '$.judges' ->> cell_judges.judge_key as settings
        from cells
        join cell_judges on cell_judges.cell_id = cells.cell_id and cell_judges.probe = ''
        join steps on steps.step_id = cell_judges.judge_step_id
        order by all
        """,
    )
    judges: dict[tuple[str, str], list[str]] = {}
    for row in found:
        judges.setdefault((row["experiment"], row["judge"]), []).append(row["settings"])
    return judges


@lru_cache(maxsize=4096)
def minimum_detectable_effect(
    variation: Variation, n_items: int, n_tests: int = 1, n_seeds: int | None = None
) -> float | None:
    """Return the smallest true mean difference that the paired test finds with a probability of 80%.

    At level ALPHA / n_tests.

    Args:
        variation: of the differences, one an item.
        n_items: items that both methods answer.
        n_tests: tests of the family: the level is that of the first step of Holm's correction.
        n_seeds: training seeds; None where nothing is trained.

    Returns:
        In the score's unit, within the scale; None where no difference within it is found as often, and where
        so few items could not give a significant result whatever their scores.
    """
    if not could_be_significant(n_items, n_tests):
        return None
    low, high = 0.0, variation.width or variation.deviation
    while power(variation, high, n_items, n_tests, n_seeds) < POWER:
        if variation.width is not None:
            return None
        low, high = high, 2 * high
    while high - low > 1e-3 * high:
        middle = (low + high) / 2
        low, high = (
            (middle, high) if power(variation, middle, n_items, n_tests, n_seeds) < POWER else (low, middle)
        )
    return high


def power(
    variation: Variation, effect: float, n_items: int, n_tests: int = 1, n_seeds: int | None = None
) -> float:
    """Return the probability that the paired test at level ALPHA / n_tests finds a true mean difference.

    Assumed of the differences: their variance over items stays as it is, so far as the scale allows. Those
    that are not zero keep their size and become more, until all items differ.

    - Right/wrong scores: given the number of discordant items the test is binomial, and its power is summed
      over that number, exactly (the unconditional power of McNemar's test: Miettinen 1968; Connor 1987).
    - Real-valued scores: Student's t at the largest level that flips of so many signs attain. Sign flips have
      its power in large samples (Lehmann & Romano 2005, section 15.2).
    - Scores of a few levels lie between, as the steps of their sums are coarser or finer: by the smallest
      difference over the size of all. No published rule, but chosen among several by simulation;
      `tests/warehouse/statistics/test_power.py` checks it with the test itself.
    - Several training seeds, whose variance was measured: the t test over items and seeds has to find it too.

    Args:
        variation: of the differences, one an item.
        effect: true mean difference, > 0, within the scale.
        n_items: items that both methods answer.
        n_tests: tests of the family.
        n_seeds: training seeds; None where nothing is trained.
    """
    if not could_be_significant(n_items, n_tests):
        return 0.0
    level = ALPHA / n_tests
    squares = variation.deviation**2 + effect**2
    if variation.width is not None:
        squares = min(squares, variation.width**2)
    share = min(1.0, max(squares / variation.size**2, effect / variation.size))
    size = max(effect / share, sqrt(squares / share))
    # choices of signs whose sum is significant
    n_extreme = int(level * 2.0 ** (n_items - 1)) if n_items < 50 else inf
    attained = level if n_extreme == inf else n_extreme / 2.0 ** (n_items - 1)
    found, enough = _binomial_power(n_items, share, (1 + effect / (share * size)) / 2, level)
    error = sqrt(max(share * size**2 - effect**2, 0.0) / n_items)
    if (coarseness := max(variation.smallest / variation.size, 1 / n_extreme)) < 1:
        found = coarseness * found + (1 - coarseness) * min(
            enough, _student_power(effect, error, n_items - 1, attained)
        )
    if variation.over_runs and n_seeds is not None and n_seeds > 1:
        runs = variation.over_runs / n_seeds
        # Satterthwaite 1946
        df = (error**2 + runs) ** 2 / (error**4 / (n_items - 1) + runs**2 / (n_seeds - 1))
        found = min(found, _student_power(effect, sqrt(error**2 + runs), df, level))
    return found


def could_be_significant(n_items: int, n_tests: int = 1, correction: Correction = "holm") -> bool:
    """Return whether differences of one sign on all items and in all tests would survive correction."""
    return _smallest_corrected(n_items, n_tests, correction) < ALPHA


def smallest_p_value(n_items: int) -> float:
    """Return the smallest p-value that n paired items can give: all differences of one sign."""
    return min(1.0, 2 * 0.5**n_items)


@lru_cache(maxsize=4096)
def _smallest_corrected(n_items: int, n_tests: int, correction: Correction) -> float:
    return smallest_corrected(smallest_p_value(n_items), n_tests, correction)


def _binomial_power(n: int, share: float, positive: float, level: float) -> tuple[float, float]:
    """Return the power of a sign test, given how many items may differ.

    The probability that enough items differ for significance is part of it.

    Args:
        n: items.
        share: probability that an item differs.
        positive: probability that one that differs is positive.
        level: two-sided; significant differences of the wrong sign count for nothing.
    """
    share, positive = min(share, _ALMOST_ONE), min(positive, _ALMOST_ONE)
    reach = 6 * sqrt(n * share * (1 - share)) + 1
    m, last = max(_fewest(level), int(n * share - reach)), min(n, int(n * share + reach))
    k = _critical(m, level)
    weight = _binomial(m, n, share)
    found = enough = 0.0
    by_chance, truly = ([p, _binomial_tail(k, m, p), _binomial(k - 1, m, p)] for p in (0.5, positive))
    while m <= last:
        found, enough = found + weight * truly[1], enough + weight
        weight *= (n - m) / (m + 1) * share / (1 - share)
        m += 1
        # Of one more trial P(X ≥ k) grows by p P(X = k − 1); and k by one, where the level asks for it.
        for law in (by_chance, truly):
            law[1] += law[0] * law[2]
            law[2] *= m / (m - k + 1) * (1 - law[0])
        if 2 * by_chance[1] >= level:
            for law in (by_chance, truly):
                law[2] *= (m - k + 1) / k * law[0] / (1 - law[0])
                law[1] -= law[2]
            k += 1
    return min(found, 1.0), min(enough, 1.0)


def _student_power(effect: float, standard_error: float, df: float, level: float) -> float:
    """Return the power of a two-sided t test.

    By the normal approximation of the noncentral t (Abramowitz & Stegun 26.7.10).
    """
    if standard_error == 0:
        return 1.0
    t = t_quantile(1 - level / 2, df)
    return _NORMAL.cdf((effect / standard_error - t * (1 - 1 / (4 * df))) / sqrt(1 + t**2 / (2 * df)))


def _fewest(level: float) -> int:
    """Return how many differences of one sign are significant."""
    return ceil(1 - log(level) / log(2))


@lru_cache(maxsize=4096)
def _critical(m: int, level: float) -> int:
    """Return how many of m differences have to be positive."""
    k = min(m, ceil(m / 2 + _NORMAL.inv_cdf(1 - level / 2) * sqrt(m) / 2))
    while 2 * _binomial_tail(k - 1, m, 0.5) < level:
        k -= 1
    while 2 * _binomial_tail(k, m, 0.5) >= level:
        k += 1
    return k


def _binomial_tail(k: int, m: int, p: float) -> float:
    """P(X ≥ k), as far as ten standard deviations around the mean."""
    reach = 10 * sqrt(m * p * (1 - p)) + 10
    return sum(_binomial(j, m, p) for j in range(max(k, int(m * p - reach)), min(m, int(m * p + reach)) + 1))


def _binomial(k: int, m: int, p: float) -> float:
    """P(X = k)."""
    return exp(lgamma(m + 1) - lgamma(k + 1) - lgamma(m - k + 1) + k * log(p) + (m - k) * log(1 - p))


def t_quantile(probability: float, df: float) -> float:
    """Quantile of Student's t from the normal one (Wallace 1959, inverted).

    Off by less than half a per cent from five degrees of freedom on. It needs no scipy, as a plan does not.
    """
    z = _NORMAL.inv_cdf(probability) * (8 * df + 3) / (8 * df + 1)
    return sqrt(df * (exp(z**2 / df) - 1))
