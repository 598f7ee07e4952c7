"""Critical errors one by one, and beside the scores they must not hide in, on rows one can count."""

import pytest
from scipy import stats

from tests.warehouse.conftest import Ask
from tests.warehouse.stores import StoreMaker

DETECTORS = ("loop", "language", "code", "empty", "truncated", "prompt_echo", "refusal")
NO_ANSWER = "no answer"


def test_every_detector_has_its_share(maker: StoreMaker, ask: Ask) -> None:
    maker.cell(scores={detector: {"1": 1.0, "2": 0.0, "3": 0.0, "4": "not known"} for detector in DETECTORS})
    maker.study()
    rows = ask("select error, share, n, n_unscored from critical_errors_by_cell")
    assert {row["error"] for row in rows} == set(DETECTORS)
    assert {(round(row["share"], 6), row["n"], row["n_unscored"]) for row in rows} == {(0.666667, 3, 1)}


def test_answers_that_ran_into_the_limit_are_counted_once(maker: StoreMaker, ask: Ask) -> None:
    texts, ends = {"1": "a", "2": "b"}, {"1": "length", "2": "eos"}
    maker.cell("judged", scores={"truncated": {"1": 0.0, "2": 1.0}}, texts=texts, finish_reason=ends)
    maker.cell("other", scores={"loop": {"1": 1.0, "2": 1.0}}, texts=texts, finish_reason=ends)
    maker.study()
    rows = ask("select method, error, share from critical_errors_by_cell where error <> 'loop' order by all")
    assert [tuple(row.values()) for row in rows] == [("judged", "truncated", 0.5), ("other", "cut", 0.5)]


def test_whether_recorded_answers_were_cut_is_not_known(maker: StoreMaker, ask: Ask) -> None:
    texts: dict[str, str | None] = {"1": "a", "2": "b", "3": None}
    maker.cell(
        "recorded", scores={"loop": {"1": 1.0}}, texts=texts, finish_reason={"1": "recorded", "2": "recorded"}
    )
    maker.cell("asked", scores={"loop": {"1": 1.0}}, texts=texts, finish_reason={"1": "length", "2": "stop"})
    maker.study()
    rows = ask("select method, share, n, n_unscored from critical_errors_by_cell where error = 'cut'")
    assert [tuple(row.values()) for row in rows] == [("asked", 0.5, 2, 1)]
    rows = ask("select method, share_cut, n_missing from score_by_cell order by method")
    assert [tuple(row.values()) for row in rows] == [("asked", 0.5, 1), ("recorded", None, 1)]


def test_errors_the_rest_and_both_together_stand_beside_the_plain_mean(maker: StoreMaker, ask: Ask) -> None:
    maker.cell(
        scores={
            "loop": {"1": 1.0, "2": 0.0, "3": 1.0, "4": NO_ANSWER},
            "empty": {"1": 1.0, "2": 1.0, "3": 1.0, "4": NO_ANSWER},
            "contains": {"1": 1.0, "2": 1.0, "3": 0.0, "4": NO_ANSWER},
        },
        texts={"1": "a", "2": "b", "3": "c", "4": None},
    )
    maker.study()
    (row,) = ask("from score_beside_critical_errors")
    assert (row["measure"], row["detectors"], row["worst"]) == ("contains", ["empty", "loop"], 0)
    assert (row["p_critical"], row["n_judged"], row["n_unjudged"]) == (pytest.approx(1 / 3), 3, 1)
    wilson = stats.binomtest(1, 3).proportion_ci(0.95, method="wilson")
    assert (row["p_critical_low"], row["p_critical_high"]) == (
        pytest.approx(wilson.low, abs=1e-6),
        pytest.approx(wilson.high, abs=1e-6),
    )
    # The rest scores 1 and 0; with the loop as 0 it is 1, 0 and 0; as they are, 1, 1 and 0.
    assert (row["mean_of_rest"], row["error_of_rest"], row["n_of_rest"], row["n_unscored_of_rest"]) == (
        0.5,
        pytest.approx(0.5),
        2,
        0,
    )
    half, third = (stats.binomtest(1, n).proportion_ci(0.95, method="wilson") for n in (2, 3))
    assert row["rest_high"] == pytest.approx(half.high, rel=1e-5)
    assert row["mean_with_errors_as_worst"] == pytest.approx(1 / 3)
    assert (row["error_with_errors_as_worst"], row["n_with_errors_as_worst"]) == (pytest.approx(1 / 3), 3)
    assert row["with_errors_as_worst_low"] == pytest.approx(third.low, rel=1e-5)
    assert (row["mean_score"], row["standard_error"], row["n"], row["n_unscored"]) == (
        pytest.approx(2 / 3),
        pytest.approx(1 / 3),
        3,
        1,
    )


def test_answers_that_no_detector_looked_at_are_in_the_plain_mean_and_counted(
    maker: StoreMaker, ask: Ask
) -> None:
    maker.cell(
        scores={
            "code": {"1": 1.0},
            "loop": {"1": 0.0, "2": 1.0},
            "contains": {"1": 1.0, "2": 0.0, "3": 1.0, "4": "?"},
        }
    )
    maker.study()
    (row,) = ask("from score_beside_critical_errors")
    assert (row["detectors"], row["n_partly_judged"]) == (["code", "loop"], 1)
    assert (row["p_critical"], row["n_judged"], row["n_unjudged"]) == (0.5, 2, 2)
    assert (row["mean_score"], row["n"], row["n_unscored"]) == (pytest.approx(2 / 3), 3, 1)
    assert (
        row["mean_of_rest"],
        row["n_of_rest"],
        row["n_unscored_of_rest"],
        row["n_with_errors_as_worst"],
    ) == (0, 1, 0, 2)


