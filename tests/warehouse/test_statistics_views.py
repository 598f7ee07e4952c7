"""Statistics computed when a study is loaded, and their marts: numbers worked out by hand, or SciPy's."""

import random
from typing import Any

import numpy as np
import pytest
from scipy import stats

from dsl.plan.study import ContrastPlan
from tests.warehouse.conftest import Ask
from tests.warehouse.stores import StoreMaker
from warehouse.connect import WAREHOUSE, connect
from warehouse.load import load_store
from warehouse.statistics.contrast import PairedTest
from warehouse.statistics.corrections import correct
from warehouse.statistics.paired import length_adjusted

GAIN = ContrastPlan(name="gain", of="tuned", against="prompted", on=("length", "contains", "aspects"))
OTHER = ContrastPlan(name="other", of="prompted", against="base", on=("length",))

Scores = dict[str, float | str | None]


def pair(maker: StoreMaker, of: Scores, against: Scores, judge: str = "contains", **place: Any) -> None:
    for method, scores in (("tuned", of), ("prompted", against)):
        maker.cell(method, scores={judge: {"depth": scores} if "rubric" in judge else scores}, **place)


def test_a_contrast_has_its_p_value_and_effect(maker: StoreMaker, ask: Ask) -> None:
    pair(maker, {"1": 3.0, "2": 2.0, "3": 1.0}, {"1": 0.0, "2": 0.0, "3": 0.0}, "length")
    maker.study(contrasts=(GAIN,))
    (row,) = ask("from contrast_by_language_and_size")
    # of 8 sign patterns of 3, 2, 1 two have the sum ±6
    assert (row["p_value"], row["p_corrected"], row["n_tests"], row["standardised_effect"]) == (
        0.25,
        0.25,
        1,
        2.0,
    )
    assert (
        row["bound_low"],
        row["bound_high"],
        row["is_significant"],
        row["is_significant_uncorrected"],
    ) == (None, None, False, False)
    # three items of one sign each have p = 0.25 at best
    assert row["could_be_significant"] is False
    assert row["length_adjusted_estimate"] is None
    assert row["unadjusted_reason"] == "3 pairs are too few: 20 are needed"


def test_holm_corrects_what_is_declared_and_a_further_detector_does_not_weaken_it(
    maker: StoreMaker, ask: Ask
) -> None:
    chance = random.Random(1)
    for language in ("en", "fr"):
        for model in ("small", "large"):
            for method, level in (("base", 0.0), ("prompted", 0.3), ("tuned", 1.0)):
                scores = {str(i): chance.gauss(level, 1) for i in range(12)}
                maker.cell(
                    method,
                    language=language,
                    model=model,
                    scores={"length": scores, "loop": {"1": 1.0, "2": 0.0}},
                )
    maker.study(contrasts=(GAIN, OTHER))
    rows = ask("from contrast_by_language_and_size order by all")
    declared = [row for row in rows if row["measure"] == "length"]
    explored = [row for row in rows if row["measure"] == "loop"]
    assert {(row["family"], row["correction"], row["n_tests"]) for row in declared} == {
        ("confirmatory", "holm", 8)
    }
    assert [row["p_corrected"] for row in declared] == pytest.approx(
        [c.p_value for c in correct([r["p_value"] for r in declared], "holm")]
    )
    assert len({row["p_value"] for row in declared}) > 3
    # `prompted` is in both contrasts
    assert {(row["family"], row["correction"], row["n_tests"]) for row in explored} == {
        ("exploratory", "benjamini_yekutieli", 8)
    }
    assert {row["p_corrected"] for row in explored} == {1.0}


def test_significance_interval_and_p_value_never_contradict_each_other(maker: StoreMaker, ask: Ask) -> None:
    chance = random.Random(5)
    for language in ("en", "fr", "es"):
        for method, level in (("base", 0.5), ("prompted", 0.55), ("tuned", 0.9)):
            for seed in (0, 1, 2) if method == "tuned" else (None,):
                items = [str(i) for i in range(30)]
                right: Scores = {i: float(chance.random() < level) for i in items}
                liked: Scores = {
                    i: float(min(5, max(1, round(chance.gauss(1 + 4 * level, 1))))) for i in items
                }
                maker.cell(
                    method,
                    language=language,
                    seed=seed,
                    train_languages=("en",) if method == "tuned" else (),
                    scores={
                        "contains": right,
                        "length": {i: chance.gauss(level, 1) for i in items},
                        "aspects=rubric": {"depth": liked},
                    },
                )
    maker.study(contrasts=(GAIN, OTHER))
    rows = [*ask("from contrast_by_language_and_size"), *ask("from language_gap")]
    assert len(rows) > 30
    for row in rows:
        for suffix, p, is_significant in (
            ("", "p_value", "is_significant_uncorrected"),
            ("_corrected", "p_corrected", "is_significant"),
        ):
            leaves_zero_out = row[f"ci_low{suffix}"] > 0 or row[f"ci_high{suffix}"] < 0
            assert leaves_zero_out == row[is_significant] == (row[p] < 0.05), row
    assert (
        0
        < sum(row["is_significant"] for row in rows)
        < sum(row["is_significant_uncorrected"] for row in rows)
        < len(rows)
    )


