"""Tests that assume no distribution, and the correction for making several."""

from collections.abc import Hashable, Sequence

import numpy as np
from numpy.typing import NDArray

from warehouse.statistics.estimates import Floats, number_of_each

EXACT_UP_TO = 14
"""Clusters for which all 2ⁿ sign flips are counted."""

DRAWS = 10_000
"""Sign flips drawn for more clusters than that."""

_AT_ONCE = 2**22
"""Signs held in memory at once."""


def sign_flip_p(differences: Floats, clusters: Sequence[Hashable], seed: int = 0) -> float | None:
    """Two-sided p-value of a mean paired difference: how often flipping the signs of whole clusters makes one at least as large.

    Under the null of no difference a cluster's differences are as likely as their opposites (Fisher 1935). A cluster is flipped as one, so
    what counts is its sum, and clusters need not be of one size. Clusters that sum to zero change nothing and are left out. All flips are counted
    for up to 14 clusters; for more, 10,000 are drawn and p = (1 + hits) / (1 + draws), which is never zero (Phipson & Smyth 2010). Sums
    that are equal but for rounding count as equal.

    Args:
        differences: shape (n,), no NaN.
        clusters: n cluster names.
        seed: of the draws.

    Returns:
        None with fewer than two clusters, which no flip tells anything of; 1.0 where no cluster differs.
    """
    if len(set(clusters)) < 2:
        return None
    sums = np.bincount(number_of_each(clusters), weights=differences)
    scale = float(np.abs(sums).max())
    if scale == 0:
        return 1.0
    sums = sums[np.abs(sums) > 1e-12 * scale] / scale
    least = abs(float(sums.sum())) - 1e-9
    if len(sums) <= EXACT_UP_TO:
        # The first sign is held: flipping all of them gives the same absolute sum.
        flips = np.arange(2 ** (len(sums) - 1), dtype=np.int64)
        signs = np.array([(flips >> i) & 1 for i in range(len(sums) - 1)], dtype=np.float64).reshape(len(sums) - 1, len(flips))
        return _share(np.abs(sums.sum() - 2 * sums[1:] @ signs) >= least)
    return (1 + _hits(sums, least, seed)) / (1 + DRAWS)


def _share(found: NDArray[np.bool_]) -> float:
    return np.count_nonzero(found) / len(found)


def _hits(sums: Floats, least: float, seed: int) -> int:
    random = np.random.default_rng(seed)
    total, hits, left = float(sums.sum()), 0, DRAWS
    rows = max(1, _AT_ONCE // len(sums))
    columns, parts = np.arange(-(-len(sums) // 8)), _sums_of_eight(sums)
    while left > 0:
        draws = min(rows, left)
        bits = np.unpackbits(np.frombuffer(random.bytes(-(-draws * len(sums) // 8)), dtype=np.uint8), count=draws * len(sums))
        eights = np.packbits(bits.reshape(draws, len(sums)), axis=1)
        flipped = total - 2 * parts[columns, eights].sum(axis=1)
        hits += int(np.count_nonzero(np.abs(flipped) >= least))
        left -= draws
    return hits


def _sums_of_eight(sums: Floats) -> Floats:
    """Shape (⌈n / 8⌉, 256): of each eight values the sum of those that a byte's bits pick, so that a draw is added up by bytes, not by bits."""
    eights = np.pad(sums, (0, -len(sums) % 8)).reshape(-1, 8)
    bits = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1).astype(np.float64)
    return eights @ bits.T


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values corrected for making all of these tests (Holm 1979): the i-th smallest of m times m − i + 1, never below one before it, at most 1.

    The chance that any true null among them is rejected at level α stays at most α, whatever the tests have in common.
    """
    adjusted = [0.0] * len(p_values)
    highest = 0.0
    for rank, i in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[i]))
        adjusted[i] = highest
    return adjusted
