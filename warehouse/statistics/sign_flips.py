"""Sign-flip permutation test of paired differences, without draws.

Its p-value has no floor, and its inversion bounds the sign balance.
"""

# scipy has no types
# pyright: reportArgumentType=false, reportMissingTypeStubs=false
# pyright: reportUnknownArgumentType=false, reportUnknownVariableType=false

from collections.abc import Callable
from functools import cached_property
from math import comb, exp, isfinite, lgamma, log, sqrt

import numpy as np
from numpy.typing import NDArray

from warehouse.statistics.estimates import Floats

ENUMERATED_UP_TO = 24
"""Differences whose flips are all counted, 2ⁿ of them, by meeting in the middle."""

LATTICE_UP_TO = 8
"""Different magnitudes, multiples of one unit, whose sums are counted by convolution for any number of
differences."""

_LARGEST_MULTIPLE = 60


class SignFlips:
    """Distribution of T = Σ εᵢ

    dᵢ| over independent signs ε that are + with probability π.|With its tails beyond the observed sum.

    At π = ½ it is the sign-flip test of no difference (Fisher 1935). Differences of zero say nothing of a
    sign and are left out; sums that are equal but for rounding count as equal. Exact where all magnitudes are
    equal (a binomial), where they are few multiples of one unit (convolution) and up to 24 differences
    (enumeration); for more, Lugannani & Rice's (1980) saddlepoint tail in Barndorff-Nielsen's form.
    """

    def __init__(self, differences: Floats) -> None:
        """Take differences, shape (n,), no NaN."""
        scale = float(np.abs(differences).max(initial=0.0))
        kept = differences[np.abs(differences) > 1e-12 * scale] / (scale or 1.0)
        self._signs, self._sizes = np.sign(kept), np.abs(kept)
        self.n = len(kept)
        """Differences that are not zero."""

    @property
    def p_value(self) -> float:
        """Two-sided p-value of no difference; 1 where no item differs."""
        return min(1.0, 2 * min(self._tail(self._signs)(0.5), self._tail(-self._signs)(0.5)))

    def balance(self, alpha: float) -> tuple[float, float]:
        """Bounds of 2π − 1 at confidence 1 − alpha: the balances that neither tail, alpha / 2 each, rejects.

        Zero lies outside exactly where `p_value` < alpha. For magnitudes that are all equal they are Clopper
        and Pearson's (1934).
        """
        return -self._upper(-self._signs, alpha), self._upper(self._signs, alpha)

    def _upper(self, signs: Floats, alpha: float) -> float:
        # all of one sign, but for rounding
        if not self.n or float(self._sizes[signs < 0].sum()) <= 1e-9 * self.n:
            return 1.0
        if self._is_binomial:
            from scipy.special import betaincinv

            k = int((signs > 0).sum())
            return 2 * float(betaincinv(k + 1, self.n - k, 1 - alpha / 2)) - 1
        from scipy.optimize import brentq

        below = self._tail(-signs)  # P(T ≤ t) at π is that of the mirrored sum at 1 − π

        def excess(logit: float) -> float:
            return log(max(below(1 / (1 + exp(logit))), 1e-300)) - log(alpha / 2)

        logit = float(brentq(excess, -40.0, 40.0, xtol=1e-6))
        return 2 / (1 + exp(-logit)) - 1

    def _tail(self, signs: Floats) -> Callable[[float], float]:
        """π -> P(T ≥ t) for the sum t that these signs give."""
        n, positive = self.n, int((signs > 0).sum())
        if not n:
            return lambda pi: 1.0
        if positive == n:
            return lambda pi: pi**n
        if self._is_binomial:
            from scipy.special import betainc

            return lambda pi: float(betainc(positive, n - positive + 1, pi)) if positive else 1.0
        least = float(signs @ self._sizes) - 1e-9 * n
        if n <= ENUMERATED_UP_TO:
            return self._enumerated(least)
        if self._lattice is not None:
            return self._convolved(signs)
        return self._saddlepoint(least)

    @cached_property
    def _is_binomial(self) -> bool:
        return self.n > 0 and float(np.ptp(self._sizes)) <= 1e-9

    @cached_property
    def _lattice(self) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]] | None:
        """Return each magnitude as a multiple of one unit, the different multiples and their counts.

        None where there is no such unit.
        """
        if len(np.unique(np.round(self._sizes, 9))) > LATTICE_UP_TO:
            return None
        for parts in range(1, _LARGEST_MULTIPLE + 1):
            multiples = np.rint(self._sizes * parts)
            if float(np.abs(self._sizes * parts - multiples).max()) < 1e-7 * parts:
                whole = multiples.astype(np.int64)
                return whole, *np.unique(whole, return_counts=True)
        return None

    def _convolved(self, signs: Floats) -> Callable[[float], float]:
        assert self._lattice is not None
        whole, sizes, counts = self._lattice
        reach = int(sizes @ counts)
        t = int(signs.astype(np.int64) @ whole)
        binomials = [
            np.array([lgamma(n + 1) - lgamma(k + 1) - lgamma(n - k + 1) for k in range(n + 1)])
            for n in counts.tolist()
        ]

        def tail(pi: float) -> float:
            if not 0 < pi < 1:
                return float(pi >= 1)
            found = np.ones(1)
            for size, n, logs in zip(sizes.tolist(), counts.tolist(), binomials, strict=True):
                k: Floats = np.arange(n + 1, dtype=np.float64)
                spread = np.zeros(size * n + 1)
                spread[::size] = np.exp(logs + k * log(pi) + (n - k) * log(1 - pi))
                found = np.convolve(found, spread)
            # place j of the sum of positive sizes is T = 2j − reach
            return float(found[(t + reach) // 2 :].sum())

        return tail

    def _enumerated(self, least: float) -> Callable[[float], float]:
        halves = [_sums_by_positives(half) for half in np.array_split(self._sizes, 2)]
        n_at_least = [0] * (self.n + 1)
        for i, ours in enumerate(halves[0]):
            for j, theirs in enumerate(halves[1]):
                n_at_least[i + j] += int((len(theirs) - np.searchsorted(theirs, least - ours)).sum())
        counts = np.array(n_at_least, dtype=np.float64)
        k: Floats = np.arange(self.n + 1, dtype=np.float64)

        return lambda pi: float(counts @ (pi**k * (1 - pi) ** (self.n - k)))

    def _saddlepoint(self, t: float) -> Callable[[float], float]:
        from scipy.special import log_ndtr

        a, squares = self._sizes, self._sizes**2
        total = float(a.sum())
        n_needed = int((2 * a > total - t).sum())
        n_enough = int((2 * a >= total + t).sum())

        def any_of(n: int, pi: float) -> float:
            return -float(np.expm1(n * np.log1p(-pi)))

        def tail(pi: float) -> float:
            if t <= -total:
                return 1.0
            if not 0 < pi < 1:
                return float(pi >= 1)
            # Near the ends single signs decide, and bound what the approximation gives: large ones that all
            # have to be positive for the sum to reach t, or of which one suffices.
            least, most = max(pi**self.n, any_of(n_enough, pi)), min(pi**n_needed, any_of(self.n, pi))
            return min(max(approximate(pi), least), most)

        def approximate(pi: float) -> float:
            half = log(pi / (1 - pi)) / 2  # tilting by u turns it into half + u·a
            if t >= total:
                return pi**self.n
            u = 0.0
            low, high = -np.inf, np.inf
            for _ in range(100):
                turned = np.tanh(half + u * a)
                miss = float(a @ turned) - t
                low, high = (u, high) if miss < 0 else (low, u)
                step = -miss / max(float(squares @ (1 - turned**2)), 1e-300)
                u_next = u + max(-5.0, min(5.0, step))
                if not low < u_next < high:
                    u_next = (low + high) / 2 if isfinite(low + high) else u + max(-5.0, min(5.0, step))
                if abs(u_next - u) < 1e-10 * (1 + abs(u)):
                    break
                u = u_next
            turned = np.tanh(half + u * a)
            variance = float(squares @ (1 - turned**2))
            if abs(u) * sqrt(variance) < 1e-3:
                mean = float(a @ np.full_like(a, np.tanh(half)))
                # 1 − tanh², which would be rounded to zero near the ends
                variance = 4 * pi * (1 - pi) * float(a @ a)
                return float(np.exp(log_ndtr(-(t - mean) / sqrt(variance))))
            generating = float(np.sum(np.logaddexp(half + u * a, -half - u * a) - np.logaddexp(half, -half)))
            w = np.sign(u) * sqrt(max(2 * (u * t - generating), 1e-300))
            return float(np.exp(log_ndtr(-(w + log(u * sqrt(variance) / w) / w))))

        return tail


def _sums_by_positives(sizes: Floats) -> list[Floats]:
    """Sums of all sign choices, sorted, by the number of positive signs, 0 to len(sizes)."""
    m = len(sizes)
    choices = np.arange(2**m, dtype=np.int64)
    bits = (choices[:, None] >> np.arange(m)) & 1
    sums, positives = (2 * bits - 1) @ sizes, bits.sum(axis=1)
    found = [np.sort(sums[positives == k]) for k in range(m + 1)]
    assert len(found[m // 2]) == comb(m, m // 2)
    return found
