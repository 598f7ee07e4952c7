"""Questions that are asked in turn: scores by turn, and items as the units of every error."""

import pytest

from dsl.plan.study import ContrastPlan
from tests.warehouse.conftest import Ask
from tests.warehouse.stores import Scores, StoreMaker
from warehouse.connect import WAREHOUSE
from warehouse.load import rebuild
from warehouse.report.figures import Section
from warehouse.report.reading import read_study
from warehouse.report.sections import sections

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


def test_means_of_a_turn_are_over_the_items_that_have_a_question_in_it(maker: StoreMaker, ask: Ask) -> None:
    in_turn(maker, "tuned", {"1": 1.0, "2": 3.0, "3": "?"}, {"1": 5.0, "2": 7.0})
    maker.cell("single", scores={"length": {"1": 1.0}})
    maker.study()
    first, second = ask("from score_by_turn order by turn")
    assert [(row["turn"], row["mean_score"], row["n"], row["n_unscored"]) for row in (first, second)] == [
        (1, 2.0, 2, 1),
        (2, 6.0, 2, 0),
    ]
    assert first["standard_error"] == pytest.approx(1.0)
    (cell,) = ask("select ci_low, ci_high from score_by_cell where turn = 1")
    assert (first["ci_low"], first["ci_high"]) == pytest.approx((cell["ci_low"], cell["ci_high"]))


def test_seeds_of_a_turn_are_averaged_within_an_item(maker: StoreMaker, ask: Ask) -> None:
    for seed, scores in ((1, {"1": 0.0, "2": 2.0}), (2, {"1": 4.0, "2": 6.0})):
        maker.cell("tuned", scores={"length": scores}, turn=1, seed=seed)
    maker.study()
    (row,) = ask("select mean_score, n, n_seeds from score_by_turn")
    assert tuple(row.values()) == (3.0, 2, 2)


def turns_on_the_page(maker: StoreMaker) -> list[Section]:
    maker.study()
    rebuild(maker.folder)
    return [one for one in sections(read_study(maker.folder / WAREHOUSE, "trial")) if one.anchor == "turns"]


def test_the_page_shows_the_means_of_each_turn_with_n_and_interval(maker: StoreMaker) -> None:
    for method, second in (("tuned", 0.0), ("prompted", 1.0)):
        for turn, score in ((1, 1.0), (2, second)):
            maker.cell(method, scores={"contains": {f"{i}": score for i in range(4)}}, turn=turn)
    (section,) = turns_on_the_page(maker)
    (figure,) = section.figures
    assert section.heading == "How does each turn do?"
    named = [column.heading for column in figure.table.columns]
    assert named[:4] == ["language", "method", "turn", "mean [95% interval]"]
    assert [cells[1:3] for cells in figure.table.cells] == [
        ("tuned", "1"),
        ("tuned", "2"),
        ("prompted", "1"),
        ("prompted", "2"),
    ]
    assert "n" in named
    assert figure.table.cells[1][3].startswith("0.00 [")


def test_a_page_of_single_questions_has_no_turns(maker: StoreMaker) -> None:
    maker.cell("tuned", scores={"contains": {"1": 1.0, "2": 0.0}})
    assert turns_on_the_page(maker) == []
