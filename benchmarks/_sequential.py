"""Studies that stop once a contrast is settled: false claims, and items until a difference is found."""

import numpy as np

from dsl.confidence_sequence import ALPHA, ConfidenceSequence
from warehouse.statistics.corrections import correct


def false_claims_with_looks(n_places: int, n: int, batch: int, n_studies: int, n_levels: int = 2) -> float:
    """Share of studies of two equally good methods in which a look at any place claims a difference.

    A look is taken after every batch, and a place stops at the first that excludes zero at Bonferroni's
    level. In a study of several places (languages, models) claims are those after Holm's correction of 1 /
    e-value.

    Args:
        n_levels: of the scores; 2 is right and wrong. Items differ in how hard they are.
    """
    random = np.random.default_rng([n_places, n, batch, n_levels])
    false = 0
    for _ in range(n_studies):
        p_values: list[float] = []
        for _ in range(n_places):
            share = random.beta(1.2, 0.8, n)
            of, against = (random.binomial(n_levels - 1, share) / (n_levels - 1) for _ in range(2))
            seen = ConfidenceSequence(of - against, -1, 1).e_values(0.0)[batch - 1 :: batch]
            settled = seen >= n_places / ALPHA
            e_value = seen[settled.argmax()] if settled.any() else seen[-1]
            p_values.append(min(1.0, 1 / max(float(e_value), 1.0)))
        false += any(one.p_value < ALPHA for one in correct(p_values, "holm"))
    return false / n_studies


def mean_items(difference: float, batch: int, most: int, n_studies: int) -> float:
    """Mean number of items until right/wrong scores that differ on 40% of them are found to differ."""
    random = np.random.default_rng([int(1000 * difference), batch])
    shares = [0.2 - difference / 2, 0.6, 0.2 + difference / 2]
    n_asked: list[int] = []
    for _ in range(n_studies):
        values = random.choice([-1.0, 0.0, 1.0], p=shares, size=most)
        settled = ConfidenceSequence(values, -1, 1).e_values(0.0)[batch - 1 :: batch] >= 1 / ALPHA
        n_asked.append((int(settled.argmax()) + 1) * batch if settled.any() else most)
    return float(np.mean(n_asked))
