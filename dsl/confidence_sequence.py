"""Anytime-valid inference on a mean: confidence sequence and e-value by betting.

The hedged capital process of Waudby-Smith & Ramdas (2024), "Estimating means of bounded random variables by
betting", JRSS B 86:1–27 (arXiv 2010.09686), with predictable plug-in bets. Two gamblers start with half of a
unit each. One bets that the mean is above m, one that it is below; if it is m, neither expects to gain, and
by Ville's inequality the chance that one of them ever holds 1/α is at most α. This holds at any number of
observations, chosen in whatever way by those before.

NumPy is imported inside functions, so that a plan is made without it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

ALPHA = 0.05
"""Level that the bets are made for. An interval at any other level is valid too, and a little wider than it
could be."""
_MOST = 0.5
"""Share of its capital that a gambler may lose in one bet (`c` in the paper)."""
_ROUNDING = 1e-9
"""Share of the width by which rounding may put a value out of bounds."""
_STEPS = 60
"""Halvings that find a limit of an interval: to the last bit of a double."""


class ConfidenceSequence:
    """Confidence sequence of a mean, by observations in the order in which they were made.

    A mean is outside the interval at confidence 1 − α exactly where its e-value is at least 1/α.
    """

    def __init__(self, values: Sequence[float] | Floats, low: float, high: float) -> None:
        """Take the observations.

        Args:
            values: shape (n,), in their order, all between `low` and `high` but for rounding.
            low: the smallest value that is possible.
            high: the largest.

        Raises:
            ValueError: a value is out of bounds.
        """
        import numpy as np

        found = np.asarray(values, dtype=np.float64)
        self._low, self._width = low, high - low
        shares: Floats = (found - low) / self._width
        self._x: Floats = np.clip(shares, 0, 1)
        if not np.all(np.abs(shares - self._x) <= _ROUNDING):
            raise ValueError(f"values from {found.min():g} to {found.max():g} leave the bounds {low}, {high}")

    def __len__(self) -> int:
        return len(self._x)

    def e_values(self, mean: float) -> Floats:
        """Return the e-value against a mean after each observation, shape (n,)."""
        import numpy as np

        m = (mean - self._low) / self._width
        return np.exp(np.minimum(np.maximum(self._log_above(m), self._log_below(m)), 700.0)) / 2

    def e_value(self, mean: float) -> float:
        """Return the e-value against a mean after the last observation; 1 says nothing."""
        return float(self.e_values(mean)[-1]) if len(self) else 1.0

    def p_value(self, mean: float) -> float:
        """Return the anytime-valid p-value of a mean, 1 / e-value."""
        return min(1.0, 1 / max(self.e_value(mean), 1.0))

    def interval(self, alpha: float = ALPHA) -> tuple[float, float]:
        """Return the interval at confidence 1 − alpha; the bounds of the values where nothing is known."""
        import numpy as np

        if not len(self):
            return self._low, self._low + self._width
        most, centre = float(np.log(2 / alpha)), float(self._x.mean())
        # the one's capital falls with m, the other's rises
        below = _edge(lambda m: float(self._log_above(m)[-1]) >= most, 0.0, centre)
        above = _edge(lambda m: float(self._log_below(m)[-1]) >= most, 1.0, centre)
        return self._low + self._width * below, self._low + self._width * above

    def _log_above(self, m: float) -> Floats:
        """Logarithm of the capital, from 1, of bets that the mean is above m."""
        import numpy as np

        bets = np.minimum(self._bets, _MOST / m) if m > 0 else self._bets
        return np.cumsum(np.log1p(bets * (self._x - m)))

    def _log_below(self, m: float) -> Floats:
        import numpy as np

        bets = np.minimum(self._bets, _MOST / (1 - m)) if m < 1 else self._bets
        return np.cumsum(np.log1p(-bets * (self._x - m)))

    @cached_property
    def _bets(self) -> Floats:
        """Predictable plug-in bets, each by the observations before it."""
        import numpy as np

        n = len(self)
        t = np.arange(1, n + 1)
        means = (0.5 + np.cumsum(self._x)) / (t + 1)
        variances = (0.25 + np.cumsum((self._x - means) ** 2)) / (t + 1)
        before = np.concatenate([[0.25], variances[:-1]])
        return np.sqrt(2 * np.log(2 / ALPHA) / (before * t * np.log1p(t)))


def _edge(is_out: Callable[[float], bool], outer: float, centre: float) -> float:
    """Find the limit between `outer`, where means may be out, and `centre` by bisection."""
    if not is_out(outer):
        return outer
    inner = centre
    for _ in range(_STEPS):
        middle = (outer + inner) / 2
        outer, inner = (middle, inner) if is_out(middle) else (outer, middle)
    return outer
