"""Simulated scores, and how often intervals cover what they were drawn from."""

from collections.abc import Callable
from functools import cache

import numpy as np
from scipy.special import expit, logit

from warehouse.statistics.contrast import PairedTest
from warehouse.statistics.corrections import ALPHA, correct
from warehouse.statistics.estimates import Floats, mean_of
from warehouse.statistics.intervals import bounded_interval
from warehouse.statistics.seeds import with_seeds

Scores = Callable[[np.random.Generator, int, float, float], tuple[Floats, Floats]]


def right_or_wrong(
    random: np.random.Generator, n: int, mean: float, difference: float
) -> tuple[Floats, Floats]:
    """Scores 0 and 1 of two methods on the same n items, whose difficulty varies."""
    items = random.beta(2 * mean, 2 * (1 - mean), n)
    return (random.random(n) < np.clip(items + difference, 0, 1)).astype(float), (
        random.random(n) < items
    ).astype(float)


def levels(random: np.random.Generator, n: int, mean: float, difference: float) -> tuple[Floats, Floats]:
    """The same with five levels, on [0, 1]; near the ends of the scale most are equal."""
    items = random.beta(6 * mean, 6 * (1 - mean), n)
    return random.binomial(4, np.clip(items + difference, 0, 1)) / 4, random.binomial(4, items) / 4


def coverage(scores: Scores, n: int, mean: float, difference: float, n_studies: int) -> tuple[float, float]:
    """Share of studies whose interval holds the true paired difference, and the true mean of the first
    method."""
    random = np.random.default_rng([n, int(100 * mean), int(-100 * difference)])
    true_of, true_against = (side.mean() for side in scores(random, 1_000_000, mean, difference))
    paired = single = 0
    for _ in range(n_studies):
        of, against = scores(random, n, mean, difference)
        low, high = PairedTest(of - against, 1.0).interval(ALPHA) or (1.0, -1.0)
        paired += low <= true_of - true_against <= high
        low, high = bounded_interval(float(of.mean()), float(of.var(ddof=1)) / n, n, ALPHA)
        single += low <= true_of <= high
    return paired / n_studies, single / n_studies


_CHANCES = np.linspace(0.2, 0.8, 601)
"""Chances of being right that items have, each as often as the others."""


def coverage_over_seeds(
    is_right_or_wrong: bool, n: int, n_seeds: int, deviation: float, n_studies: int
) -> float:
    """Share of studies whose interval holds the true difference between a trained method, whose seeds
    deviate, and an untrained one.

    Chances of being right deviate in log-odds, by four times `deviation`, which is `deviation` of a chance of
    one half. Items and deviations lie symmetrically about it, so that the true difference over all training
    runs is zero.

    With several seeds that is the difference over all training runs; with one, that of this one trained
    model.
    """
    random = np.random.default_rng([n, n_seeds, int(100 * deviation), is_right_or_wrong])
    covered = 0
    for _ in range(n_studies):
        lucks = random.normal(0, deviation, n_seeds)
        if is_right_or_wrong:
            items = random.uniform(0.2, 0.8, (n, 1))
            of, against = (
                (random.random((n, len(luck))) < expit(logit(items) + 4 * luck)).astype(float)
                for luck in (lucks, np.zeros(1))
            )
            gain, width = (
                float((expit(logit(_CHANCES) + 4 * lucks[0]) - _CHANCES).mean()) if n_seeds == 1 else 0.0,
                1.0,
            )
        else:
            of = random.normal(0.2, 0.4, (n, 1)) + lucks + random.normal(0, 0.4, (n, n_seeds))
            against = random.normal(0, 0.3, (n, 1))
            gain, width = 0.2 + (lucks[0] if n_seeds == 1 else 0.0), None
        differences = of.mean(axis=1) - against[:, 0]
        over_seeds = with_seeds(mean_of(differences), [(of,)]) if n_seeds > 1 else None
        low, high = PairedTest(differences, width, over_seeds).interval(ALPHA) or (1.0, -1.0)
        covered += low <= gain <= high
    return covered / n_studies


def false_claims(n_tests: int, n: int, n_studies: int) -> float:
    """Share of studies of equally good methods, all compared with one of them, in which any confirmatory
    contrast is significant."""
    random = np.random.default_rng([n_tests, n])
    false = 0
    for _ in range(n_studies):
        is_right = random.random((n_tests + 1, n)) < random.beta(1.2, 0.8, n)
        better, worse = ((is_right[1:] & ~is_right[0]).sum(axis=1), (is_right[0] & ~is_right[1:]).sum(axis=1))
        p_values = [_p_value(n, k, m) for k, m in zip(better.tolist(), worse.tolist(), strict=True)]
        false += any(one.p_value < ALPHA for one in correct(p_values, "holm"))
    return false / n_studies


@cache
def _p_value(n: int, better: int, worse: int) -> float:
    """p-value of n items of which so many are right on one side only."""
    return PairedTest(np.repeat([1.0, -1.0, 0.0], [better, worse, n - better - worse]), 1.0).p_value or 1.0
