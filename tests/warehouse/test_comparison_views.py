"""Win rates, agreement between judges and planted texts, on rows one can count."""

import math
import statistics
from collections.abc import Mapping

import pytest
from scipy import stats
from statsmodels.stats.proportion import proportion_confint

from dsl.data.records import Label
from tests.warehouse.compared import judged, row
from tests.warehouse.conftest import Ask
from tests.warehouse.stores import Scores, StoreMaker
from warehouse.statistics.intervals import bounded_interval


def duel(item: str, score: float | str | None, against: str = "zero", **more: object):
    return row(item, score, "pairwise", against=against, **more)


def test_a_win_rate_is_in_per_cent_with_ties_at_one_half_and_the_sample_deviation_over_root_n(
    maker: StoreMaker, ask: Ask
) -> None:
    scores = {"1": 1.0, "2": 0.0, "3": 0.5, "4": 1.0, "5": "unreadable"}
    cell = maker.cell(texts=dict.fromkeys(scores, "a"))
    judged(maker, cell, "duel", "pairwise", [duel(item, score) for item, score in scores.items()])
    maker.study()
    (found,) = ask("from win_rate_by_method")
    error = 100 * statistics.stdev([1, 0, 0.5, 1]) / 2
    assert (found["method"], found["against"], found["judge"], found["aspect"]) == (
        "icl",
        "zero",
        "duel",
        "pairwise",
    )
    assert found["measure"] == "duel vs zero"
    assert (found["win_rate"], found["standard_error"]) == (62.5, pytest.approx(error))
    assert (found["n"], found["n_unscored"]) == (4, 1)
    expected = bounded_interval(0.625, (error / 100) ** 2, 4, 0.05)
    assert (found["ci_low"], found["ci_high"]) == pytest.approx((100 * expected[0], 100 * expected[1]))
    assert (found["n_inconsistent"], found["share_inconsistent"]) == (None, None)


def test_inconsistent_verdicts_are_counted_among_those_with_both_orders(maker: StoreMaker, ask: Ask) -> None:
    cell = maker.cell(texts=dict.fromkeys("12345", "a"))
    rows = [
        duel("1", 1.0, parts={"first": 1, "second": 1}),
        duel("2", 0.5, parts={"first": 1, "second": 0}),
        duel("3", 0.5, parts={"first": 0.5, "second": 0.5}),
        duel("4", 0.5),  # the same text twice: no order was asked
        duel("5", "unreadable", parts={"first": 1}),
    ]
    judged(maker, cell, "duel", "pairwise", rows)
    maker.study()
    (found,) = ask("from win_rate_by_method")
    assert (found["win_rate"], found["n"], found["n_unscored"]) == (62.5, 4, 1)
    assert (found["n_inconsistent"], found["share_inconsistent"]) == (1, pytest.approx(1 / 3))


def test_seeds_are_averaged_within_an_item_before_items_are_counted(maker: StoreMaker, ask: Ask) -> None:
    for seed, scores in ((0, {"1": 1.0, "2": 0.0}), (1, {"1": 1.0, "2": 1.0})):
        cell = maker.cell(seed=seed, texts=dict.fromkeys(scores, "a"))
        judged(maker, cell, "duel", "pairwise", [duel(item, score) for item, score in scores.items()])
    maker.study()
    (found,) = ask("from win_rate_by_method")
    assert (found["win_rate"], found["n"]) == (75, 2)
    assert found["standard_error"] == pytest.approx(100 * statistics.stdev([1, 0.5]) / math.sqrt(2))


def test_each_opponent_and_each_method_has_a_win_rate_of_its_own(maker: StoreMaker, ask: Ask) -> None:
    for method in ("a", "b"):
        cell = maker.cell(method, texts={"1": "a", "2": "b"})
        judged(
            maker,
            cell,
            "duel",
            "pairwise",
            [duel(i, float(o == method), o) for i in "12" for o in ("a", "zero")],
        )
    maker.study()
    found = ask("select method, against, win_rate, ci_low, ci_high from win_rate_by_method")
    assert [(r["method"], r["against"], r["win_rate"]) for r in found] == [
        ("a", "a", 100),
        ("a", "zero", 0),
        ("b", "a", 0),
        ("b", "zero", 0),
    ]
    interval = stats.binomtest(0, 2).proportion_ci(0.95, method="wilson")
    assert found[1]["ci_high"] == pytest.approx(100 * interval.high, abs=1e-4), (
        "an interval even where every item ended the same way"
    )


