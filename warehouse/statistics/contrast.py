"""One contrast on one measure: its test and the interval that inverts it, at any level."""

from functools import cached_property
from math import inf

from warehouse.statistics.estimates import Estimate, Floats
from warehouse.statistics.intervals import Interval, paired_interval
from warehouse.statistics.sign_flips import SignFlips


class PairedTest:
    """Sign-flip test of the mean of paired differences, over items and, with several seeds, over seeds too.

    A difference between trained models counts only where it outlives both questions, other items and other
    training runs: the p-value is the larger one, the interval holds both. Zero is outside the interval at
    confidence 1 − alpha exactly where the p-value is below alpha.
    """

    def __init__(self, differences: Floats, width: float | None, over_seeds: Estimate | None = None) -> None:
        """Take what is tested.

        Args:
            differences: shape (n,), one an item, seeds averaged, no NaN.
            width: the largest difference that the scale allows; None without bounds.
            over_seeds: `seeds.with_seeds`, where there are several.
        """
        self._differences, self._width, self._over_seeds = differences, width, over_seeds
        self._flips = SignFlips(differences)

    @cached_property
    def p_value(self) -> float | None:
        """Two-sided p-value of no difference; None below two items, or where no interval can be given."""
        if len(self._differences) < 2 or (self._width is None and not self._flips.n):
            return None
        if self._over_seeds is None:
            return self._flips.p_value
        return max(self._flips.p_value, self._over_seeds.p_value or 0.0)

    @property
    def standard_error(self) -> float | None:
        """Standard error of the mean: over items, or over items and seeds; None below two items."""
        if self._over_seeds is not None:
            return self._over_seeds.standard_error
        n = len(self._differences)
        return float(self._differences.std(ddof=1)) / n**0.5 if n > 1 else None

    def interval(self, alpha: float) -> Interval | None:
        """The interval at confidence 1 − alpha; None where it can't be estimated (`paired_interval`)."""
        found = paired_interval(self._differences, self._flips, alpha, self._width)
        if found is None or not self._over_seeds or not self._over_seeds.standard_error:
            return found
        low, high = self._over_seeds.t_interval(alpha)
        most = inf if self._width is None else self._width
        return max(-most, min(found[0], low)), min(most, max(found[1], high))
