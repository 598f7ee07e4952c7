"""Intervals inside their scale and never empty, of a mean and of a mean of paired differences."""

from math import exp, sqrt
from typing import TypeAlias

import numpy as np

from warehouse.statistics.estimates import Floats, t_quantile
from warehouse.statistics.sign_flips import SignFlips

Interval: TypeAlias = tuple[float, float]

_WIDEST = 50.0
"""Largest half-width of a mean size's logarithm: two items at a strict level would overflow a double."""


def bounded_interval(
    share: float, variance: float, n: int, alpha: float, df: float | None = None
) -> Interval:
    """Wilson's (1927) score interval of a mean on the scale [0, 1], for an effective number of items.

    For right/wrong scores, whose variance is that of a share, it is Wilson's own. Else p(1 − p) / variance
    items would give a share the same variance (Kish 1965), fewer for the variance being an estimate: × (z /
    t)² (Korn & Graubard 1998). Where all scores are equal the number of items says how far the mean can lie
    from them. The macros `bounded_low` and `bounded_high` are the same in SQL.

    Args:
        share: the mean, in [0, 1].
        variance: of the mean, as estimated.
        n: items, n ≥ 1.
        alpha: 1 minus the confidence.
        df: degrees of freedom of the variance; n − 1 without it.
    """
    z2 = t_quantile(1 - alpha / 2, float("inf")) ** 2
    most = share * (1 - share)
    df = n - 1 if df is None else df
    if variance <= 1e-15 or most <= 1e-15 or (df == n - 1 and abs(variance * df - most) < 1e-9):
        effective = float(n)
    else:
        effective = most / variance * z2 / t_quantile(1 - alpha / 2, df) ** 2
    centre = (share + z2 / (2 * effective)) / (1 + z2 / effective)
    half = sqrt(z2 * (most / effective + z2 / (4 * effective**2))) / (1 + z2 / effective)
    return max(0.0, centre - half), min(1.0, centre + half)


def paired_interval(
    differences: Floats, flips: SignFlips, alpha: float, width: float | None
) -> Interval | None:
    """Interval of a mean paired difference that excludes zero exactly where the sign-flip p-value is < alpha.

    The mean is s · A, with A the mean of |dᵢ| over all items and s = Σdᵢ / Σ|dᵢ| the balance of signs. The
    interval of s inverts the sign-flip test (`SignFlips.balance`), that of A is `bounded_interval`'s, and
    both are put together from the distances of their ends (Newcombe 1998, method 10; Zou & Donner 2008),
    those of a product: with the term (A − A_low)²(s − s_low)², by which the end is zero exactly where s_low
    is. To first order its variance is that of the mean of the dᵢ, whatever signs and sizes have to do with
    each other, as A² var(s) + s² var(A) = (E d² − (E d)²) / n. For right/wrong scores A is the share of
    discordant pairs.

    Args:
        differences: shape (n,), one an item.
        flips: theirs.
        alpha: 1 minus the confidence.
        width: the largest difference that the scale allows; None where scores have no bounds.

    Returns:
        None where it can't be estimated: one item, or no difference on a scale without bounds.
    """
    n = len(differences)
    if n < 2:
        return None
    sizes = np.abs(differences)
    size = float(sizes.mean())
    ends = _size_interval(sizes, alpha, width)
    if ends is None:
        return None
    if size == 0:
        return -ends[1], ends[1]
    balance = float(differences.mean()) / size
    low, high = flips.balance(alpha)
    return _lower(size, ends, balance, low), -_lower(size, ends, -balance, -high)


def _size_interval(sizes: Floats, alpha: float, width: float | None) -> Interval | None:
    mean, n = float(sizes.mean()), len(sizes)
    variance = float(sizes.var(ddof=1)) / n
    if width is not None:
        low, high = bounded_interval(min(1.0, mean / width), variance / width**2, n, alpha)
        return low * width, high * width
    if mean == 0:
        return None
    reach = exp(min(_WIDEST, t_quantile(1 - alpha / 2, n - 1) * sqrt(variance) / mean))
    return mean / reach, mean * reach


def _lower(size: float, ends: Interval, balance: float, low: float) -> float:
    """Lower end of size · balance; the upper one is the mirrored lower one."""
    to_balance = size * (balance - low)
    if low < 0:
        return size * balance - sqrt(to_balance**2 + ((ends[1] - size) * low) ** 2)
    inward = size - ends[0]
    return size * balance - sqrt(
        max(0.0, to_balance**2 + (balance * inward) ** 2 - (inward * (balance - low)) ** 2)
    )