def test_contrasts_of_trained_methods_carry_their_seeds_and_count_what_is_missing(
    maker: StoreMaker, ask: Ask
) -> None:
    items = [str(i) for i in range(20)]
    maker.cell("prompted", scores={"contains": dict.fromkeys(items, 0.0)})
    for seed, score in ((0, 1.0), (1, 0.0), (2, None)):
        maker.cell(
            "tuned",
            seed=seed,
            train_languages=("en",),
            scores={"contains": dict.fromkeys(items, score if score is not None else "no answer")},
        )
    maker.study(contrasts=(GAIN,))
    (row,) = ask("from contrast_by_language_and_size")
    assert (row["estimate"], row["n"], row["n_seeds"], row["n_seeds_missing"]) == (0.5, 20, 2, 1)
    # one seed right on all items, one wrong on all
    assert (row["ci_low"], row["ci_high"], row["is_significant_uncorrected"]) == (-1.0, 1.0, False)
    (score,) = ask("from score_by_method_language where method = 'tuned'")
    assert (score["mean_score"], score["n_seeds"], score["n_seeds_missing"]) == (0.5, 2, 1)
    assert score["ci_low"] < 0.05
    assert score["ci_high"] > 0.95


def test_trained_methods_are_paired_by_seed_where_one_descends_from_the_other(
    maker: StoreMaker, ask: Ask
) -> None:
    """A seed's effect on both cancels out where they share its training, else it counts twice."""
    items = [str(i) for i in range(12)]
    for experiment, is_shared in (("descends", True), ("independent", False)):
        for seed, luck in ((0, 5.0), (1, 0.0), (2, -5.0)):
            below = maker.train("sft", [float(seed)])
            above = maker.train("dpo", [float(seed)])
            for method, gain, train in (
                ("prompted", 0.0, (below,)),
                ("tuned", 1.0, (below, above) if is_shared else (above,)),
            ):
                scores: Scores = {item: luck + gain + i % 3 / 10 * (1 + gain) for i, item in enumerate(items)}
                maker.cell(method, seed=seed, train_languages=("en",), train=train, scores={"length": scores})
        maker.study(experiment, contrasts=(GAIN,))
    rows = {row["experiment"]: row for row in ask("from contrast_by_language_and_size")}
    assert {row["n_seeds"] for row in rows.values()} == {3}
    assert [row["estimate"] for row in rows.values()] == pytest.approx([1.1, 1.1])
    assert rows["descends"]["is_significant"]
    # two independent means of three seeds with a standard deviation of 5
    assert rows["independent"]["standard_error"] == pytest.approx((2 * 25 / 3) ** 0.5, rel=0.01)
    assert not rows["independent"]["is_significant_uncorrected"]


def test_a_contrast_at_equal_length_holds_for_other_training_seeds(maker: StoreMaker, ask: Ask) -> None:
    chance = random.Random(4)
    items = [str(i) for i in range(40)]
    texts = {method: {i: "x" * chance.randint(10, 200) for i in items} for method in ("tuned", "prompted")}
    maker.cell(
        "prompted", scores={"length": {i: chance.gauss(0, 0.1) for i in items}}, texts=texts["prompted"]
    )
    for seed, luck in enumerate((2.0, 1.0, 0.0)):
        found: Scores = {i: luck + chance.gauss(0, 0.1) for i in items}
        maker.cell(
            "tuned", seed=seed, train_languages=("en",), scores={"length": found}, texts=texts["tuned"]
        )
    maker.study(contrasts=(GAIN,))
    (row,) = ask("from contrast_by_language_and_size")
    # three seeds with a standard deviation of 1
    assert row["length_adjusted_standard_error"] == pytest.approx(3**-0.5, rel=0.1)
    assert row["length_adjusted_ci_low"] < -1
    assert row["length_adjusted_ci_high"] > 3


