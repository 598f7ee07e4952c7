"""The gap between languages: paired where items are the same, independent where they are not."""

import numpy as np
import pytest
from scipy import stats

from warehouse.statistics.contrast import PairedTest
from warehouse.statistics.gaps import Gap, language_gap


def found(gap: Gap | None) -> Gap:
    assert gap is not None
    return gap


def test_parallel_items_are_paired_across_languages() -> None:
    gap = found(
        language_gap(
            {"1": 3.0, "2": 2.0, "3": 1.0, "only fr": 9.0},
            {"3": 1.0, "2": 0.0, "1": 1.0, "only en": -9.0},
            parallel=True,
            width=None,
        )
    )
    # 3 - 1, 2 - 0, 1 - 1
    assert (gap.estimate, gap.n, gap.is_paired) == (pytest.approx(4 / 3), 3, True)
    expected = PairedTest(np.array([2.0, 2.0, 0.0]), None)
    assert (gap.test.p_value, gap.test.interval(0.05)) == (expected.p_value, expected.interval(0.05))


def test_items_that_are_not_the_same_are_two_samples_even_under_equal_names() -> None:
    random = np.random.default_rng(1)
    here, there = random.normal(1, 1, 20), random.normal(0, 3, 31)
    gap = found(
        language_gap(
            {str(i): v for i, v in enumerate(here)},
            {str(i): v for i, v in enumerate(there)},
            parallel=False,
            width=None,
        )
    )
    welch = stats.ttest_ind(here, there, equal_var=False)
    assert (gap.n, gap.is_paired) == (20, False)
    assert gap.test.interval(0.05) == pytest.approx(tuple(welch.confidence_interval()))
    assert gap.test.p_value == pytest.approx(welch.pvalue)


def test_the_other_way_round_a_gap_is_its_opposite() -> None:
    here, there = {"1": 1.0, "2": 0.5, "3": 0.0}, {"1": 0.0, "2": 0.5, "3": -1.0}
    for parallel in (True, False):
        one, other = (
            found(language_gap(here, there, parallel, None)),
            found(language_gap(there, here, parallel, None)),
        )
        assert one.estimate == -other.estimate
        assert one.test.p_value == other.test.p_value


def test_few_items_have_a_gap_without_an_interval_and_none_have_no_gap() -> None:
    for parallel in (True, False):
        gap = found(language_gap({"1": 1.0}, {"1": 0.5}, parallel, None))
        assert (gap.estimate, gap.test.interval(0.05), gap.test.p_value) == (0.5, None, None)
        assert language_gap({"1": 1.0}, {}, parallel, None) is None
    equal = found(language_gap({"1": 1.0, "2": 1.0}, {"3": 1.0, "4": 1.0}, parallel=False, width=None))
    assert (equal.estimate, equal.test.standard_error, equal.test.interval(0.05), equal.test.p_value) == (
        0.0,
        0.0,
        None,
        None,
    )


@pytest.mark.parametrize("parallel", [True, False])
def test_95_percent_intervals_cover_between_93_and_98_percent(parallel: bool) -> None:
    random = np.random.default_rng(2)
    covered = 0
    for _ in range(1000):
        items = random.normal(size=30)
        here = {str(i): 0.7 + v + random.normal() for i, v in enumerate(items)}
        there = {str(i): (v if parallel else random.normal()) + random.normal() for i, v in enumerate(items)}
        low, high = found(language_gap(here, there, parallel, None)).test.interval(0.05) or (0.0, 0.0)
        covered += low <= 0.7 <= high
    assert 0.93 <= covered / 1000 <= 0.98