def test_a_win_rate_of_one_item_or_none_has_no_interval(maker: StoreMaker, ask: Ask) -> None:
    for method, score in (("one", 1.0), ("none", "unreadable")):
        cell = maker.cell(method, texts={"1": "a"})
        judged(maker, cell, "duel", "pairwise", [duel("1", score)])
    maker.study()
    found = ask("select method, win_rate, n, standard_error, ci_low, ci_high from win_rate_by_method")
    assert [tuple(r.values()) for r in found] == [
        ("none", None, 0, None, None, None),
        ("one", 100, 1, None, None, None),
    ]


def test_wilsons_interval_of_no_share_is_none(maker: StoreMaker, ask: Ask) -> None:
    (found,) = ask(
        "select wilson_low(null, 5) as a, wilson_high(null, 5) as b, wilson_low(0.5, 0) as c,"
        " wilson_high(null, 0) as d"
    )
    assert set(found.values()) == {None}


# Twelve answers and what four judges say of them; None is unscored.
A = (1, 2, 3, 3, 2, 1, 4, 1, 2, 5, 4, 3)
B = (1, 2, 3, 3, 2, 2, 4, 1, 2, 5, 2, 4)
FOUR = (
    (1, 2, 3, 3, 2, 1, 4, 1, 2, None, None, None),
    (1, 2, 3, 3, 2, 2, 4, 1, 2, 5, None, 3),
    (None, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, None),
    (1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, None),
)


def scores(given: tuple[int | None, ...]) -> Scores:
    return {str(item): "unreadable" if score is None else float(score) for item, score in enumerate(given, 1)}


def test_agreement_of_two_judges_is_that_of_scikit_learn_and_krippendorff(
    maker: StoreMaker, ask: Ask
) -> None:
    maker.cell(
        scores={"x=rubric": {"clarity": scores(A), "depth": scores(A)}, "y=rubric": {"clarity": scores(B)}}
    )
    maker.study()
    english, everywhere = ask("from judge_agreement order by language desc")
    # sklearn.metrics.cohen_kappa_score(A, B, weights="quadratic") of scikit-learn 1.9.1,
    # krippendorff.alpha([A, B], level_of_measurement="interval") of krippendorff 0.9.0; errors by leaving out
    # each item in turn with both.
    assert english["quadratic_kappa"] == pytest.approx(0.8325581395348838)
    assert english["krippendorff_alpha"] == pytest.approx(0.8395348837209302)
    assert english["quadratic_kappa_standard_error"] == pytest.approx(0.14511449642214397)
    assert english["krippendorff_alpha_standard_error"] == pytest.approx(0.13824844532462638)
    assert (english["measure_a"], english["measure_b"]) == ("x.clarity", "y.clarity")
    assert (english["n"], english["n_items"], english["n_unscored"]) == (12, 12, 0)
    assert (english["agreement"], english["mean_difference"]) == (pytest.approx(9 / 12), pytest.approx(0))
    assert english["agreement_standard_error"] == pytest.approx((9 / 12 * 3 / 12 / 11) ** 0.5)
    assert (english["agreement_ci_low"], english["agreement_ci_high"]) == pytest.approx(
        proportion_confint(9, 12, method="wilson")
    )
    assert (everywhere["language"], everywhere["quadratic_kappa"]) == ("all", english["quadratic_kappa"])


