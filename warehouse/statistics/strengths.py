"""Bradley–Terry strengths of methods, by maximum likelihood, with profile-likelihood intervals."""

# scipy has no types
# pyright: reportArgumentType=false, reportMissingTypeStubs=false
# pyright: reportUnknownArgumentType=false, reportUnknownVariableType=false

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from warehouse.statistics.corrections import ALPHA
from warehouse.statistics.estimates import Floats, t_quantile

M = TypeVar("M", bound=Hashable)
"""A method's name."""

PRIOR = 0.5
"""Comparisons that end level, added to each pair that met, where without them a strength would be
infinite."""

_STEPS = 200
"""Newton steps; ten are plenty for a finite maximum, some forty reach the limit of a likelihood that rises to
infinity."""

_ENOUGH = 1e-12
"""Half the squared Newton decrement at which a likelihood is at its maximum."""


@dataclass(frozen=True, slots=True)
class Comparison(Generic[M]):
    """The outcome of one method's answer beside another's."""

    first: M
    second: M
    item: str
    won: float
    """1 where the first was better, 0 where the second was, one half for a tie; a mean of such where it was
    asked more than once."""


@dataclass(frozen=True, slots=True)
class Strength(Generic[M]):
    """One method among those that it was compared with, directly or through others."""

    method: M
    strength: float | None
    """Log-odds against a method of mean strength; None where the comparisons do not link all methods."""
    standard_error: float | None
    """Robust to clusters; None with one item, and where the maximum is infinite."""
    ci_low: float | None
    """None with one item, and where the interval has no finite end on this side."""
    ci_high: float | None
    win_rate: float
    """Share of its comparisons that it won, ties one half."""
    n: int
    """Comparisons."""
    n_items: int
    is_regularised: bool
    """A level outcome was added to each pair for `strength`, since some methods won or lost everything
    against the rest."""


@dataclass(frozen=True, slots=True)
class _Fit:
    theta: Floats
    errors: Floats
    """Shape (k,), the sandwich's standard errors."""
    design_effects: Floats
    """Shape (k,), the sandwich's variance over the model's own, at least 1."""


def strengths(comparisons: Sequence[Comparison[M]]) -> list[Strength[M]]:
    """Maximum-likelihood strengths θ with P(a beats b) = 1 / (1 + exp(θ_b − θ_a)) and Σθ = 0.

    A tie is half a win and half a loss.

    Bradley & Terry 1952. The outcomes of one of G items are a cluster. Standard errors are the sandwich's,
    A⁻¹ (Σ_g u_g u_gᵀ) A⁻¹ · G/(G − 1), in k − 1 free parameters. The 95% interval holds every value of θ_i
    whose profile likelihood is near enough to the maximum: 2 (l(θ̂) − max_{θ_i = v} l(θ)) ≤ t²(0.975, G − 1)
    · max(1, d_i), with the design effect d_i, the sandwich's variance of θ_i over A⁻¹'s (Rotnitzky & Jewell
    1990). It keeps its coverage near P = 0 and 1, where θ̂ ± t · SE does not. Where many outcomes are ties,
    d_i would be below 1: then the interval is wider than need be.

    A finite maximum needs that no group of methods won everything against the rest (Ford 1957). Where one
    did, an end of the interval is infinite, and half a level comparison is added to each pair that met for a
    finite `strength`, and every row says so.

    Returns:
        A row a method, the strongest first.
    """
    methods = list(dict.fromkeys(name for c in comparisons for name in (c.first, c.second)))
    place = {method: i for i, method in enumerate(methods)}
    wins = np.zeros((len(methods), len(methods)))
    for c in comparisons:
        wins[place[c.first], place[c.second]] += c.won
        wins[place[c.second], place[c.first]] += 1 - c.won
    met = wins + wins.T
    is_linked = bool(_reached(met).all())
    beats = _reached(wins)
    is_regularised = is_linked and not bool(beats.all())
    fit = _fit(comparisons, place, wins + PRIOR / 2 * (met > 0) * is_regularised) if is_linked else None
    items = {method: {c.item for c in comparisons if method in (c.first, c.second)} for method in methods}
    n_clusters = len({c.item for c in comparisons})
    ends = (
        _intervals(wins, beats, fit, n_clusters) if fit and n_clusters > 1 else [(None, None)] * len(methods)
    )
    rows = [
        Strength(
            method=method,
            strength=float(fit.theta[i]) if fit else None,
            standard_error=float(fit.errors[i]) if fit and n_clusters > 1 and not is_regularised else None,
            ci_low=ends[i][0],
            ci_high=ends[i][1],
            win_rate=float(wins[i].sum() / met[i].sum()),
            n=round(float(met[i].sum())),
            n_items=len(items[method]),
            is_regularised=is_regularised,
        )
        for i, method in enumerate(methods)
    ]
    return sorted(
        rows, key=lambda row: (-(row.win_rate if row.strength is None else row.strength), str(row.method))
    )


