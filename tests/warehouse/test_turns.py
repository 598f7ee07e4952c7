"""Questions that are asked in turn: scores by turn, and items as the units of every error."""

import pytest

from dsl.plan.study import ContrastPlan
from tests.warehouse.conftest import Ask
from tests.warehouse.stores import Scores, StoreMaker

GAIN = ContrastPlan(name="gain", of="tuned", against="prompted")


def in_turn(maker: StoreMaker, method: str, *turns: Scores) -> None:
    for turn, scores in enumerate(turns, 1):
        maker.cell(method, scores={"length": scores}, turn=turn)


def test_a_pair_is_an_item_over_the_turns_on_which_both_have_a_score(maker: StoreMaker, ask: Ask) -> None:
    in_turn(maker, "tuned", {"1": 5.0, "2": 4.0, "3": 9.0}, {"1": 3.0, "2": 8.0, "3": "?"})
    in_turn(maker, "prompted", {"1": 2.0, "2": 2.0, "3": "?"}, {"1": 2.0, "2": "?", "3": 1.0})
    maker.study(contrasts=(GAIN,))
    rows = ask(
        "select item, difference, score_of, n_scored_of, n_unscored_against from paired_scores order by item"
    )
    assert [tuple(row.values()) for row in rows] == [
        ("1", 2.0, 4.0, 2, 0),  # 3 and 1
        ("2", 2.0, 4.0, 2, 1),  # the first turn alone
        ("3", None, 9.0, 1, 1),  # no turn has both
    ]
    (row,) = ask("select estimate, n, n_lost from contrast_by_language_and_size")
    assert tuple(row.values()) == (2.0, 2, 1)


def test_the_error_of_a_mean_over_turns_is_clustered_by_item(maker: StoreMaker, ask: Ask) -> None:
    """Turns that say the same again add nothing: the error is that of the items."""
    once: Scores = {"1": 1.0, "2": 2.0, "3": 6.0}
    in_turn(maker, "tuned", once, once)
    maker.cell("single", scores={"length": once})
    maker.study()
    twice, one = ask(
        "select method, n, mean_score, standard_error from score_by_method_language order by n desc"
    )
    assert (twice["n"], one["n"]) == (6, 3)
    assert twice["mean_score"] == one["mean_score"] == 3.0
    assert twice["standard_error"] == pytest.approx(one["standard_error"])


def test_a_cell_is_of_one_turn(maker: StoreMaker, ask: Ask) -> None:
    in_turn(maker, "tuned", {"1": 1.0}, {"1": 3.0})
    maker.study()
    rows = ask("select turn, mean_score from score_by_cell order by turn")
    assert [tuple(row.values()) for row in rows] == [(1, 1.0), (2, 3.0)]
