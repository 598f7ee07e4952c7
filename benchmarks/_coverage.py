"""Simulated scores, and how often intervals cover what they were drawn from."""

from collections.abc import Callable

import numpy as np

from warehouse.statistics.contrast import PairedTest
from warehouse.statistics.corrections import ALPHA, correct
from warehouse.statistics.estimates import Floats
from warehouse.statistics.intervals import bounded_interval
from warehouse.statistics.seeds import estimate_over_seeds

Scores = Callable[[np.random.Generator, int, float, float], tuple[Floats, Floats]]


def right_or_wrong(random: np.random.Generator, n: int, mean: float, difference: float) -> tuple[Floats, Floats]:
    """Scores 0 and 1 of two methods on the same n items, whose difficulty varies."""
    items = random.beta(2 * mean, 2 * (1 - mean), n)
    return (random.random(n) < np.clip(items + difference, 0, 1)).astype(float), (random.random(n) < items).astype(float)


def levels(random: np.random.Generator, n: int, mean: float, difference: float) -> tuple[Floats, Floats]:
    """The same with five levels, on [0, 1]; near the ends of the scale most are equal."""
    items = random.beta(6 * mean, 6 * (1 - mean), n)
    return random.binomial(4, np.clip(items + difference, 0, 1)) / 4, random.binomial(4, items) / 4


def coverage(scores: Scores, n: int, mean: float, difference: float, n_studies: int) -> tuple[float, float]:
    """Share of studies whose interval holds the true paired difference, and the true mean of the first method."""
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


def coverage_over_seeds(n: int, n_seeds: int, deviation: float, n_studies: int) -> float:
    """Share of studies whose interval holds the true difference between a trained method, whose seeds deviate, and an untrained one."""
    random = np.random.default_rng([n, n_seeds, int(100 * deviation)])
    covered = 0
    for _ in range(n_studies):
        of = random.normal(0.2, 0.4, (n, 1)) + random.normal(0, deviation, n_seeds) + random.normal(0, 0.4, (n, n_seeds))
        differences = of.mean(axis=1) - random.normal(0, 0.3, n)
        low, high = PairedTest(differences, None, estimate_over_seeds(differences, [of])).interval(ALPHA) or (1.0, -1.0)
        covered += low <= 0.2 <= high
    return covered / n_studies


def false_claims(n_tests: int, n: int, n_studies: int) -> float:
    """Share of studies of equally good methods, all compared with one of them, in which any confirmatory contrast is significant."""
    random = np.random.default_rng([n_tests, n])
    false = 0
    for _ in range(n_studies):
        baseline, _ = right_or_wrong(random, n, 0.6, 0)
        others = [right_or_wrong(random, n, 0.6, 0)[0] for _ in range(n_tests)]
        p_values = [PairedTest(one - baseline, 1.0).p_value or 1.0 for one in others]
        false += any(one.p_value < ALPHA for one in correct(p_values, "holm"))
    return false / n_studies
