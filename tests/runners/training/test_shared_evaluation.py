"""Batches of an evaluation among processes; tests/runners/execution/test_processes.py and test_sharding.py
evaluate in two."""

from hypothesis import given
from hypothesis import strategies as st

from runners.training.shared_evaluation import numbers_of


@given(n_batches=st.integers(1, 40), n_processes=st.integers(1, 12))
def test_each_batch_is_evaluated_and_each_process_has_as_many_as_the_others(
    n_batches: int, n_processes: int
) -> None:
    numbers = [numbers_of(n_batches, n_processes, process) for process in range(n_processes)]
    assert {number for each in numbers for number in each} == set(range(n_batches))
    assert {len(each) for each in numbers} == {-(-n_batches // n_processes)}


def test_first_batches_are_repeated_where_some_are_missing() -> None:
    assert [numbers_of(5, 2, process) for process in range(2)] == [[0, 2, 4], [1, 3, 0]]
    assert [numbers_of(2, 5, process) for process in range(5)] == [[0], [1], [0], [1], [0]]
