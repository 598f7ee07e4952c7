"""Paired contrasts beside their mean: standardised effect, bounds for unscored rows, length adjustment."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np

from warehouse.statistics.estimates import Estimate, Floats, line_of_clusters

FEWEST_FOR_LENGTH = 20
"""Pairs for a length-adjusted contrast: five for each of its coefficients."""

_KNOTS = (0.0, 1 / 3, 2 / 3, 1.0)
"""Quantiles of the lengths where the pieces of the spline meet: a natural cubic spline on four knots has
three degrees of freedom."""


@dataclass(frozen=True, slots=True)
class Unscored:
    """One side of a contrast with its unscored verdicts, an entry an item."""

    total: Floats
    """Sum of the scores that there are."""
    n_scored: Floats
    n_unscored: Floats


@dataclass(frozen=True, slots=True)
class Adjusted:
    """A contrast at equal length, or why there is none."""

    estimate: Estimate | None
    reason: str | None = None


def standardised_effect(differences: Floats) -> float | None:
    """Cohen's d_z: mean over standard deviation of paired differences; None without a spread."""
    if len(differences) < 2:
        return None
    deviation = float(differences.std(ddof=1))
    return (
        float(differences.mean()) / deviation
        if deviation > 1e-12 * float(np.abs(differences).max())
        else None
    )


def bounds_for_unscored(of: Unscored, against: Unscored, low: float, high: float) -> tuple[float, float]:
    """Bounds of the mean difference over all values of the unscored verdicts (Manski 1989).

    Lower: each unscored verdict of `of` is the scale's lowest and each of `against` its highest; upper: the
    other way round. Verdicts of an item are averaged first, as they are in the contrast.

    Args:
        of: shape (n,) each, n ≥ 1 items, each with a verdict, scored or not, on both sides.
        against: the same items in the same order.
        low: the scale's lowest score.
        high: its highest.
    """

    def filled(side: Unscored, score: float) -> float:
        return float(np.mean((side.total + score * side.n_unscored) / (side.n_scored + side.n_unscored)))

    return filled(of, low) - filled(against, high), filled(of, high) - filled(against, low)


def length_adjusted(
    differences: Floats, lengths_of: Floats, lengths_against: Floats, clusters: Sequence[Hashable]
) -> Adjusted:
    """The contrast that is left when both answers are equally long.

    The score of an answer is modelled as item + method + g(length), g a natural cubic spline with three
    degrees of freedom. The difference of two answers to one item frees it of the item: d_i = α + Σ_k β_k
    (B_k(l_of) − B_k(l_against)) + e_i, and α is the contrast at equal length. Least squares, errors clustered
    (`line_of_clusters`). What length *causes* is not separated from what goes along with it: a better answer
    may have to be longer.

    Args:
        differences: shape (n,), paired differences.
        lengths_of: shape (n,), characters.
        lengths_against: shape (n,), characters.
        clusters: n cluster names.
    """
    n = len(differences)
    if n < FEWEST_FOR_LENGTH:
        return Adjusted(None, f"{n} pairs are too few: {FEWEST_FOR_LENGTH} are needed")
    if np.array_equal(differences, lengths_of - lengths_against):
        return Adjusted(None, "the score is the length")
    lengths = np.concatenate([lengths_of, lengths_against])
    if len(np.unique(lengths)) < len(_KNOTS):
        return Adjusted(None, f"lengths take fewer than {len(_KNOTS)} values")
    knots = np.quantile(np.unique(lengths), _KNOTS)
    columns = natural_spline(lengths_of, knots) - natural_spline(lengths_against, knots)
    try:
        line = line_of_clusters(differences, np.column_stack([np.ones(n), columns]), clusters)
    except ValueError:
        return Adjusted(None, "the two methods' lengths do not vary enough against each other")
    return Adjusted(line.estimate([1.0, 0.0, 0.0, 0.0]))


def natural_spline(x: Floats, knots: Floats) -> Floats:
    """Basis of natural cubic splines without its constant, shape (n, len(knots) − 1).

    Linear beyond the outer knots.

    Truncated powers on x scaled to [0, 1] between the outer knots (Hastie, Tibshirani & Friedman 2009, eq.
    5.4–5.5).
    """
    z = (x - knots[0]) / (knots[-1] - knots[0])
    at = (knots - knots[0]) / (knots[-1] - knots[0])

    def bent(k: int) -> Floats:
        return (np.clip(z - at[k], 0, None) ** 3 - np.clip(z - at[-1], 0, None) ** 3) / (at[-1] - at[k])

    last = bent(len(at) - 2)
    return np.column_stack([z, *(bent(k) - last for k in range(len(at) - 2))])
