"""Contrasts whose number of items was decided by what was found: confidence sequences for intervals."""

from functools import cache, cached_property

import duckdb
import numpy as np

from dsl.confidence_sequence import ConfidenceSequence
from dsl.data.random_order import in_random_order
from warehouse.statistics.contrast import PairedTest
from warehouse.statistics.estimates import Estimate
from warehouse.statistics.intervals import Interval
from warehouse.statistics.pairs import Columns, keep, scale_width

STOPPED = "asking stopped by what was found"
"""Reason why there is no interval that is made for a fixed number of items."""


class SequentialTest:
    """E-value of no difference, its p-value and the confidence sequence, valid at any number of items.

    In the place of `PairedTest` where asking stopped. Zero is outside the confidence sequence at 1 − alpha
    exactly where the p-value, 1 / e-value, is at most alpha.
    """

    standard_error = None
    """A confidence sequence is not made of one."""

    def __init__(self, rows: Columns, seed: int) -> None:
        """Take the items with a score on both sides, and the seed of the order in which they were asked."""
        self._rows, self._seed, self._width = rows, seed, scale_width(rows)

    @cached_property
    def _sequence(self) -> ConfidenceSequence | None:
        """None without a scale, or where a score is out of it: bets need bounds."""
        if self._width is None:
            return None
        by_item = dict(zip(self._rows["item"].tolist(), self._rows["difference"].tolist(), strict=True))
        ordered = in_random_order(by_item, str, self._seed)
        try:
            return ConfidenceSequence([by_item[item] for item in ordered], -self._width, self._width)
        except ValueError:
            return None

    @property
    def e_value(self) -> float | None:
        return None if self._sequence is None else self._sequence.e_value(0.0)

    @property
    def p_value(self) -> float | None:
        return None if self._sequence is None else self._sequence.p_value(0.0)

    def interval(self, alpha: float) -> Interval | None:
        """The confidence sequence after the last item; None without bounds."""
        return None if self._sequence is None else self._sequence.interval(alpha)


def paired_test(
    columns: Columns, seed: int | None, over_seeds: Estimate | None
) -> PairedTest | SequentialTest:
    """Return the test of a contrast in one place, from its pairs; those without a difference are left out.

    Args:
        seed: of the order of the items, where asking stopped; None where all were asked.
        over_seeds: as of `PairedTest`.
    """
    scored = keep(columns, ~np.isnan(columns["difference"]))
    if seed is not None:
        return SequentialTest(scored, seed)
    return PairedTest(scored["difference"], scale_width(columns), over_seeds)


@cache
def smallest_sequential_p_value(n: int) -> float:
    """Return the smallest p-value of n items: that of differences as large as the scale allows."""
    return ConfidenceSequence(np.ones(n), -1.0, 1.0).p_value(0.0)


def stopping_seeds(connection: duckdb.DuckDBPyConnection, experiment: str) -> dict[str, int]:
    """Return contrast -> seed of the order of its items, of those on cells whose asking stopped."""
    return dict(
        connection.execute(
            "select contrast, stopping_seed from contrasts"
            " where experiment = ? and stopping_seed is not null",
            [experiment],
        ).fetchall()
    )
