"""Simulated judges beside people, and how often corrected contrasts cover what people would find."""

from typing import Literal, NamedTuple

import numpy as np

from warehouse.statistics.contrast import PairedTest
from warehouse.statistics.corrections import ALPHA
from warehouse.statistics.estimates import Floats
from warehouse.statistics.intervals import Interval
from warehouse.statistics.prediction_powered import corrected_by_people

N_LABELLED = 50
SCALES = {"right/wrong": (0, 1), "1–10": (1, 10)}
Judge = Literal["good", "bad", "biased"]
JUDGES: tuple[Judge, ...] = ("good", "bad", "biased")
"""People's score nine times out of ten, else by chance; by chance always; four times out of five, and then
better than it is on the first side alone."""


class Coverage(NamedTuple):
    """Shares of studies whose interval holds people's true mean difference."""

    corrected: float
    judge_alone: float


def coverage_beside_people(
    scale: str, judge: Judge, n_items: int, difference: float, n_studies: int
) -> Coverage:
    """Simulate contrasts of which people labelled 50 random items on both sides.

    Args:
        scale: one of `SCALES`.
        judge: one of `JUDGES`.
        n_items: items that the judge scored.
        difference: true difference of the two sides' chances.
        n_studies: studies.
    """
    random = np.random.default_rng([n_items, int(100 * difference), JUDGES.index(judge), len(scale)])
    width = float(SCALES[scale][1] - SCALES[scale][0])
    of, against = _people(random, 1_000_000, scale, difference)
    truth = float((of - against).mean())
    corrected = alone = 0
    for _ in range(n_studies):
        of, against = _people(random, n_items, scale, difference)
        people = of - against
        judged = _judged(random, of, scale, judge, True) - _judged(random, against, scale, judge, False)
        found = corrected_by_people(people[:N_LABELLED], judged[:N_LABELLED], judged[N_LABELLED:], width)
        corrected += _holds(found.interval, truth)
        alone += _holds(PairedTest(judged, width).interval(ALPHA) or (1.0, -1.0), truth)
    return Coverage(corrected / n_studies, alone / n_studies)


def _people(random: np.random.Generator, n: int, scale: str, difference: float) -> tuple[Floats, Floats]:
    """People's scores of two methods on the same n items, whose difficulty varies."""
    low, high = SCALES[scale]
    items = random.beta(2.4, 1.6, n)
    chances = np.clip(items + difference, 0, 1), items
    of, against = (low + random.binomial(high - low, chance).astype(np.float64) for chance in chances)
    return of, against


def _judged(random: np.random.Generator, scores: Floats, scale: str, judge: Judge, is_first: bool) -> Floats:
    low, high = SCALES[scale]
    by_chance = random.integers(low, high + 1, len(scores)).astype(np.float64)
    is_seen = random.random(len(scores)) < {"good": 0.9, "bad": 0.0, "biased": 0.8}[judge]
    found = np.where(is_seen, scores, by_chance)
    if judge == "biased" and is_first:
        found = np.minimum(high, found + random.integers(0, (high - low) // 3 + 2, len(scores)))
    return found


def _holds(interval: Interval, value: float) -> bool:
    return interval[0] <= value <= interval[1]