def test_a_contrast_of_no_pairs_or_one_is_no_test_and_does_not_count_as_one(
    maker: StoreMaker, ask: Ask
) -> None:
    pair(maker, {"1": "?", "2": "?"}, {"1": 1.0, "2": 0.0})
    pair(maker, {"1": 1.0}, {"1": 0.0}, language="fr")
    pair(maker, {"1": 1.0, "2": 1.0}, {"1": 0.0, "2": 0.0}, language="es")
    maker.study(contrasts=(GAIN,))
    rows = {row["language"]: row for row in ask("from contrast_by_language_and_size")}
    assert {
        language: (row["p_value"], row["p_corrected"], row["n_tests"]) for language, row in rows.items()
    } == {
        "en": (None, None, 1),
        "fr": (None, None, 1),
        "es": (0.5, 0.5, 1),
    }
    assert {language: row["is_significant"] for language, row in rows.items()} == {
        "en": None,
        "fr": None,
        "es": False,
    }


def test_bounds_take_unscored_verdicts_at_their_worst_and_best_on_the_judge_s_scale(
    maker: StoreMaker, ask: Ask
) -> None:
    pair(maker, {"1": 1.0, "2": "?", "only here": 1.0}, {"1": 0.0, "2": 1.0})
    pair(maker, {"1": 5.0, "2": "?"}, {"1": 4.0, "2": 4.0}, "aspects=rubric")
    maker.study(contrasts=(GAIN,))
    rows = {
        row["measure"]: (row["bound_low"], row["estimate"], row["bound_high"])
        for row in ask("from contrast_by_language_and_size")
    }
    # unscored is 0 or 1: (1 + (0 - 1)) / 2 and (1 + (1 - 1)) / 2
    assert rows["contains"] == (0.0, 1.0, 0.5)
    # unscored is 1 or 5: (1 + (1 - 4)) / 2 and (1 + (5 - 4)) / 2
    assert rows["aspects.depth"] == (-1.0, 1.0, 1.0)


def test_equal_differences_are_significant_from_six_items_on(maker: StoreMaker, ask: Ask) -> None:
    for language, n in (("en", 5), ("fr", 6)):
        pair(maker, {str(i): 1.0 for i in range(n)}, {str(i): 0.0 for i in range(n)}, language=language)
    pair(maker, {str(i): 1.0 for i in range(9)}, {str(i): 1.0 for i in range(9)}, language="es")
    maker.study(contrasts=(GAIN,))
    rows = {
        row["language"]: row["is_significant_uncorrected"]
        for row in ask("from contrast_by_language_and_size")
    }
    assert rows == {"en": False, "fr": True, "es": False}


def test_a_judge_s_distribution_is_no_sampling_error_and_stands_in_a_column_of_its_own(
    maker: StoreMaker, ask: Ask
) -> None:
    for method, scores, distribution in (
        ("tuned", {"1": 2.0, "2": 4.0}, {"1": 0.5, "3": 0.5}),
        ("prompted", {"1": 1.0, "2": 1.0}, None),
    ):
        maker.cell(method, scores={"aspects=rubric": {"depth": scores}}, distribution=distribution)
    maker.study(contrasts=(GAIN,))
    (row,) = ask("from contrast_by_language_and_size")
    assert row["standard_error"] == pytest.approx(1.0)
    found = ask(
        "select method, standard_error, judge_standard_deviation from score_by_method_language order by"
        " method"
    )
    assert [(one["standard_error"], one["judge_standard_deviation"]) for one in found] == [
        (0.0, None),
        (1.0, 1.0),
    ]


def test_the_length_adjusted_contrast_stands_beside_the_raw_one(maker: StoreMaker, ask: Ask) -> None:
    chance = random.Random(2)
    items = [str(i) for i in range(40)]
    long = {
        "tuned": {i: "x" * chance.randint(50, 200) for i in items},
        "prompted": {i: "x" * chance.randint(10, 120) for i in items},
    }
    scores = {
        method: {i: len(texts[i]) / 200 + chance.gauss(0, 0.05) for i in items}
        for method, texts in long.items()
    }
    for method, texts in long.items():
        maker.cell(method, scores={"contains": scores[method]}, texts=texts)
    maker.study(contrasts=(GAIN,))
    (row,) = ask("from contrast_by_language_and_size")

    def column(values: dict[str, float]) -> Any:
        return np.array([values[i] for i in sorted(items)])

    expected = length_adjusted(
        column(scores["tuned"]) - column(scores["prompted"]),
        column({i: len(t) for i, t in long["tuned"].items()}),
        column({i: len(t) for i, t in long["prompted"].items()}),
        items,
    ).estimate
    assert expected is not None
    assert row["is_significant"]
    assert row["length_adjusted_estimate"] == pytest.approx(expected.value)
    assert (row["length_adjusted_ci_low"], row["length_adjusted_ci_high"]) == pytest.approx(expected.interval)
    assert row["length_adjusted_ci_low"] < 0 < row["length_adjusted_ci_high"]
    assert row["unadjusted_reason"] is None


