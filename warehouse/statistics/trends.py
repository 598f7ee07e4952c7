"""How a contrast changes with the size of the model, and at what size its two methods are equal."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from math import inf, log10, sqrt

import numpy as np

from warehouse.statistics.estimates import CONFIDENCE, Estimate, Floats, Line, line_of_clusters, t_quantile

FEWEST_SIZES = 3
"""Sizes for a trend: through two points every curve goes."""


@dataclass(frozen=True, slots=True)
class Crossing:
    """The size at which two methods are equal, in parameters, or why it cannot be said."""

    size: float | None = None
    low: float | None = None
    high: float | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Trend:
    """A contrast against the logarithm of size."""

    slope: Estimate
    """Change of the difference for ten times the parameters."""
    line: Line
    n_sizes: int

    def at(self, size: float) -> Estimate:
        """The difference on the line at a size in parameters."""
        return self.line.estimate([1.0, log10(size)])


def size_trend(differences: Floats, sizes: Floats, items: Sequence[Hashable]) -> Trend | None:
    """A line through paired differences against log10 of the parameters; an item is a cluster across models.

    The models are taken as given: the interval is for other items asked of these models, not for other models. With two sizes the slope is the
    difference between them and nothing shows whether a line fits.

    Args:
        differences: shape (n,), one for each item and model.
        sizes: shape (n,), parameters of the model, above 0.
        items: n item names.

    Returns:
        None with fewer than two sizes, or too few rows or items for an error.
    """
    n_sizes = len(np.unique(sizes))
    if n_sizes < 2 or len(differences) < 3 or len(set(items)) < 2:
        return None
    line = line_of_clusters(differences, np.column_stack([np.ones(len(sizes)), np.log10(sizes)]), items)
    return Trend(line.estimate([0.0, 1.0]), line, n_sizes)


def crossing(trend: Trend, smallest: float, largest: float) -> Crossing:
    """Where the line is zero, with Fieller's interval (1954): all sizes at which the line's own 95% interval holds zero.

    With line a + b·x it solves (a + b·x)² = t² (V_aa + 2 V_ab x + V_bb x²), which has two finite solutions around −a/b exactly when the slope is
    told from zero. Outside the sizes that were measured nothing is said of the point itself; an end of the interval out there is given as one
    that is not known.
    """
    if trend.n_sizes < FEWEST_SIZES:
        return Crossing(reason=f"cannot be said: {trend.n_sizes} sizes were measured, and a trend needs {FEWEST_SIZES}")
    a, b = (float(c) for c in trend.line.coefficients)
    v_aa, v_ab, v_bb = float(trend.line.covariance[0, 0]), float(trend.line.covariance[0, 1]), float(trend.line.covariance[1, 1])
    t2 = t_quantile((1 + CONFIDENCE) / 2, trend.line.df) ** 2
    square, middle, constant = b * b - t2 * v_bb, a * b - t2 * v_ab, a * a - t2 * v_aa
    if square <= 1e-12 * (b * b + v_bb):
        return Crossing(reason="cannot be said: the change with size can't be told from zero")
    x = -a / b
    if not log10(smallest) <= x <= log10(largest):
        return Crossing(reason="cannot be said: the line does not reach zero between the sizes that were measured")
    half = sqrt(max(middle * middle - square * constant, 0.0)) / square
    low, high = _power(-middle / square - half), _power(-middle / square + half)
    return Crossing(10**x, low if low >= smallest else None, high if high <= largest else None)


def _power(exponent: float) -> float:
    return 10**exponent if abs(exponent) < 300 else (inf if exponent > 0 else 0.0)
