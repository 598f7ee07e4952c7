"""Training seeds as a source of variance: estimates whose error holds for other training runs, not only for other items."""

from collections.abc import Sequence

import numpy as np

from warehouse.statistics.estimates import Estimate, Floats


def estimate_over_seeds(differences: Floats, by_seed: Sequence[Floats]) -> Estimate:
    """Mean over items and training seeds, with the variance components of both (crossed random effects without replication).

    V = s²(d) / I + Σ max(0, MS_seed − MS_residual) / (I · S), a term for each independent set of training runs, by the mean squares of a two-way
    analysis of variance (Searle, Casella & McCulloch 1992, chapter 4); degrees of freedom by Satterthwaite (1946). With a single set this is
    (MS_item + MS_seed − MS_residual) / (I · S).

    Args:
        differences: shape (I,), one an item, averaged over seeds; I ≥ 2.
        by_seed: for each independent set of runs its scores, or its differences where both sides are paired by seed, shape (items, S), S ≥ 2
            and at least two items, no NaN.
    """
    n = len(differences)
    parts = [(float(differences.var(ddof=1)) / n, n - 1)]
    for scores in by_seed:
        n_items, n_seeds = scores.shape
        means, items = scores.mean(axis=0), scores.mean(axis=1)
        residuals = scores - means[None, :] - items[:, None] + scores.mean()
        df = (n_items - 1) * (n_seeds - 1)
        between, within = float(means.var(ddof=1)) / n_seeds, float((residuals**2).sum()) / df / (n_items * n_seeds)
        if between > within:
            parts += [(between, n_seeds - 1), (-within, df)]
    variance = sum(part for part, _ in parts)
    squares = sum(part**2 / df for part, df in parts)
    return Estimate(float(differences.mean()), float(np.sqrt(max(variance, 0.0))), max(1.0, variance**2 / squares) if squares else n - 1)