def test_a_gap_between_languages_is_a_difference_of_differences(maker: StoreMaker, ask: Ask) -> None:
    pair(maker, {"1": 3.0, "2": 2.0, "3": 1.0}, {"1": 0.0, "2": 0.0, "3": 0.0}, "length", language="en")
    pair(maker, {"3": 6.0, "2": 6.0, "1": 6.0}, {"1": 1.0, "2": 1.0, "3": 1.0}, "length", language="fr")
    maker.study(contrasts=(GAIN,))
    (row,) = ask("from language_gap")
    assert (row["language"], row["other_language"], row["is_paired"], row["n"]) == ("fr", "en", True, 3)
    # 5 - 3, 5 - 2, 5 - 1
    assert (row["estimate"], row["p_value"], row["n_tests"]) == (3.0, 0.25, 1)
    assert (row["ci_low"], row["ci_high"]) == pytest.approx(
        PairedTest(np.array([2.0, 3.0, 4.0]), None).interval(0.05)
    )
    assert (row["is_significant"], row["is_significant_uncorrected"], row["family"]) == (
        False,
        False,
        "exploratory",
    )


def test_a_gap_on_items_that_are_not_parallel_is_between_two_samples(maker: StoreMaker, ask: Ask) -> None:
    pair(maker, {"1": 3.0, "2": 2.0, "3": 1.0}, {"1": 0.0, "2": 0.0, "3": 0.0}, "length", language="en")
    pair(maker, {"1": 6.0, "2": 5.0}, {"1": 1.0, "2": 1.0}, "length", language="fr")
    maker.study(contrasts=(GAIN,), parallel=False)
    (row,) = ask("from language_gap")
    assert (row["estimate"], row["is_paired"], row["n"]) == (2.5, False, 2)
    assert row["p_value"] == pytest.approx(
        stats.ttest_ind([5.0, 4.0], [3.0, 2.0, 1.0], equal_var=False).pvalue
    )


@pytest.mark.parametrize("parallel", [True, False])
def test_a_gap_between_languages_holds_for_other_training_seeds(
    maker: StoreMaker, ask: Ask, parallel: bool
) -> None:
    """A method trained on each language by runs of its own: one seed is right on all French items, one on
    none."""
    items = [str(i) for i in range(20)]
    for language, scores in (("en", (0.0, 0.0, None)), ("fr", (1.0, 0.0, None))):
        maker.cell(
            "prompted", language=language, scores={"contains": {item: float(item == "0") for item in items}}
        )
        for seed, score in enumerate(scores):
            found: Scores = dict.fromkeys(items, "no answer" if score is None else score)
            maker.cell(
                "tuned", language=language, seed=seed, train_languages=(language,), scores={"contains": found}
            )
    maker.study(contrasts=(GAIN,), parallel=parallel)
    (row,) = ask("from language_gap")
    assert (row["estimate"], row["n_seeds"], row["n_seeds_missing"], row["scope"]) == (0.5, 2, 2, None)
    # half the distance of the two seeds' means
    assert row["standard_error"] >= 0.5
    assert (row["ci_low"], row["ci_high"]) == (-2.0, 2.0)
    assert (row["ci_low_corrected"], row["is_significant_uncorrected"]) == (-2.0, False)


@pytest.mark.parametrize("parallel", [True, False])
def test_what_a_seed_does_to_one_model_in_both_languages_cancels_out_of_their_gap(
    maker: StoreMaker, ask: Ask, parallel: bool
) -> None:
    items = [str(i) for i in range(12)]
    for seed, luck in enumerate((5.0, 0.0, -5.0)):
        train = (maker.train("sft", [float(seed)]),)
        for language, gain in (("en", 0.0), ("fr", 1.0)):
            scores: Scores = {item: luck + gain + i % 3 / 10 * (1 + gain) for i, item in enumerate(items)}
            maker.cell(
                "tuned",
                language=language,
                seed=seed,
                train_languages=("en",),
                train=train,
                scores={"length": scores},
            )
    for language in ("en", "fr"):
        maker.cell("prompted", language=language, scores={"length": dict.fromkeys(items, 0.0)})
    maker.study(contrasts=(GAIN,), parallel=parallel)
    (row,) = ask("from language_gap")
    assert row["estimate"] == pytest.approx(1.1)
    assert (row["is_significant"], row["n_seeds"]) == (True, 3)


