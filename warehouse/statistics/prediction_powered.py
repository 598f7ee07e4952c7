"""Prediction-powered inference: a model judge's contrast corrected by people's labels of random items."""

from dataclasses import dataclass
from math import hypot

import numpy as np

from warehouse.statistics.contrast import PairedTest
from warehouse.statistics.corrections import ALPHA
from warehouse.statistics.estimates import Floats
from warehouse.statistics.intervals import Interval

FEWEST_LABELLED = 50
"""Items labelled on both sides of a contrast, in one language."""


@dataclass(frozen=True, slots=True)
class Corrected:
    """The mean difference as people would score it, on the scale of their scores."""

    estimate: float
    interval: Interval
    """At 95%."""
    weight: float
    """λ, from 0 (the judge says nothing of people's differences) to 1."""


def corrected_by_people(labelled: Floats, judged: Floats, judged_alone: Floats, width: float) -> Corrected:
    """Prediction-powered mean of people's paired differences, one an item (Angelopoulos et al. 2023, PPI++).

    θ = λ f̄ + mean(h − λ f), with f̄ the judge's mean over all N items and the second mean over the n that
    people labelled: h is their difference, f the judge's. λ = cov(h, f) / var f, between 0 and 1, has the
    least variance, and θ is then the regression estimator of double sampling (Cochran 1977, 12.6).

    With λ' = λ (1 − n/N) it is λ' mean(f of the N − n others) + mean(h − λ' f), a sum of two independent
    means. Each has the interval of `PairedTest`; they are put together from the distances of their ends (Zou
    & Donner 2008).

    Args:
        labelled: shape (n,), people's differences, n ≥ 2.
        judged: shape (n,), the judge's on the same items.
        judged_alone: shape (N − n,), the judge's on the items that people did not label.
        width: the largest difference that the scale allows.
    """
    weight = _weight(labelled, judged)
    n_alone = len(judged_alone)
    share = weight * n_alone / (len(labelled) + n_alone) if n_alone > 1 else 0.0
    rest = labelled - share * judged
    parts = [(float(rest.mean()), interval_of_mean(rest, (1 + share) * width))]
    if share:
        low, high = interval_of_mean(judged_alone, width)
        parts.append((share * float(judged_alone.mean()), (share * low, share * high)))
    estimate = sum(mean for mean, _ in parts)
    below = hypot(*(mean - low for mean, (low, _) in parts))
    above = hypot(*(high - mean for mean, (_, high) in parts))
    return Corrected(estimate, (estimate - below, estimate + above), weight)


def interval_of_mean(differences: Floats, width: float) -> Interval:
    """Return the 95% interval of the mean of two differences and more that are at most `width`."""
    interval = PairedTest(differences, width).interval(ALPHA)
    assert interval is not None, "on a scale with bounds there is one"
    return interval


def _weight(labelled: Floats, judged: Floats) -> float:
    covariance = np.cov(labelled, judged)
    return float(np.clip(covariance[0, 1] / covariance[1, 1], 0, 1)) if covariance[1, 1] > 1e-12 else 0.0
