"""Means, regression lines with standard errors robust to clusters, and Student's t for their intervals."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import inf

import numpy as np
from numpy.typing import NDArray

from warehouse.statistics.corrections import ALPHA

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Estimate:
    """A number, its standard error and its degrees of freedom."""

    value: float
    standard_error: float | None
    """None where there is too little to have a spread."""
    df: float
    """Degrees of freedom of Student's t."""

    @property
    def interval(self) -> tuple[float, float] | None:
        """The two-sided 95% interval."""
        return None if self.standard_error is None else self.t_interval(ALPHA)

    def t_interval(self, alpha: float, most: float = inf) -> tuple[float, float]:
        """Return Student's t interval at confidence 1 − alpha, cut at ±most."""
        half = t_quantile(1 - alpha / 2, self.df) * (self.standard_error or 0.0)
        return max(-most, self.value - half), min(most, self.value + half)

    @property
    def p_value(self) -> float | None:
        """P-value of the two-sided t test against zero; None without a spread."""
        if not self.standard_error:
            return None
        return 2 * t_probability(-abs(self.value / self.standard_error), self.df)


@dataclass(frozen=True, slots=True)
class Line:
    """A linear model fitted by least squares."""

    coefficients: Floats
    covariance: Floats
    """Covariance of the coefficients, robust to clusters."""
    df: float

    def estimate(self, weights: Sequence[float] | Floats) -> Estimate:
        """A weighted sum of the coefficients, as the value predicted at a point."""
        w = np.asarray(weights, dtype=np.float64)
        variance = float(w @ self.covariance @ w)
        return Estimate(float(w @ self.coefficients), float(np.sqrt(max(variance, 0.0))), self.df)


def mean_of(values: Floats) -> Estimate:
    """The mean of independent values, shape (n,), n ≥ 1, with s / √n."""
    n = len(values)
    return Estimate(float(values.mean()), float(values.std(ddof=1)) / n**0.5 if n > 1 else None, n - 1)


def line_of_clusters(values: Floats, design: Floats, clusters: Sequence[Hashable]) -> Line:
    """Least squares with a cluster-robust covariance (CR1).

    (XᵀX)⁻¹ (Σ_g X_gᵀe_g e_gᵀX_g) (XᵀX)⁻¹ · G/(G − 1) · (n − 1)/(n − k).

    Equal to statsmodels' `OLS.fit(cov_type="cluster")`. The degrees of freedom are G − 1, less where
    coefficients use up clusters: G − k when every cluster is one row.

    Args:
        values: shape (n,).
        design: shape (n, k), of full column rank, with n > k.
        clusters: n cluster names, at least two different ones.

    Raises:
        ValueError: the design is not of full column rank, or rows or clusters are too few for it.
    """
    n, k = design.shape
    groups = number_of_each(clusters)
    n_clusters = int(groups.max()) + 1
    if n <= k or n_clusters < 2:
        raise ValueError(f"{n} rows in {n_clusters} clusters do not give {k} coefficients with an error")
    if np.linalg.matrix_rank(design) < k:
        raise ValueError("the columns of the design depend on each other")
    bread = np.linalg.inv(design.T @ design)
    coefficients = bread @ (design.T @ values)
    scores = np.zeros((n_clusters, k))
    np.add.at(scores, groups, design * (values - design @ coefficients)[:, None])
    factor = n_clusters / (n_clusters - 1) * (n - 1) / (n - k)
    return Line(
        coefficients, bread @ (factor * (scores.T @ scores)) @ bread, max(1, min(n_clusters - 1, n - k))
    )


def number_of_each(names: Sequence[Hashable]) -> NDArray[np.intp]:
    """Return for each name its number, from 0, in order of first appearance."""
    numbers: dict[Hashable, int] = {}
    return np.array([numbers.setdefault(name, len(numbers)) for name in names], dtype=np.intp)


@lru_cache(maxsize=4096)
def t_quantile(probability: float, df: float) -> float:
    """Quantile of Student's t."""
    from scipy.special import stdtrit  # pyright: ignore[reportMissingTypeStubs, reportUnknownVariableType]

    return float(stdtrit(df, probability))  # pyright: ignore[reportUnknownArgumentType]


def t_probability(t: float, df: float) -> float:
    """Probability of Student's t up to a value."""
    from scipy.special import stdtr  # pyright: ignore[reportMissingTypeStubs, reportUnknownVariableType]

    return float(stdtr(df, t))  # pyright: ignore[reportUnknownArgumentType]


def columns_of(estimate: Estimate | None) -> dict[str, float | None]:
    """Return an estimate as columns of a row; nulls without one."""
    low, high = (estimate and estimate.interval) or (None, None)
    return {
        "estimate": estimate and estimate.value,
        "standard_error": estimate and estimate.standard_error,
        "ci_low": low,
        "ci_high": high,
    }