def test_reliability_of_four_judges_with_gaps_is_krippendorffs(maker: StoreMaker, ask: Ask) -> None:
    maker.cell(
        scores={
            f"{name}=rubric": {"clarity": scores(given)} for name, given in zip("abcd", FOUR, strict=True)
        }
    )
    maker.study()
    (found,) = ask("from judge_reliability where language = 'en'")
    # krippendorff.alpha(FOUR, level_of_measurement="interval") of krippendorff 0.9.0, and over each eleven of
    # its items.
    assert found["krippendorff_alpha"] == pytest.approx(0.8491071428571428)
    assert found["standard_error"] == pytest.approx(0.1408398313812763)
    assert (found["question"], found["judges"]) == ("clarity", ["a", "b", "c", "d"])
    assert (found["n"], found["n_items"], found["n_unscored"]) == (11, 11, 1)


def test_two_judges_that_agree_in_all_have_a_kappa_of_one_and_a_constant_has_none(
    maker: StoreMaker, ask: Ask
) -> None:
    same, constant = {"1": 0.0, "2": 1.0}, {"1": 1.0, "2": 1.0}
    maker.cell(scores={"p=contains": same, "q=exact": same})
    maker.study("agree")
    maker.cell(scores={"p=contains": constant, "q=exact": constant})
    maker.study("constant")
    found = {r["experiment"]: r for r in ask("from judge_agreement where language = 'en'")}
    assert (
        found["agree"]["quadratic_kappa"],
        found["agree"]["krippendorff_alpha"],
        found["agree"]["agreement"],
    ) == (1, 1, 1)
    assert (
        found["constant"]["quadratic_kappa"],
        found["constant"]["krippendorff_alpha"],
        found["constant"]["agreement"],
    ) == (
        None,
        None,
        1,
    )


def test_judges_of_different_questions_and_opponents_are_not_set_side_by_side(
    maker: StoreMaker, ask: Ask
) -> None:
    cell = maker.cell(
        scores={
            "loop": {"1": 1.0},
            "empty": {"1": 1.0},
            "length": {"1": 900.0},
            "x=rubric": {"clarity": {"1": 5.0}},
            "y=rubric": {"depth": {"1": 5.0}},
        }
    )
    judged(maker, cell, "duel", "pairwise", [duel("1", 1.0, "a")])
    judged(maker, cell, "jury", "pairwise", [duel("1", 1.0, "b")])
    maker.study()
    assert ask("from judge_agreement") == []
    assert [r["question"] for r in ask("from judge_reliability where language = 'en'")] == []


def test_comparisons_with_one_opponent_agree_or_not(maker: StoreMaker, ask: Ask) -> None:
    cell = maker.cell(texts={"1": "a", "2": "b"})
    judged(maker, cell, "duel", "pairwise", [duel("1", 1.0), duel("2", 0.0), duel("1", 0.0, "other")])
    judged(maker, cell, "jury", "pairwise", [duel("1", 1.0), duel("2", 1.0)])
    maker.study()
    (found,) = ask("from judge_agreement where language = 'en'")
    assert (found["measure_a"], found["measure_b"], found["n"], found["agreement"]) == (
        "duel vs zero",
        "jury vs zero",
        2,
        0.5,
    )
    assert found["mean_difference"] == -0.5
    (joint,) = ask("from judge_reliability where language = 'en'")
    assert (joint["question"], joint["n"]) == ("which is better", 2)


def test_judges_of_different_scales_are_not_taken_together(maker: StoreMaker, ask: Ask) -> None:
    maker.cell(
        scores={"contains": {"1": 1.0, "2": 0.0}, "exact": {"1": 1.0, "2": 1.0}}, texts={"1": "a", "2": "b"}
    )
    maker.study()
    (answers,) = ask("select list(answer_id order by item) as ids from answers_to_label")

    def people(low: float | None, high: float | None) -> list[tuple[str | None, list[str]]]:
        for judge, scores in (("ann", (5, 1)), ("bob", (4, 1))):
            labels = [
                Label(answer_id=i, score=s, scale_low=low, scale_high=high)
                for i, s in zip(answers["ids"], scores, strict=True)
            ]
            maker.label(judge, labels)
        return [(r["scale"], r["judges"]) for r in ask("from judge_reliability where language = 'en'")]

    assert people(1, 5) == [("0 to 1", ["contains", "exact"]), ("1 to 5", ["ann", "bob"])]
    assert people(None, None) == [(None, ["ann", "bob", "contains", "exact"])]