def test_with_one_training_seed_contrast_and_gap_are_for_this_one_trained_model(
    maker: StoreMaker, ask: Ask
) -> None:
    items = [str(i) for i in range(12)]
    for language in ("en", "fr"):
        for method, score, tuned in (("base", 0.0, ()), ("prompted", 0.0, ()), ("tuned", 1.0, ("en",))):
            maker.cell(
                method,
                language=language,
                train_languages=tuned,
                seed=0 if tuned else None,
                scores={"contains": dict.fromkeys(items, score)},
            )
    maker.study(contrasts=(GAIN, OTHER))
    for view in ("contrast_by_language_and_size", "language_gap"):
        scopes = {
            (row["contrast"], row["n_seeds"], row["n_seeds_missing"], row["scope"])
            for row in ask(f"from {view}")
        }
        assert scopes == {("gain", 1, 0, "this one trained model"), ("other", None, 0, None)}


def test_gaps_compare_methods_tuned_on_the_same_or_each_on_its_own_language(
    maker: StoreMaker, ask: Ask
) -> None:
    for language in ("en", "fr"):
        maker.cell("prompted", language=language, scores={"contains": {"1": 0.0, "2": 0.0}})
        for tuned_on in ("en", "fr"):
            maker.cell(
                "tuned",
                language=language,
                train_languages=(tuned_on,),
                scores={"contains": {"1": 1.0, "2": 0.0}},
            )
    maker.study(contrasts=(GAIN,))
    rows = ask("select other_of_train_languages, of_train_languages from language_gap order by all")
    assert [tuple(row.values()) for row in rows] == [("en", "en"), ("en", "fr"), ("fr", "fr")]


def test_a_trend_over_sizes_tells_where_two_methods_are_equal(maker: StoreMaker, ask: Ask) -> None:
    chance = random.Random(3)
    for model, size, gain in (("s", 10**8, -1.0), ("m", 10**9, 0.0), ("n", 10**9, 0.1), ("l", 10**10, 1.0)):
        against: Scores = {str(i): chance.gauss(0, 1) for i in range(30)}
        of: Scores = {i: float(score or 0) + gain + chance.gauss(0, 0.2) for i, score in against.items()}
        pair(maker, of, against, model=model, num_parameters=size)
    maker.study(contrasts=(GAIN,))
    (row,) = ask("from size_trend")
    assert row["slope"] == pytest.approx(1.0, abs=0.1)
    assert row["is_significant_uncorrected"]
    assert (row["smallest"], row["largest"]) == (10**8, 10**10)
    assert (row["at_smallest"], row["at_largest"]) == pytest.approx((-1, 1), abs=0.1)
    assert row["crossing_low"] < row["crossing"] < row["crossing_high"]
    assert row["crossing"] == pytest.approx(10**9, rel=0.2)
    assert (row["n"], row["n_items"], row["n_sizes"], row["n_models"]) == (120, 30, 3, 4)
    assert (row["no_slope_reason"], row["no_crossing_reason"]) == (None, None)


def test_scores_of_each_method_have_a_trend_of_their_own(maker: StoreMaker, ask: Ask) -> None:
    items = [str(i) for i in range(12)]
    other = ContrastPlan(name="same", of="tuned", against="base")
    for power in (6, 7, 8, 9):
        for method, score in (("tuned", power / 10), ("prompted", 0.5), ("base", 1 - power / 10)):
            scores: Scores = {i: score + int(i) / 100 for i in items}
            maker.cell(method, scores={"contains": scores}, model=f"m{power}", num_parameters=10**power)
    maker.study(contrasts=(GAIN, other))
    rows = {row["method"]: row for row in ask("from score_size_trend")}
    assert {method: row["slope"] for method, row in rows.items()} == pytest.approx(
        {"tuned": 0.1, "prompted": 0.0, "base": -0.1}
    )
    assert {(row["n"], row["n_models"], row["n_sizes"]) for row in rows.values()} == {(48, 4, 4)}
    # the mean of 0 … 11 hundredths on top
    assert (rows["tuned"]["at_smallest"], rows["tuned"]["at_largest"]) == pytest.approx((0.655, 0.955))


