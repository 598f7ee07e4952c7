"""Trends of differences and scores with the size of the model, and sizes at which methods are equal."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from math import inf, log10, sqrt

import numpy as np

from dsl.plan.contrasts import FEWEST_MODELS
from warehouse.statistics.corrections import ALPHA
from warehouse.statistics.estimates import Estimate, Floats, Line, number_of_each, t_quantile

FEWEST_SIZES = 3
"""Different sizes for a trend: through two points every curve goes."""

FEWEST_ITEMS = 3
"""Items for each model: with fewer, the inverse of the models' covariance promises too much (8 models and 10
items: 12% significant for 5%)."""

_HALVINGS = 200
"""Bisections for the variance between models: beyond the precision of a double."""


@dataclass(frozen=True, slots=True)
class Crossing:
    """The size at which two methods are equal, in parameters, or why it is not estimable."""

    size: float | None = None
    low: float | None = None
    high: float | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Trend:
    """A line through the models' means against the logarithm of size."""

    slope: Estimate
    """Change of the mean for ten times the parameters."""
    line: Line
    variance_between: float
    """τ²: scatter of the models around the line beyond the sampling error of their items."""

    def at(self, size: float) -> Estimate:
        """The mean on the line at a size in parameters."""
        return self.line.estimate([1.0, log10(size)])


def size_trend(
    values: Floats,
    sizes: Floats,
    models: Sequence[Hashable],
    items: Sequence[Hashable],
    variance_of_seeds: float = 0.0,
) -> Trend | str:
    """Mixed-effects meta-regression of the models' means on log10 of the parameters, models being a sample.

    ȳ = Xβ + u + e, with u ~ N(0, τ²) for each model and Cov(e) = V from the items: V_ml = Σ_i r_mi r_li /
    √(n_m (n_m − 1) n_l (n_l − 1)) over the residuals of one item under two models, so that items which all
    models share are not taken for so many, and on its diagonal what training seeds give to a model's mean. τ²
    is Paule & Mandel's (1982), β is by generalised least squares with (Xᵀ (V + τ² I)⁻¹ X)⁻¹ and Student's t
    with k − 2 degrees of freedom (Knapp & Hartung 2003). Their factor max(1, q), with q the weighted mean
    square of the residuals, is 1 throughout: Paule and Mandel's τ² has q = 1 where it is above 0, else q ≤ 1.

    Args:
        values: shape (n,), one for each item and model, no NaN: paired differences or scores.
        sizes: shape (n,), parameters of the model, above 0.
        models: n model names. A model with one item has no variance and is left out.
        items: n item names.
        variance_of_seeds: of one model's mean. It is known from few seeds, so it is that of all models
            together; with one seed it can't be
            known, and is part of τ².

    Returns:
        The trend, or the reason why none can be estimated.
    """
    rows, columns = number_of_each(models), number_of_each(items)
    if not len(rows):
        return "sizes are not known"
    counts = np.bincount(rows).astype(np.float64)
    x = np.log10(sizes[np.unique(rows, return_index=True)[1]])
    is_used = counts > 1
    n_models, n_sizes = int(is_used.sum()), len(np.unique(x[is_used]))
    n_items = len(np.unique(columns[is_used[rows]]))
    if n_models < FEWEST_MODELS:
        return f"{n_models} models of known size with two items or more, and a trend needs {FEWEST_MODELS}"
    if n_sizes < FEWEST_SIZES:
        return f"{n_sizes} sizes were measured, and a trend needs {FEWEST_SIZES}"
    if n_items < FEWEST_ITEMS * n_models:
        return f"{n_items} items, and a trend over {n_models} models needs {FEWEST_ITEMS * n_models}"
    means = np.bincount(rows, weights=values) / counts
    residuals = np.zeros((len(counts), int(columns.max()) + 1))
    np.add.at(residuals, (rows, columns), values - means[rows])
    scaled = residuals[is_used] / np.sqrt(counts * (counts - 1))[is_used, None]
    return _fit(means[is_used], x[is_used], scaled @ scaled.T + variance_of_seeds * np.eye(n_models))


