"""Gap between languages: a contrast in one minus the same contrast in another (difference of differences)."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from math import inf

import numpy as np

from warehouse.statistics.contrast import PairedTest
from warehouse.statistics.estimates import Estimate, Floats, mean_of
from warehouse.statistics.intervals import Interval


@dataclass(frozen=True)
class Gap:
    """A contrast in one language minus the same contrast in another."""

    samples: tuple[Floats] | tuple[Floats, Floats]
    """One value an item: differences of the two languages' differences, or the differences of each
    language."""
    width: float | None
    """Largest gap that the scale allows."""
    over_seeds: Estimate | None = None
    """With its error over items and training seeds, where there are several."""

    @property
    def estimate(self) -> float:
        return self.over_items.value

    @property
    def n(self) -> int:
        """Items paired across the languages; where they are not the same, the fewer of the two."""
        return min(len(sample) for sample in self.samples)

    @property
    def is_paired(self) -> bool:
        return len(self.samples) == 1

    @cached_property
    def over_items(self) -> Estimate:
        """Estimate with its standard error over items alone."""
        return mean_of(self.samples[0]) if len(self.samples) == 1 else _welch(*self.samples)

    @cached_property
    def test(self) -> "PairedTest | StudentTest":
        if len(self.samples) == 1:
            return PairedTest(self.samples[0], self.width, self.over_seeds)
        return StudentTest(self.over_seeds or self.over_items, self.width)


def language_gap(
    here: Mapping[str, float], there: Mapping[str, float], parallel: bool, width: float | None
) -> Gap | None:
    """Return the mean paired difference between two methods in one language minus that in another.

    A raw mean across languages would take a judge that is stricter in one of them for a worse method; here
    strictness that is the same for both methods cancels. Where items are the same in both languages, an item
    is a cluster: the gap is the mean over items of the difference of its two differences, tested like any
    paired difference. Otherwise the two samples are independent: Welch's interval and test.

    Args:
        here: item -> difference between the methods, in the one language.
        there: the same in the other.
        parallel: whether equal item names are the same item.
        width: the largest difference between the methods that the scale allows; None without bounds.

    Returns:
        None where no item is there to compare.
    """
    most = None if width is None else 2 * width
    if parallel:
        items = sorted(here.keys() & there.keys())
        return Gap((np.array([here[item] - there[item] for item in items]),), most) if items else None
    if not here or not there:
        return None
    one, other = (np.array([side[item] for item in sorted(side)]) for side in (here, there))
    return Gap((one, other), most)


class StudentTest:
    """Student's t test of an estimate, as of the difference of two independent means (Welch 1947).

    The interval is cut at the scale's ends.
    """

    def __init__(self, estimate: Estimate, width: float | None) -> None:
        """Take the estimate and the largest one that the scale allows; None without bounds."""
        self._estimate, self._width = estimate, width

    @property
    def p_value(self) -> float | None:
        """Two-sided p-value; None without a standard error."""
        return self._estimate.p_value

    @property
    def standard_error(self) -> float | None:
        """Standard error of the estimate."""
        return self._estimate.standard_error

    def interval(self, alpha: float) -> Interval | None:
        """The interval at confidence 1 − alpha; None without a standard error."""
        if not self._estimate.standard_error:
            return None
        return self._estimate.t_interval(alpha, most=inf if self._width is None else self._width)


def _welch(here: Floats, there: Floats) -> Estimate:
    value = float(here.mean() - there.mean())
    if min(len(here), len(there)) < 2:
        return Estimate(value, None, 0)
    a, b = float(here.var(ddof=1)) / len(here), float(there.var(ddof=1)) / len(there)
    if a + b == 0:
        return Estimate(value, 0.0, len(here) + len(there) - 2)
    df = (a + b) ** 2 / (a**2 / (len(here) - 1) + b**2 / (len(there) - 1))
    return Estimate(value, (a + b) ** 0.5, df)