@pytest.mark.parametrize("parallel", [True, False])
def test_a_gap_between_languages_has_a_trend_over_sizes_where_items_are_parallel(
    maker: StoreMaker, ask: Ask, parallel: bool
) -> None:
    items = [str(i) for i in range(12)]
    for power in (6, 7, 8, 9):
        for language, gain in (("en", power / 10), ("fr", 1.0)):
            against: Scores = {i: int(i) / 100 for i in items}
            of: Scores = {i: float(score or 0) + gain for i, score in against.items()}
            pair(maker, of, against, language=language, model=f"m{power}", num_parameters=10**power)
    maker.study(contrasts=(GAIN,), parallel=parallel)
    rows = ask("from language_gap_size_trend")
    assert len(rows) == parallel
    for row in rows:
        assert (row["language"], row["other_language"], row["n_models"], row["n_items"]) == (
            "fr",
            "en",
            4,
            12,
        )
        # 1.0 - 0.6 at a million parameters, 1.0 - 0.9 at a milliard
        assert row["slope"] == pytest.approx(-0.1)
        assert (row["at_smallest"], row["at_largest"]) == pytest.approx((0.4, 0.1))


def test_the_interaction_of_method_size_and_language_can_be_declared_and_is_corrected_with_all_that_is(
    maker: StoreMaker, ask: Ask
) -> None:
    """Four models, on each of which the gain in French falls behind that in English by 0.1 for ten times the
    parameters."""
    chance = random.Random(8)
    items = [str(i) for i in range(20)]
    for power in (6, 7, 8, 9):
        for language, gain in (("en", power / 10), ("fr", 1.0)):
            against: Scores = {i: chance.gauss(0, 0.01) for i in items}
            of: Scores = {i: float(score or 0) + gain + chance.gauss(0, 0.01) for i, score in against.items()}
            pair(maker, of, against, "length", language=language, model=f"m{power}", num_parameters=10**power)
    declared = {"of": "tuned", "against": "prompted", "on": ("length",)}
    by = {"both": ("language", "size"), "size": ("size",), "language": ("language",), "none": ()}
    maker.study(
        contrasts=tuple(
            ContrastPlan.model_validate({**declared, "name": name, "by": what}) for name, what in by.items()
        )
    )
    views = ("contrast_by_language_and_size", "language_gap", "size_trend", "language_gap_size_trend")
    rows = {view: ask(f"from {view} order by contrast") for view in views}
    families = {view: {(row["contrast"], row["family"]) for row in found} for view, found in rows.items()}
    # each declared contrast is confirmatory in one place and nowhere else; only the plain one is explored in
    # the others
    assert families == {
        "contrast_by_language_and_size": {("none", "confirmatory")},
        "language_gap": {("language", "confirmatory"), ("none", "exploratory")},
        "size_trend": {("size", "confirmatory"), ("none", "exploratory")},
        "language_gap_size_trend": {("both", "confirmatory"), ("none", "exploratory")},
    }
    confirmatory = [row for found in rows.values() for row in found if row["family"] == "confirmatory"]
    # eight differences, four gaps, a trend in either language, one trend of gaps
    assert {(row["n_tests"], row["correction"]) for row in confirmatory} == {(15, "holm")}
    assert len(confirmatory) == 15
    assert [row["p_corrected"] for row in confirmatory] == pytest.approx(
        [one.p_value for one in correct([row["p_value"] for row in confirmatory], "holm")]
    )
    both = next(row for row in rows["language_gap_size_trend"] if row["contrast"] == "both")
    assert (both["language"], both["other_language"], both["slope"]) == (
        "fr",
        "en",
        pytest.approx(-0.1, abs=0.01),
    )
    assert both["ci_low_corrected"] < both["ci_low"] < both["slope"] < both["ci_high"] < 0
    assert (both["ci_high_corrected"] < 0) == both["is_significant"]


def test_below_four_models_a_declared_interaction_claims_nothing(maker: StoreMaker, ask: Ask) -> None:
    for power in (7, 8, 9):
        for language in ("en", "fr"):
            scores: tuple[Scores, Scores] = (
                {str(i): i + power for i in range(12)},
                {str(i): 0.0 for i in range(12)},
            )
            pair(maker, *scores, "length", language=language, model=f"m{power}", num_parameters=10**power)
    maker.study(
        contrasts=(
            ContrastPlan(
                name="both", of="tuned", against="prompted", on=("length",), by=("language", "size")
            ),
        )
    )
    (row,) = ask("from language_gap_size_trend")
    assert (row["family"], row["slope"], row["p_value"], row["p_corrected"], row["n_tests"]) == (
        "confirmatory",
        None,
        None,
        None,
        0,
    )
    assert row["no_slope_reason"] == "3 models of known size with two items or more, and a trend needs 4"