def test_an_ensemble_is_not_set_beside_its_members(maker: StoreMaker, ask: Ask) -> None:
    cell = maker.cell(
        scores={
            "contains": {"1": 1.0, "2": 0.0},
            "exact": {"1": 1.0, "2": 1.0},
            "numeric": {"1": 0.0, "2": 0.0},
        }
    )
    parts = {"contains": 1.0, "exact": 1.0}
    judged(
        maker,
        cell,
        "both",
        "ensemble",
        [row("1", 1.0, "ensemble", parts=parts), row("2", 0.5, "ensemble", parts=parts)],
    )
    maker.study()
    pairs = {(r["judge_a"], r["judge_b"]) for r in ask("from judge_agreement")}
    assert pairs == {
        ("contains", "exact"),
        ("contains", "numeric"),
        ("exact", "numeric"),
        ("both", "numeric"),
    }
    assert {tuple(r["judges"]) for r in ask("from judge_reliability")} == {("contains", "exact", "numeric")}


def test_an_answer_that_serves_two_cells_is_one_and_languages_are_pooled_by_item(
    maker: StoreMaker, ask: Ask
) -> None:
    given = {"p=contains": {"1": 1.0, "2": 0.0}, "q=exact": {"1": 1.0, "2": 1.0}}
    first = maker.cell("a", scores=given)
    maker.cells.append(first.model_copy(update={"cell_id": "cell-ffffffffffffffff", "method": "same"}))
    maker.cell("a", scores=given, language="fr")
    maker.study()
    found = {r["language"]: (r["n"], r["n_items"]) for r in ask("from judge_agreement")}
    assert found == {"en": (2, 2), "fr": (2, 2), "all": (4, 2)}
    assert {r["language"]: (r["n"], r["n_items"]) for r in ask("from judge_reliability")} == found


def test_verdicts_on_planted_answers_stay_out_of_the_scores_and_stand_beside_those_on_the_answers_as_they_are(
    maker: StoreMaker, ask: Ask
) -> None:
    cell = maker.cell(scores={"x=rubric": {"clarity": {"1": 2.0, "2": 3.0, "3": 5.0, "4": "unreadable"}}})
    planted = [
        row("1", 5.0, "clarity"),
        row("2", 3.0, "clarity"),
        row("3", 4.0, "clarity"),
        row("4", 5.0, "clarity"),
    ]
    judged(maker, cell, "x", "rubric", planted, probe="talked")
    maker.study()
    (found,) = ask("from judge_probes")
    assert (found["probe"], found["language"], found["judge"], found["measure"]) == (
        "talked",
        "en",
        "x",
        "x.clarity",
    )
    assert (found["n"], found["n_items"], found["n_unscored"], found["n_moved"], found["n_raised"]) == (
        3,
        3,
        1,
        2,
        1,
    )
    assert found["share_moved"] == pytest.approx(2 / 3)
    interval = stats.binomtest(2, 3).proportion_ci(0.95, method="wilson")
    assert (found["ci_low"], found["ci_high"]) == (
        pytest.approx(interval.low, abs=1e-6),
        pytest.approx(interval.high, abs=1e-6),
    )
    assert found["mean_shift"] == pytest.approx(2 / 3)
    assert found["standard_error"] == pytest.approx(statistics.stdev([3, 0, -1]) / math.sqrt(3))
    assert [(r["score"], r["probed_score"]) for r in ask("from probed_verdicts order by item")] == [
        (2, 5),
        (3, 3),
        (5, 4),
        (None, 5),
    ]
    assert ask("select count(*) as n from verdicts")[0]["n"] == 4