def _fit(comparisons: Sequence[Comparison[M]], place: dict[M, int], wins: Floats) -> _Fit:
    """Strengths with errors that know of clusters, where the maximum is finite."""
    basis = _sum_zero(len(place), np.arange(len(place)))
    theta = _maximise(wins, np.zeros(len(place)), basis)
    information = _information(wins + wins.T, _win(theta[:, None] - theta[None, :]))
    model = basis @ np.linalg.inv(basis.T @ information @ basis) @ basis.T
    items = {c.item: g for g, c in enumerate({c.item: c for c in comparisons}.values())}
    scores = np.zeros((len(items), len(place)))
    for c in comparisons:
        a, b = place[c.first], place[c.second]
        surprise = c.won - _win(theta[a] - theta[b])
        scores[items[c.item], a] += surprise
        scores[items[c.item], b] -= surprise
    variances = ((scores @ model) ** 2).sum(axis=0) * len(items) / max(1, len(items) - 1)
    return _Fit(theta, np.sqrt(variances), np.maximum(1.0, variances / np.diag(model)))


def _intervals(
    wins: Floats, beats: NDArray[np.bool_], fit: _Fit, n_clusters: int
) -> list[tuple[float | None, float | None]]:
    """Ends of the profile-likelihood interval of each method.

    The upper end of a method is finite exactly where every method reaches it through wins: else those that
    don't can fall without end below all others at no cost. The lower end is finite where it reaches every
    method.
    """
    everyone = np.arange(len(wins))
    # With an infinite maximum the likelihood has a limit, which the last step is near enough to.
    highest = _log_likelihood(wins, _maximise(wins, fit.theta, _sum_zero(len(wins), everyone)))
    allowed = t_quantile(1 - ALPHA / 2, n_clusters - 1) ** 2 * fit.design_effects / 2
    found: list[tuple[float | None, float | None]] = []
    for i in everyone:
        excess = _profile(wins, fit.theta, int(i), highest - float(allowed[i]))
        low = -_root(lambda v, excess=excess: excess(-v), -fit.theta[i]) if beats[i].all() else None
        high = _root(excess, fit.theta[i]) if beats[:, i].all() else None
        found.append((low, high))
    return found


def _profile(wins: Floats, theta: Floats, i: int, least: float) -> Callable[[float], float]:
    """Return the function from a value of θ_i to `least` minus the profile log-likelihood there."""
    others = np.flatnonzero(np.arange(len(wins)) != i)
    basis = _sum_zero(len(wins), others)

    @cache  # both ends of a bracket are asked for again
    def excess(value: float) -> float:
        start = theta - theta[others].mean()
        start = np.where(np.arange(len(wins)) == i, value, start - value / len(others))
        return least - _log_likelihood(wins, _maximise(wins, start, basis))

    return excess


def _root(excess: Callable[[float], float], start: float) -> float:
    """The value above `start` at which an excess that rises from below zero is zero."""
    from scipy.optimize import brentq

    step = 1.0
    while excess(start + step) < 0:
        step *= 2
    low = start
    while excess(low) > 0:  # a regularised start may lie beyond the end
        low -= step
    return float(brentq(excess, low, start + step, xtol=1e-9))


def _maximise(wins: Floats, theta: Floats, basis: Floats) -> Floats:
    """Strengths of the greatest likelihood among θ + basis · β, by Newton's method.

    A step of reach r is cut to log(1 + r), with which each step raises the likelihood: r bounds how far the
    curvature of a logistic likelihood can change on the way (Bach 2010, proposition 1).
    """
    if not basis.shape[1]:
        return theta
    # far out all is certain, and the likelihood has no curvature left
    ridge: Floats = 1e-10 * np.eye(basis.shape[1])
    met = wins + wins.T
    for _ in range(_STEPS):
        expected = _win(theta[:, None] - theta[None, :])
        slope: Floats = basis.T @ (wins - met * expected).sum(axis=1)
        step = np.linalg.solve(basis.T @ _information(met, expected) @ basis + ridge, slope)
        if slope @ step < 2 * _ENOUGH:
            break
        move: Floats = basis @ step
        r = float(move.max() - move.min())
        theta = theta + move * float(np.log1p(r)) / r
    return theta


def _information(met: Floats, expected: Floats) -> Floats:
    """The negative Hessian of the likelihood, shape (k, k): zero along the vector of ones."""
    weights = met * expected * (1 - expected)
    return np.diag(weights.sum(axis=1)) - weights


def _log_likelihood(wins: Floats, theta: Floats) -> float:
    return -float((wins * np.logaddexp(0, theta[None, :] - theta[:, None])).sum())


def _win(ahead: Floats) -> Floats:
    """Probability of winning against a method whose strength is so much less."""
    # beyond that exp overflows and the share is 0; `np.clip` takes longer than all else here
    return 1 / (1 + np.exp(-np.minimum(np.maximum(ahead, -700), 700)))


def _sum_zero(n: int, free: NDArray[np.intp]) -> Floats:
    """Columns that span the changes of the `free` ones of n strengths which leave their sum as it is.

    Shape (n, len(free) − 1).
    """
    basis = np.zeros((n, len(free) - 1))
    basis[free[:-1], np.arange(len(free) - 1)] = 1
    basis[free[-1]] = -1
    return basis


def _reached(links: Floats) -> NDArray[np.bool_]:
    """Reachability of methods along non-zero links, each from itself too, shape (k, k)."""
    reached = (links > 0) | np.eye(len(links), dtype=np.bool_)
    for i in range(len(links)):
        reached |= reached[:, i : i + 1] & reached[i : i + 1]
    return reached
