"""Corrections for multiple testing: Holm (declared tests), Benjamini–Hochberg or –Yekutieli (exploratory)."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

ALPHA = 0.05
"""Level of every test; intervals have confidence 1 − ALPHA."""

Correction = Literal["holm", "e_holm", "benjamini_hochberg", "benjamini_yekutieli"]


@dataclass(frozen=True, slots=True)
class Corrected:
    """One test among several."""

    p_value: float
    """Corrected; significant below `ALPHA`."""
    alpha: float
    """Its interval has confidence 1 − alpha. Holm's hold at once with at least 1 − ALPHA: where one leaves
    zero out the test is significant, elsewhere it may be. The others leave zero out exactly where it is."""


def correct(p_values: Sequence[float], correction: Correction) -> list[Corrected]:
    """Correct p-values, each ≥ 0, of all tests of one family.

    - `holm` (Holm 1979): the chance that any true null is rejected stays at most ALPHA, whatever the tests
      have in common. The i-th smallest of m is tested at ALPHA / (m − i + 1). Intervals at these levels would
      not hold at once: each is at Bonferroni's ALPHA / m.
    - `e_holm`: the same of p-values that are 1 / e-value.
    - `benjamini_hochberg` (1995): of the rejected, the expected share of true nulls stays at most ALPHA, for
      independent or positively dependent tests; all are tested at R · ALPHA / m, R being rejected, and the
      intervals at that level are the false coverage rate's (Benjamini & Yekutieli 2005).
    - `benjamini_yekutieli` (2001): the same under any dependence, with m · Σ 1/i in the place of m.
    """
    m = len(p_values)
    order = sorted(range(m), key=lambda i: p_values[i])
    corrected = [0.0] * m
    if correction in ("holm", "e_holm"):
        highest = 0.0
        for rank, i in enumerate(order):
            highest = corrected[i] = max(highest, min(1.0, (m - rank) * p_values[i]))
        return [Corrected(p, ALPHA / m) for p in corrected]
    tests = m * _harmonic(m) if correction == "benjamini_yekutieli" else float(m)
    lowest = 1.0
    for rank, i in reversed(list(enumerate(order, 1))):
        lowest = corrected[i] = min(lowest, p_values[i] * tests / rank)
    n_rejected = sum(p < ALPHA for p in corrected)
    return [Corrected(p, ALPHA * max(1, n_rejected) / tests) for p in corrected]


def smallest_corrected(p_value: float, n_tests: int, correction: Correction) -> float:
    """Return the smallest corrected p-value of a family whose tests cannot go below `p_value`."""
    return min(1.0, correct([p_value] * n_tests, correction)[0].p_value) if n_tests else 1.0


def exploratory(arms: Iterable[tuple[str, str]]) -> Correction:
    """Return the correction of a family of exploratory contrasts, each with its two methods.

    Tests that share a method are dependent.
    """
    both = [method for pair in arms for method in pair]
    return "benjamini_yekutieli" if len(set(both)) < len(both) else "benjamini_hochberg"


def arms_of(of: str, against: str, method: str | None) -> tuple[str, str]:
    """Return a contrast's arms by which others share one: its methods. One between models has a `method`,
    which it shares with whatever else is compared of that method."""
    return (of, against) if method is None else (method, f"{method} of {against}")


def _harmonic(m: int) -> float:
    return sum(1 / i for i in range(1, m + 1))