def test_the_worst_value_is_that_of_the_judges_scale(maker: StoreMaker, ask: Ask) -> None:
    maker.cell(
        scores={
            "code": {"1": 1.0, "2": 0.0, "3": 1.0},
            "aspects=rubric": {"depth": {"1": 5.0, "2": 4.0, "3": 3.0}},
            "length": {"1": 10.0, "2": 20.0, "3": 30.0},
        }
    )
    maker.study()
    rows = {row["measure"]: row for row in ask("from score_beside_critical_errors")}
    depth, length = rows["aspects.depth"], rows["length"]
    assert (
        depth["worst"],
        depth["mean_of_rest"],
        depth["mean_with_errors_as_worst"],
        depth["mean_score"],
    ) == (1, 4.0, 3.0, 4.0)
    assert (length["worst"], length["mean_of_rest"], length["mean_score"]) == (None, 20.0, 20.0)
    assert (length["mean_with_errors_as_worst"], length["n_with_errors_as_worst"]) == (None, 0)


def test_an_answer_with_an_error_counts_as_worst_though_its_judge_gave_no_score(
    maker: StoreMaker, ask: Ask
) -> None:
    maker.cell(
        scores={
            "loop": {"1": 0.0, "2": 1.0, "3": 1.0},
            "contains": {"1": "unreadable", "2": 1.0, "3": "unreadable"},
        }
    )
    maker.study()
    (row,) = ask("from score_beside_critical_errors")
    assert (row["mean_of_rest"], row["n_of_rest"], row["n_unscored_of_rest"]) == (1.0, 1, 1)
    assert (row["mean_with_errors_as_worst"], row["n_with_errors_as_worst"]) == (0.5, 2)
    assert (row["mean_score"], row["n"], row["n_unscored"]) == (1.0, 1, 2)


def test_seeds_are_averaged_within_their_item(maker: StoreMaker, ask: Ask) -> None:
    maker.cell(seed=0, scores={"loop": {"1": 1.0, "2": 1.0}, "contains": {"1": 1.0, "2": 0.0}})
    maker.cell(seed=1, scores={"loop": {"1": 0.0, "2": 1.0}, "contains": {"1": 1.0, "2": 0.0}})
    maker.study()
    (row,) = ask("from score_beside_critical_errors")
    assert (row["p_critical"], row["n_judged"]) == (0.25, 2)
    assert (row["mean_of_rest"], row["n_of_rest"]) == (0.5, 2)
    assert (row["mean_with_errors_as_worst"], row["mean_score"], row["n"]) == (0.25, 0.5, 2)


def test_a_detector_that_abstains_leaves_the_word_to_the_others(maker: StoreMaker, ask: Ask) -> None:
    maker.cell("both", scores={"language": {"1": "too short"}, "loop": {"1": 1.0}, "contains": {"1": 1.0}})
    maker.cell("one", scores={"language": {"1": "too short"}, "contains": {"1": 1.0}})
    maker.study()
    both, one = ask("from score_beside_critical_errors order by method")
    assert (both["n_partly_judged"], one["n_partly_judged"]) == (1, 0)
    assert (both["p_critical"], both["n_judged"], both["n_unjudged"], both["mean_of_rest"]) == (
        0.0,
        1,
        0,
        1.0,
    )
    assert (one["p_critical"], one["n_judged"], one["n_unjudged"], one["mean_of_rest"]) == (None, 0, 1, None)
    assert (one["p_critical_low"], one["mean_with_errors_as_worst"], one["mean_score"]) == (None, None, 1.0)


def test_items_without_an_error_found_that_a_detector_could_not_judge_are_counted(
    maker: StoreMaker, ask: Ask
) -> None:
    maker.cell(
        scores={
            "language": {"1": 1.0, "2": "too short", "3": 0.0, "4": "too short"},
            "loop": {"1": 1.0, "2": 1.0, "3": 1.0, "4": 0.0},
            "contains": dict.fromkeys("1234", 1.0),
        }
    )
    maker.study()
    (row,) = ask("from score_beside_critical_errors")
    assert (row["p_critical"], row["n_judged"], row["n_partly_judged"]) == (0.5, 4, 1), "2 alone"


def test_cuts_and_refusals_are_no_critical_errors_here_and_detectors_no_measures(
    maker: StoreMaker, ask: Ask
) -> None:
    scores = {detector: {"1": 1.0} for detector in DETECTORS} | {
        "truncated": {"1": 0.0},
        "refusal": {"1": 0.0},
    }
    maker.cell("all", scores={**scores, "contains": {"1": 1.0}})
    maker.cell("cuts", scores={"truncated": {"1": 0.0}, "contains": {"1": 1.0}})
    maker.study()
    (row,) = ask("from score_beside_critical_errors")
    assert (row["method"], row["measure"], row["p_critical"]) == ("all", "contains", 0.0)
    assert row["detectors"] == ["code", "empty", "language", "loop", "prompt_echo"]


def test_languages_have_rows_of_their_own(maker: StoreMaker, ask: Ask) -> None:
    maker.cell(language="en", scores={"loop": {"1": 1.0}, "contains": {"1": 1.0}})
    maker.cell(language="fr", scores={"loop": {"1": 0.0}, "contains": {"1": 1.0}})
    maker.study()
    rows = ask("select language, p_critical, mean_with_errors_as_worst from score_beside_critical_errors")
    assert [tuple(row.values()) for row in rows] == [("en", 0.0, 1.0), ("fr", 1.0, 0.0)]