def test_methods_that_no_contrast_names_have_trends_of_their_scores_too(maker: StoreMaker, ask: Ask) -> None:
    for power in (6, 7, 8, 9):
        for seed in (0, 1):
            scores: Scores = {str(i): power / 10 + i / 100 + seed for i in range(12)}
            maker.cell(
                "alone",
                seed=seed,
                train_languages=("en",),
                scores={"length": scores},
                model=f"m{power}",
                num_parameters=10**power,
            )
    maker.study()
    (row,) = ask("from score_size_trend")
    assert (row["method"], row["train_languages"], row["family"], row["n"]) == (
        "alone",
        "en",
        "exploratory",
        48,
    )
    assert (row["slope"], row["at_smallest"]) == pytest.approx((0.1, 0.6 + 0.055 + 0.5))
    assert (row["n_seeds"], row["n_seeds_missing"]) == (2, 0)
    # every model's mean has the variance of two seeds that are 1 apart, 1/2 / 2, over sizes 3/2, 1/2, 1/2,
    # 3/2 from their mean
    assert row["standard_error"] == pytest.approx((0.25 / 5) ** 0.5)


def test_a_trend_of_contrasts_holds_for_other_training_seeds_and_carries_them(
    maker: StoreMaker, ask: Ask
) -> None:
    items = [str(i) for i in range(12)]
    for power in (6, 7, 8, 9):
        maker.cell(
            "prompted",
            scores={"length": {i: int(i) / 10 for i in items}},
            model=f"m{power}",
            num_parameters=10**power,
        )
        for seed, luck in ((0, 0.5), (1, -0.5), (2, None)):
            found: Scores = {i: "no answer" if luck is None else int(i) / 10 + luck + power for i in items}
            maker.cell(
                "tuned",
                seed=seed,
                train_languages=("en",),
                scores={"length": found},
                model=f"m{power}",
                num_parameters=10**power,
            )
    maker.study(contrasts=(GAIN,))
    (row,) = ask("from size_trend")
    assert (row["n_seeds"], row["n_seeds_missing"]) == (2, 4)
    assert row["standard_error"] == pytest.approx((0.25 / 5) ** 0.5)


def test_what_sizes_cannot_say_they_do_not_say(maker: StoreMaker, ask: Ask) -> None:
    for language, sizes in (
        ("en", (10**8, 10**9, 10**10)),
        ("fr", (10**8, 10**8, 10**9, 10**9)),
        ("es", (None, None)),
    ):
        for n, size in enumerate(sizes):
            pair(
                maker,
                {"1": 1.0, "2": 0.5},
                {"1": 0.0, "2": 0.0},
                model=f"{language}-{n}",
                language=language,
                num_parameters=size,
            )
    maker.study(contrasts=(GAIN,))
    rows = {row["language"]: row for row in ask("from size_trend")}
    assert (
        rows["en"]["no_slope_reason"] == "3 models of known size with two items or more, and a trend needs 4"
    )
    assert rows["fr"]["no_slope_reason"] == "2 sizes were measured, and a trend needs 3"
    assert rows["es"]["no_slope_reason"] == "sizes are not known"
    assert all(
        row["no_crossing_reason"] == f"not estimable: {row['no_slope_reason']}" for row in rows.values()
    )
    assert {row["slope"] for row in rows.values()} == {None}


def test_one_model_has_no_trend_and_one_language_no_gap(maker: StoreMaker, ask: Ask) -> None:
    pair(maker, {"1": 1.0, "2": 0.5}, {"1": 0.0, "2": 0.0})
    maker.study(contrasts=(GAIN,))
    assert (
        ask("from size_trend")
        == ask("from score_size_trend")
        == ask("from language_gap_size_trend")
        == ask("from language_gap")
        == ask("from method_strength")
        == []
    )