def _fit(means: Floats, x: Floats, covariance: Floats) -> Trend:
    """The line by generalised least squares, also where the covariance is singular.

    In place of (XᵀΣ⁻¹X)⁻¹ it uses N, an orthonormal basis of what no line explains (NᵀX = 0): least squares
    less what the residuals Nᵀȳ, of covariance NᵀΣN, foretell of its error (Rao 1967).
    """
    design = np.column_stack([np.ones(len(x)), x])
    orthonormal, _ = np.linalg.qr(design, mode="complete")
    spread, turn = np.linalg.eigh(orthonormal[:, 2:].T @ covariance @ orthonormal[:, 2:])
    basis = orthonormal[:, 2:] @ turn
    residuals = _without_rounding(basis.T @ means, float(np.abs(means).max()))
    spread = _without_rounding(spread, float(np.abs(covariance).max()))
    between = _paule_mandel(residuals, spread)
    total = covariance + between * np.eye(len(x))
    variances = spread + between
    known = np.divide(1.0, variances, out=np.zeros_like(variances), where=variances > 0)
    least_squares = np.linalg.inv(design.T @ design) @ design.T
    foretold = least_squares @ total @ basis
    coefficients = least_squares @ means - foretold @ (known * residuals)
    line = Line(
        coefficients, least_squares @ total @ least_squares.T - (foretold * known) @ foretold.T, len(x) - 2
    )
    return Trend(line.estimate([0.0, 1.0]), line, between)


def _without_rounding(values: Floats, scale: float) -> Floats:
    """Values with zero for those that can only be rounding errors of numbers of a scale."""
    return np.where(np.abs(values) > 1e-12 * scale, values, 0.0)


def _paule_mandel(residuals: Floats, spread: Floats) -> float:
    """Variance τ² ≥ 0 at which Σ residuals² / (spread + τ²) is its own degrees of freedom; 0 if it is less.

    Args:
        residuals: shape (k − 2,), independent.
        spread: shape (k − 2,), their variances without τ², at least 0.
    """
    squares = residuals**2
    low, high = 0.0, float(squares.mean())
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if middle in (low, high):
            break
        if float((squares / (spread + middle)).mean()) > 1:
            low = middle
        else:
            high = middle
    return low


def crossing(trend: Trend, smallest: float, largest: float) -> Crossing:
    """Size at which the line is zero, with Fieller's interval (1954).

    The interval is all sizes at which the line's own 95% interval holds zero.

    With line a + b·x it solves (a + b·x)² = t² (V_aa + 2 V_ab x + V_bb x²), which has two finite solutions
    around −a/b exactly when the slope is significant. Outside the sizes that were measured nothing is said of
    the point itself; an end of the interval out there is given as one that is not known.
    """
    a, b = (float(c) for c in trend.line.coefficients)
    v_aa, v_ab, v_bb = (
        float(trend.line.covariance[0, 0]),
        float(trend.line.covariance[0, 1]),
        float(trend.line.covariance[1, 1]),
    )
    t2 = t_quantile(1 - ALPHA / 2, trend.line.df) ** 2
    square, middle, constant = b * b - t2 * v_bb, a * b - t2 * v_ab, a * a - t2 * v_aa
    if square <= 1e-12 * (b * b + v_bb):
        return Crossing(reason="not estimable: the change with size is not significant")
    x = -a / b
    if not log10(smallest) <= x <= log10(largest):
        return Crossing(
            reason="not estimable: the line does not reach zero between the sizes that were measured"
        )
    half = sqrt(max(middle * middle - square * constant, 0.0)) / square
    low, high = _power(-middle / square - half), _power(-middle / square + half)
    return Crossing(10**x, low if low >= smallest else None, high if high <= largest else None)


def _power(exponent: float) -> float:
    return 10**exponent if abs(exponent) < 300 else (inf if exponent > 0 else 0.0)
