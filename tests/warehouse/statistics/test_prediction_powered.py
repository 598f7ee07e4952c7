"""Contrasts corrected by people's labels: the formula, and its coverage in simulated studies."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks._people import JUDGES, Judge, coverage_beside_people
from warehouse.statistics.prediction_powered import corrected_by_people

PEOPLE = np.array([1, 0, -1, 1, 0, 1, 0, 0, 1, -1.0])
JUDGE = np.array([1, 1, -1, 0.5, 0, 1, 0, 0.5, 0.5, 0])
ALONE = np.array([0, 0.5, 1, 0, -0.5, 1, 0, 0, 0.5, 1, 1, 0, 0.5, -1, 0, 1, 0.5, 0, 0, 0.5])


def test_the_estimate_is_the_regression_estimator_of_double_sampling() -> None:
    found = corrected_by_people(PEOPLE, JUDGE, ALONE, 1)
    weight = np.cov(PEOPLE, JUDGE)[0, 1] / JUDGE.var(ddof=1)
    everywhere = np.concatenate([JUDGE, ALONE]).mean()
    assert found.weight == pytest.approx(weight)
    assert found.estimate == pytest.approx(PEOPLE.mean() + weight * (everywhere - JUDGE.mean()))


def test_a_judge_that_contradicts_people_or_never_differs_has_no_weight() -> None:
    for judge in (-PEOPLE, np.zeros(10)):
        found = corrected_by_people(PEOPLE, judge, ALONE, 1)
        assert (found.weight, found.estimate) == (0, pytest.approx(PEOPLE.mean()))


def test_with_all_items_labelled_it_is_people_s_own_mean() -> None:
    found = corrected_by_people(PEOPLE, JUDGE, np.zeros(0), 1)
    assert found.estimate == pytest.approx(PEOPLE.mean())


def test_a_judge_that_is_always_right_is_worth_its_own_items() -> None:
    alone = corrected_by_people(PEOPLE, PEOPLE, ALONE, 1).interval
    without = corrected_by_people(PEOPLE, PEOPLE, np.zeros(0), 1).interval
    assert alone[1] - alone[0] < 0.8 * (without[1] - without[0])


@given(
    st.lists(st.tuples(st.integers(-1, 1), st.integers(-1, 1)), min_size=2, max_size=30),
    st.lists(st.integers(-1, 1), max_size=30),
    st.floats(-1, 1),
)
def test_a_shift_of_the_judge_changes_nothing_and_the_interval_holds_the_estimate(
    both: list[tuple[int, int]], alone: list[int], shift: float
) -> None:
    people, judge = np.array(both, dtype=float).T
    found = corrected_by_people(people, judge, np.array(alone, dtype=float), 2)
    low, high = found.interval
    assert low - 1e-9 <= found.estimate <= high + 1e-9
    shifted = corrected_by_people(people, judge + shift, np.array(alone, dtype=float) + shift, 2)
    assert shifted.estimate == pytest.approx(found.estimate, abs=1e-9)


@pytest.mark.parametrize("judge", JUDGES)
def test_intervals_cover_what_people_would_find_whatever_the_judge(judge: Judge) -> None:
    # three standard errors of such a share of 300 studies are 4.4%
    assert coverage_beside_people("right/wrong", judge, 120, 0.1, 300).corrected > 0.93 - 0.044


def test_a_biased_judge_alone_does_not_cover_it() -> None:
    assert coverage_beside_people("right/wrong", "biased", 500, 0.1, 60).judge_alone < 0.5