def test_strengths_come_from_every_comparison_whichever_side_it_was_judged_from(
    maker: StoreMaker, ask: Ask
) -> None:
    base = maker.cell("base", texts={"1": "a"})
    prompted = maker.cell(
        "prompted",
        scores={"duel=contains": {"1": 1.0, "2": 1.0, "3": 0.0, "4": "?"}},
        against={"base": base.generate},
    )
    wins: Scores = {"1": 1.0, "2": 0.0, "3": 0.5}
    maker.cell(
        "tuned",
        train_languages=("en",),
        scores={"duel=contains": wins},
        against={"base": base.generate, "prompted": prompted.generate},
    )
    maker.study()
    rows = {(row["method"], row["train_languages"]): row for row in ask("from method_strength")}
    assert {row["measure"] for row in rows.values()} == {"duel"}
    assert {key: (row["n"], row["n_items"]) for key, row in rows.items()} == {
        ("base", ""): (6, 3),
        ("prompted", ""): (6, 3),
        ("tuned", "en"): (6, 3),
    }
    # base: lost 2 of 3, 1.5 of 3; prompted: won 2 of 3, 1.5 of 3; tuned: 1.5 of 3 twice
    assert rows["prompted", ""]["win_rate"] == pytest.approx(3.5 / 6)
    assert rows["base", ""]["win_rate"] == pytest.approx(2.5 / 6)
    assert rows["tuned", "en"]["strength"] == pytest.approx(0, abs=1e-9)
    assert rows["prompted", ""]["strength"] == pytest.approx(-rows["base", ""]["strength"])
    assert rows["prompted", ""]["strength"] > 0
    assert rows["prompted", ""]["ci_low"] < rows["prompted", ""]["strength"] < rows["prompted", ""]["ci_high"]
    assert not any(row["is_regularised"] for row in rows.values())


def test_a_step_that_is_loaded_later_is_in_the_statistics_of_every_study_that_asks_for_it(
    maker: StoreMaker,
) -> None:
    pair(maker, {"1": 1.0, "2": 1.0}, {"1": 0.0, "2": 0.0})
    cells = list(maker.cells)
    studies = []
    for name in ("one", "two"):
        maker.cells = [
            cell.model_copy(update={"cell_id": f"cell-{name}-{i}"}) for i, cell in enumerate(cells)
        ]
        studies.append(maker.study(name, contrasts=(GAIN,)))
    steps = studies[0].step_ids
    late = [cells[0].judges["contains"].step]
    connect(maker.folder / WAREHOUSE).close()  # where there is none, all is loaded
    for study in studies:
        load_store(maker.folder, [step for step in steps if step not in late], study)
    assert p_values(maker) == []
    load_store(maker.folder, late)
    assert p_values(maker) == [("one", 0.5), ("two", 0.5)]


def test_nothing_is_computed_again_when_nothing_was_loaded(maker: StoreMaker) -> None:
    pair(maker, {"1": 1.0, "2": 1.0}, {"1": 0.0, "2": 0.0})
    study = maker.study(contrasts=(GAIN,))
    load_store(maker.folder, study.step_ids, study)
    with connect(maker.folder / WAREHOUSE) as connection:
        connection.execute("update contrast_tests set p_value = 0.125")
    load_store(maker.folder, study.step_ids, study)
    assert p_values(maker) == [("trial", 0.125)]
    load_store(maker.folder, study.step_ids, study.model_copy(update={"question": "Another?"}))
    assert p_values(maker) == [("trial", 0.5)]


def killed(*_: object) -> None:
    raise KeyboardInterrupt


def test_a_load_that_was_killed_before_it_computed_is_made_good_by_the_next(
    maker: StoreMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    pair(maker, {"1": 1.0, "2": 1.0}, {"1": 0.0, "2": 0.0})
    study = maker.study(contrasts=(GAIN,))
    connect(maker.folder / WAREHOUSE).close()  # where there is none, all is loaded
    load_store(maker.folder, study.step_ids[:-1], study)
    with monkeypatch.context() as patch:
        patch.setattr("warehouse.statistics.refresh.refresh_stale", killed)
        with pytest.raises(KeyboardInterrupt):
            load_store(maker.folder, study.step_ids[-1:])
    assert p_values(maker) == []
    load_store(maker.folder, study.step_ids)
    assert p_values(maker) == [("trial", 0.5)]


def p_values(maker: StoreMaker) -> list[tuple[str, float]]:
    with connect(maker.folder / WAREHOUSE, read_only=True) as connection:
        return connection.execute("select experiment, p_value from contrast_tests order by all").fetchall()


def test_pairs_lie_in_order_so_that_every_rebuild_sums_them_alike(maker: StoreMaker, ask: Ask) -> None:
    chance = random.Random(5)
    for language in ("en", "fr"):
        pair(
            maker,
            {f"{i}": chance.random() for i in range(40)},
            {f"{i}": chance.random() for i in range(40)},
            language=language,
        )
    maker.study(contrasts=(GAIN,))
    assert ask("from paired_scores") == ask("from paired_scores order by all")
