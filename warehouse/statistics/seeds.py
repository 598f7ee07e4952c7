"""Training seeds as a source of variance: standard errors that hold for other training runs too."""

from collections.abc import Iterator, Sequence
from typing import TypeAlias

import numpy as np

from warehouse.statistics.estimates import Estimate, Floats

Runs: TypeAlias = Sequence[Floats]
"""Scores, or differences between what shares training, of one independent set of training runs: a matrix for
each sample of items, items × seeds.

Each has at least two rows, all have the same two or more columns, none has NaN. The estimate is the sum of
the matrices' means."""


def with_seeds(over_items: Estimate, runs: Sequence[Runs]) -> Estimate:
    """Add to the variance over items that over training seeds (crossed random effects without replication).

    V = V_items + Σ max(0, MS_seed − MS_residual) / (I · S), a term for each independent set of training runs,
    by the mean squares of a two-way analysis of variance (Searle, Casella & McCulloch 1992, chapter 4);
    degrees of freedom by Satterthwaite (1946). With a single set of runs of one sample it is (MS_item +
    MS_seed − MS_residual) / (I · S).

    Args:
        over_items: with a standard error, seeds averaged within an item.
        runs: each independent set.
    """
    parts = [
        ((over_items.standard_error or 0.0) ** 2, over_items.df),
        *(part for one in runs for part in _parts(one)),
    ]
    variance = sum(part for part, _ in parts)
    squares = sum(part**2 / df for part, df in parts)
    return Estimate(
        over_items.value,
        float(np.sqrt(max(variance, 0.0))),
        max(1.0, variance**2 / squares) if squares else over_items.df,
    )


def variance_of_seeds(runs: Sequence[Runs]) -> float:
    """Variance that training seeds alone give to the estimate: Σ max(0, MS_seed − MS_residual) / (I · S)."""
    return sum(part for one in runs for part, _ in _parts(one))


def _parts(runs: Runs) -> Iterator[tuple[float, float]]:
    """Return (term of the variance, its degrees of freedom).

    None where seeds vary by no more than items within them do.
    """
    means = np.sum([scores.mean(axis=0) for scores in runs], axis=0)
    within: list[tuple[float, float]] = []
    for scores in runs:
        n_items, n_seeds = scores.shape
        residuals = scores - scores.mean(axis=0)[None, :] - scores.mean(axis=1)[:, None] + scores.mean()
        df = (n_items - 1) * (n_seeds - 1)
        within.append((float((residuals**2).sum()) / df / (n_items * n_seeds), df))
    between = float(means.var(ddof=1)) / len(means)
    if between > sum(part for part, _ in within):
        yield between, len(means) - 1
        yield from ((-part, df) for part, df in within)