def test_a_judge_with_probabilities_moves_where_its_likeliest_level_does(maker: StoreMaker, ask: Ask) -> None:
    cell = maker.cell(texts={"1": "a", "2": "b"})
    for probe, levels in (
        ("", ({"1": 0.6, "2": 0.4}, {"1": 0.6, "2": 0.4})),
        ("talked", ({"1": 0.4, "2": 0.6}, {"1": 0.55, "2": 0.45})),
    ):
        rows = [row(i, 1 + d["2"], "clarity", distribution=d) for i, d in zip("12", levels, strict=True)]
        judged(maker, cell, "x", "rubric", rows, probe=probe)
    maker.study()
    (found,) = ask("from judge_probes")
    assert (found["n"], found["n_moved"], found["n_raised"]) == (2, 1, 1)
    assert found["mean_shift"] == pytest.approx((0.2 + 0.05) / 2)


def test_methods_that_answer_the_same_item_are_one_cluster_of_a_probe(maker: StoreMaker, ask: Ask) -> None:
    for method in ("a", "b"):
        cell = maker.cell(method, scores={"contains": {"1": 0.0, "2": 0.0}})
        judged(
            maker,
            cell,
            "contains",
            "contains",
            [row("1", 1.0, "contains"), row("2", 0.0, "contains")],
            probe="talked",
        )
    maker.study()
    (found,) = ask("from judge_probes")
    assert (found["n"], found["n_items"], found["share_moved"]) == (4, 2, 0.5)
    assert found["standard_error"] == pytest.approx(statistics.stdev([1, 0]) / math.sqrt(2))
    assert found["ci_low"] == pytest.approx(
        stats.binomtest(1, 2).proportion_ci(0.95, method="wilson").low, abs=1e-6
    )


def label(maker: StoreMaker, ask: Ask, scores: Mapping[str, float], **more: object) -> None:
    """People's labels of the answers to these items."""
    ids = {r["item"]: r["answer_id"] for r in ask("select distinct item, answer_id from answers_to_label")}
    maker.label(
        "anna",
        [
            Label.model_validate({"answer_id": ids[item], "score": score, **more})
            for item, score in scores.items()
        ],
    )


def test_judges_are_set_beside_people_by_question_or_aspect_on_the_answers_that_were_labelled(
    maker: StoreMaker, ask: Ask
) -> None:
    first = maker.cell(
        scores={
            "contains": {"1": 1.0, "2": 0.0, "3": 1.0},
            "loop": {"1": 1.0, "2": 1.0, "3": 1.0},
            "x=rubric": {"clarity": {"1": 5.0, "2": 1.0, "3": 1.0}},
        },
        texts={"1": "a", "2": "b", "3": "c"},
    )
    maker.cells.append(first.model_copy(update={"cell_id": "cell-ffffffffffffffff", "method": "same"}))
    maker.study()
    label(maker, ask, {"1": 1.0, "2": 1.0})
    found = {(r["measure_a"], r["measure_b"]): r for r in ask("from judge_agreement where language = 'en'")}
    assert {pair: (r["n"], r["agreement"], r["judge_kind_a"]) for pair, r in found.items()} == {
        ("anna", "contains"): (2, 0.5, "human"),
        # an opinion of the answer as a whole stands beside each aspect of its quality, and beside no detector
        ("anna", "x.clarity"): (2, 0.5, "human"),
    }
    (joint,) = ask("from judge_reliability where language = 'en'")
    assert (joint["judges"], joint["n"], joint["question"]) == (["anna", "contains"], 2, "is it good")


@pytest.mark.parametrize(("scale", "pairs"), [((1, 5), [("anna.clarity", "x.clarity")]), ((0, 1), [])])
def test_peoples_labels_of_an_aspect_go_with_judges_of_it_on_the_same_scale(
    maker: StoreMaker, ask: Ask, scale: tuple[int, int], pairs: list[tuple[str, str]]
) -> None:
    maker.cell(
        scores={"x=rubric": {"clarity": {"1": 5.0, "2": 1.0}, "depth": {"1": 5.0, "2": 1.0}}},
        texts={"1": "a", "2": "b"},
    )
    maker.study()
    label(maker, ask, {"1": 1.0, "2": 1.0}, aspect="clarity", scale_low=scale[0], scale_high=scale[1])
    assert [
        (r["measure_a"], r["measure_b"]) for r in ask("from judge_agreement where language = 'en'")
    ] == pairs
