"""Values in, sentences out: the answer says what the numbers say and no more."""

from typing import Any

import pytest

from warehouse.charts.theme import Order
from warehouse.report.answer import best_methods, by_size, differences, interactions, leaders
from warehouse.report.caveats import Caveat, caveats
from warehouse.report.judging import judging

ORDER = Order(
    methods=("zero_shot", "urial", "sft", "instruct"), models=("tiny",), languages=("en", "fr", "es")
)


def contrast(
    of: str, against: str, language: str, estimate: float | None, half: float | None, **more: Any
) -> dict[str, Any]:
    interval = (None, None) if estimate is None or half is None else (estimate - half, estimate + half)
    return {
        "contrast": f"{of}_{against}",
        "of": of,
        "against": against,
        "dataset": "facts",
        "language": language,
        "model": "tiny",
        "of_train_languages": "",
        "against_train_languages": "",
        "judge": more.get("measure", "contains"),
        "measure": "contains",
        "estimate": estimate,
        "ci_low": interval[0],
        "ci_high": interval[1],
        "is_significant_uncorrected": None if estimate is None or half is None else abs(estimate) > half,
        "is_significant": (
            None
            if estimate is None or half is None
            else abs(estimate) > half and (more.get("p_corrected", 0.004) or 1) < 0.05
        ),
        "could_be_significant": True,
        "p_corrected": 0.004,
        "family": "confirmatory",
        "correction": "holm",
        "n_tests": 3,
        "n": 12,
        **more,
    }


def score(method: str, language: str, mean: float | None, **more: Any) -> dict[str, Any]:
    return {
        "dataset": "facts",
        "language": language,
        "model": "tiny",
        "method": method,
        "train_languages": "",
        "measure": "contains",
        "mean_score": mean,
        "ci_low": None if mean is None else mean - 0.1,
        "ci_high": None if mean is None else mean + 0.1,
        "n": 0 if mean is None else 12,
        "item_set_id": None if mean is None else more.get("n", 12),
        "n_unscored": 12 if mean is None else 0,
        **more,
    }


def test_a_difference_whose_interval_excludes_zero_is_told_with_its_numbers_and_the_rest_is_counted() -> None:
    rows = [contrast("urial", "instruct", "en", 0.02, 0.2), contrast("urial", "instruct", "fr", 0.12, 0.09)]
    assert differences(rows, ORDER) == [
        "urial beats instruct on `contains` by 0.12 [0.03, 0.21] in fr (n = 12 items; corrected p = 0.004).",
        "No significant difference in the other 1 of 2 comparisons on `contains`.",
    ]


def test_a_negative_difference_is_reported_from_the_winners_side() -> None:
    rows = [contrast("urial", "instruct", "en", -0.3, 0.1)]
    assert differences(rows, ORDER) == [
        "instruct beats urial on `contains` by 0.30 [0.20, 0.40] in en (n = 12 items; corrected p = 0.004)."
    ]


def test_languages_in_which_the_same_method_wins_share_a_sentence_in_the_studys_order() -> None:
    rows = [
        contrast("urial", "zero_shot", "fr", 0.5, 0.1, n=10, p_corrected=0.03),
        contrast("urial", "zero_shot", "en", 0.4, 0.1),
    ]
    assert differences(rows, ORDER) == [
        "urial beats zero_shot on `contains` by 0.40 [0.30, 0.50] in en and 0.50 [0.40, 0.60] in fr (n = 10"
        " to 12 items; corrected p ≤ 0.030)."
    ]


def test_each_pair_of_methods_is_named_before_one_is_named_twice() -> None:
    rows = [
        contrast("urial", "zero_shot", "en", 0.9, 0.1),
        contrast("urial", "zero_shot", "en", 0.8, 0.1, measure="exact"),
        contrast("urial", "zero_shot", "en", 0.7, 0.1, measure="numeric"),
        contrast("sft", "urial", "en", 0.2, 0.1),
    ]
    said = differences(rows, ORDER)
    assert [sentence.split(" on ")[0] for sentence in said[:3]] == [
        "urial beats zero_shot",
        "sft beats urial",
        "urial beats zero_shot",
    ]
    assert said[3] == "1 more paired comparison is significant below."


def test_when_nothing_is_significant_the_answer_says_so_and_counts_exact_ties() -> None:
    rows = [contrast("urial", "instruct", "en", 0.0, 0.2), contrast("urial", "instruct", "fr", 0.1, 0.2)]
    assert differences(rows, ORDER) == [
        "No significant difference on `contains` (0 of 2 comparisons) (1 is an exact tie)."
    ]


def test_a_single_contrast_that_contains_zero_is_told_with_its_numbers() -> None:
    said = differences([contrast("urial", "instruct", "en", -0.05, 0.2)], ORDER)
    assert said == [
        "No significant difference: urial minus instruct on `contains` in en (n = 12 items) is −0.05 [−0.25,"
        " 0.15]."
    ]


def test_what_is_significant_only_uncorrected_is_not_significant_and_that_is_said() -> None:
    rows = [
        contrast("urial", "instruct", "en", 0.3, 0.2, p_corrected=0.06),
        contrast("urial", "instruct", "fr", 0.6, 0.2),
        contrast("urial", "instruct", "es", 0.1, 0.2, p_corrected=0.9),
    ]
    assert (
        differences(rows, ORDER)[1]
        == "No significant difference in the other 2 of 3 comparisons on `contains`; 1 is significant"
        " uncorrected."
    )
    assert differences(rows[:1], ORDER)[0].endswith("0.30 [0.10, 0.50]; 1 is significant uncorrected.")


def test_an_interval_without_a_test_is_not_significant() -> None:
    assert differences([contrast("urial", "instruct", "en", 0.3, 0.2, p_corrected=None)], ORDER)[
        0
    ].startswith("No significant difference")


def test_an_interval_that_touches_zero_is_not_significant() -> None:
    assert differences([contrast("urial", "instruct", "en", 0.25, 0.25)], ORDER)[0].startswith(
        "No significant difference"
    )


def test_a_small_bound_is_not_rounded_to_zero() -> None:
    assert "0.100 [0.004, 0.196]" in differences([contrast("urial", "instruct", "en", 0.1, 0.096)], ORDER)[0]


def test_the_model_is_named_where_there_are_several_and_the_training_language_where_it_is_another_one() -> (
    None
):
    several = Order(ORDER.methods, ("tiny", "small"), ORDER.languages)
    said = differences([contrast("sft", "urial", "fr", 0.5, 0.1, of_train_languages="en")], several)
    assert said == [
        "sft beats urial on `contains` with tiny by 0.50 [0.40, 0.60] in fr (tuned on en) (n = 12 items;"
        " corrected p = 0.004)."
    ]


def test_what_was_checked_is_told_before_what_a_model_thinks_though_that_be_clearer() -> None:
    rows = [
        contrast("urial", "sft", "en", 0.9, 0.1, judge="quality", measure="quality.depth"),
        contrast("urial", "sft", "en", 0.0, 0.3),
        contrast("urial", "sft", "fr", 0.1, 0.3),
    ]
    assert differences(rows, ORDER, opinions=["quality"]) == [
        "No significant difference on `contains` (0 of 2 comparisons) (1 is an exact tie).",
        "urial beats sft on `quality.depth` by 0.90 [0.80, 1.00] in en (n = 12 items; corrected p = 0.004).",
    ]


def test_too_few_items_to_be_significant_is_said_instead_of_no_difference() -> None:
    rows = [
        contrast("urial", "sft", lang, 0.1, 0.3, n=9, n_tests=18, could_be_significant=False)
        for lang in ("en", "fr")
    ]
    assert differences(rows, ORDER) == [
        "With 9 items and 18 tests no difference on `contains` could have been significant after Holm's"
        " correction, whatever the answers."
    ]


def test_comparisons_that_could_not_have_been_significant_are_counted_beside_those_that_could() -> None:
    rows = [
        contrast("urial", "urial_en", "fr", 0.9, 0.1, n=13, n_tests=18),
        contrast("urial", "sft", "en", 0.1, 0.3, n=9, n_tests=18, could_be_significant=False),
        contrast("urial", "sft", "fr", 0.1, 0.3, n=13, n_tests=18),
    ]
    said = (
        "No significant difference in the other 2 of 3 comparisons on `contains`; 1 could not have been, with"
        " 9 items and 18 tests."
    )
    assert differences(rows, ORDER)[1] == said
    assert differences(rows[1:], ORDER) == [
        "No significant difference on `contains` (0 of 2 comparisons); 1 could not have been, with 9 items"
        " and 18 tests."
    ]


def test_what_was_declared_comes_first_in_the_studys_order_and_the_rest_is_called_exploratory() -> None:
    rows = [
        contrast("sft", "urial", "en", 0.2, 0.1),
        contrast("urial", "zero_shot", "en", 0.9, 0.1),
        contrast("urial", "instruct", "en", 0.8, 0.1, family="exploratory", correction="benjamini_yekutieli"),
    ]
    assert [sentence.split(" on ")[0] for sentence in differences(rows, ORDER)] == [
        "sft beats urial",
        "urial beats zero_shot",
        "Exploratory: urial beats instruct",
    ]


def test_no_contrast_no_pairs_and_too_few_pairs_are_said() -> None:
    assert differences([], ORDER)[0].startswith("The study names no contrast")
    assert differences([contrast("urial", "instruct", "en", None, None, n=0)], ORDER) == [
        "No difference can be tested: of 1 comparison, none has two items that were answered and scored on"
        " both sides."
    ]
    half = [
        contrast("urial", "instruct", "en", 0.5, 0.1),
        contrast("urial", "instruct", "fr", 0.5, None, n=1),
    ]
    assert differences(half, ORDER)[-1] == "1 comparison had too few items for an interval."


def test_the_highest_mean_is_named_and_equal_means_are_a_tie() -> None:
    rows = [
        score("zero_shot", "fr", 0.25),
        score("urial", "en", 0.58),
        score("zero_shot", "en", 0.1),
        score("sft", "fr", 0.25),
        score("instruct", "fr", None),
    ]
    best = best_methods(rows, ORDER)
    assert (
        leaders(best, 4)
        == "Highest mean on `contains`: urial in en (0.58 [0.48, 0.68], n = 12) and a tie of zero_shot"
        " and sft in fr (0.25, n = 12)."
    )


def test_highest_means_are_not_compared_across_unequal_sets_of_items() -> None:
    rows = [
        score("urial", "en", 0.841, n=294),
        score("sft", "en", 0.847, n=272),
        score("urial", "fr", 0.5),
        score("sft", "fr", 0.4),
    ]
    best = best_methods(rows, ORDER)
    assert {b.language: b.methods for b in best} == {"en": (), "fr": ("urial",)}
    assert (
        leaders(best, 2) == "Highest mean on `contains`: urial in fr (0.50 [0.40, 0.60], n = 12). "
        "Methods were scored on unequal sets of items in en, so no highest mean is named there."
    )


@pytest.mark.parametrize(("n", "item_set_id"), [(12, 7), (11, 7)])
def test_as_many_items_are_not_the_same_items(n: int, item_set_id: int) -> None:
    rows = [score("urial", "en", 0.9, n=n, item_set_id=item_set_id), score("sft", "en", 0.1)]
    assert [b.methods for b in best_methods(rows, ORDER)] == [()]
    assert "Methods were scored on unequal sets of items in en" in leaders(best_methods(rows, ORDER), 2)
    sizes = [row | {"method": "sft", "num_parameters": size} for size, row in enumerate(rows, 1)]
    assert by_size(sizes, ORDER) == [
        "`contains` was scored on unequal sets of items in en, so these means are not compared."
    ]


def test_with_one_method_there_is_nothing_to_compare() -> None:
    said = leaders(best_methods([score("urial", "en", 0.5)], ORDER), 1)
    assert (
        said == "There is one method, so there is nothing to compare. On `contains`: urial in en (0.50 [0.40,"
        " 0.60], n = 12)."
    )


def test_one_method_on_several_models_is_told_by_size_where_intervals_do_not_overlap() -> None:
    def at(model: str, size: int, language: str, mean: float, measure: str = "loop") -> dict[str, Any]:
        return score("instruct", language, mean, model=model, num_parameters=size, measure=measure)

    rows = [
        at("small", 100, "en", 0.4),
        at("middle", 200, "en", 0.5),
        at("large", 300, "en", 0.9),
        at("small", 100, "fr", 0.8),
        at("large", 300, "fr", 0.9),
        at("small", 100, "en", 0.5, "empty"),
        at("large", 300, "en", 0.6, "empty"),
    ]
    assert by_size(rows, ORDER) == [
        (
            "Exploratory: `loop` goes from small to large from 0.40 [0.30, 0.50] (n = 12) to 0.90 [0.80,"
            " 1.00] (n = 12) in en; no clear change in fr."
        ),
        "Exploratory: `empty` does not change clearly from small to large.",
    ]
    assert by_size([*rows, score("urial", "en", 0.5, num_parameters=100)], ORDER) == []
    assert by_size(rows[:1], ORDER) == []


def test_what_was_not_scored_has_no_best() -> None:
    assert leaders(best_methods([score("urial", "en", None)], ORDER), 2) == "Nothing has been scored."


def test_equal_scores_have_no_interval_that_pretends_to_certainty() -> None:
    best = best_methods([score("urial", "en", 0.0, ci_low=0.0, ci_high=0.0)], ORDER)
    assert best[0].shown == "0.00 [no spread]"


UNSCORED = [
    {"measure": "contains", "n": 30, "n_unscored": 6, "most_common_reason": "no accepted\nanswer"},
    {"measure": "loop", "n": 36, "n_unscored": 0, "most_common_reason": None},
]


def test_caveats_tell_small_samples_tests_judges_and_the_unscored() -> None:
    contrasts = [
        contrast("urial", "instruct", language, 0.1, half)
        for language, half in (("en", 0.2), ("fr", 0.3), ("es", 0.4))
    ]
    found = caveats(contrasts, [], UNSCORED, opinions=[Caveat(4, "`quality` is an opinion.")])
    small, opinion, left_out, tests = [caveat.whole for caveat in found]
    assert opinion == "`quality` is an opinion."
    assert small.startswith(
        "Small samples: comparisons rest on 12 items. On `contains` their intervals reach ±0.30 in the median"
    )
    assert tests.startswith(
        "Differences tested: 3 confirmatory (Holm's correction). Significant means after that correction"
    )
    assert left_out.startswith(
        "8.3% of 72 verdicts are unscored (most of them by `contains`, most often: “no accepted answer”)"
    )
    assert all("\n" not in caveat.headline and len(caveat.headline) < 140 for caveat in found)


@pytest.mark.parametrize(
    ("main", "contrasts", "scores", "opinions"),
    [
        (
            "`quality` is worse",
            [contrast("urial", "sft", "en", 0.1, 0.2)],
            [],
            [Caveat(6, "`quality` is worse.")],
        ),
        (
            "Small samples",
            [contrast("urial", "sft", "en", 0.1, 0.2)],
            [score("urial", "en", 0.5)],
            [Caveat(4, "`quality` is unmeasured.")],
        ),
        (
            "`quality` is unmeasured",
            [contrast("urial", "sft", "en", 0.1, 0.2, n=60)],
            [],
            [Caveat(4, "`quality` is unmeasured.")],
        ),
        (
            "8.3% of 72 verdicts",
            [contrast("urial", "sft", "en", 0.1, 0.2, n=500)],
            [score("urial", "en", 0.5)],
            [Caveat(4, "`quality` …")],
        ),
        ("`quality` …", [contrast("urial", "sft", "en", 0.1, 0.2, n=500)], [], [Caveat(4, "`quality` …")]),
    ],
)
def test_the_main_caveat_is_the_one_that_leaves_most_open(
    main: str, contrasts: Any, scores: Any, opinions: Any
) -> None:
    """The answer's own measure lacks a sixth of its scores in the fourth case; in the fifth the answer rests
    on others."""
    assert caveats(contrasts, scores, UNSCORED, opinions=opinions)[0].headline.startswith(main)


def test_languages_that_a_judge_or_the_items_keep_from_being_compared_are_a_caveat() -> None:
    sizes = [{"measure": "quality.depth", "warning": "a raw mean"}, {"measure": "contains", "warning": None}]
    strict, items = caveats([], [], [], sizes=sizes, own_items=["m_ifeval"])
    assert strict.whole.startswith("Compare means on `quality.depth` within a language only")
    assert items.whole.startswith("Each language has items of its own on m_ifeval")


def test_intervals_without_width_do_not_make_small_samples_look_precise() -> None:
    rows = [contrast("urial", "sft", "en", 0.0, half, n_tests=1) for half in (0.0, 0.0, 0.4)]
    assert "reach ±0.40 in the median" in caveats(rows, [], [])[0].whole
    assert [caveat.whole for caveat in caveats(rows[:1], [], [])] == [
        "Small samples: comparisons rest on 12 items."
    ]


def test_large_samples_with_everything_scored_need_no_caveat() -> None:
    assert caveats([contrast("urial", "instruct", "en", 0.1, 0.05, n=800, n_tests=1)], [], []) == []


def held(
    language: str,
    auc: float | None,
    interval: tuple[float, float] | None,
    right: int,
    wrong: int,
    **more: Any,
) -> dict[str, Any]:
    low, high = interval or (None, None)
    names = {
        "dataset": "facts",
        "language": language,
        "judge": "quality",
        "measure": "quality.depth",
        "checked_measure": "correct",
    }
    return {
        **names,
        "auc": auc,
        "ci_low": low,
        "ci_high": high,
        "n_right": right,
        "n_wrong": wrong,
        "n": right + wrong,
        **more,
    }


NO_PEOPLE = " Its agreement with people was not measured."


def said_of(models: dict[str, str], checked: list[dict[str, Any]]) -> list[str]:
    opinions = {judge: f"the opinion of a model, {model}" for judge, model in models.items()}
    said = [caveat.whole for caveat in judging(opinions, checked, [], [], ORDER, stands_alone=True)]
    assert all(one.endswith(NO_PEOPLE) for one in said)
    return [one.removesuffix(NO_PEOPLE) for one in said]


@pytest.mark.parametrize(
    ("rows", "stands_alone", "weight", "headline"),
    [
        ([], True, 4, "`quality` is an opinion; how well it judges was not measured here."),
        ([], False, 2, "`quality` is an opinion; how well it judges was not measured here."),
        (
            [("en", 0.5, (0.4, 0.6))],
            True,
            4,
            "`quality` is an opinion; it does not differ significantly from chance.",
        ),
        (
            [("en", 0.8, (0.7, 0.9)), ("fr", 0.3, (0.2, 0.4))],
            True,
            6,
            "`quality` is an opinion, and judges worse than chance in fr.",
        ),
        (
            [("fr", 0.3, (0.2, 0.4))],
            False,
            3,
            "`quality` is an opinion, and judges worse than chance in fr.",
        ),
        ([("en", 0.8, (0.7, 0.9))], True, 1, "`quality` is an opinion."),
    ],
)
def test_an_opinion_weighs_by_how_it_judges_and_by_what_else_the_answer_rests_on(
    rows: list[Any], stands_alone: bool, weight: int, headline: str
) -> None:
    checked = [held(language, auc, interval, 40, 40) for language, auc, interval in rows]
    (found,) = judging({"quality": "an opinion"}, checked, [], [], ORDER, stands_alone)
    assert (found.weight, found.headline) == (weight, headline)


def test_an_opinion_that_people_labelled_too_is_told_with_its_agreement() -> None:
    kinds = {
        "judge_a": "anna",
        "judge_b": "quality",
        "measure_a": "anna.depth",
        "measure_b": "quality.depth",
        "n": 60,
    }
    people = [
        {**kinds, "language": language, "krippendorff_alpha": alpha}
        for language, alpha in (("en", 0.7), ("all", 0.54))
    ]
    (found,) = judging({"quality": "an opinion"}, [], people, [], ORDER, stands_alone=True)
    assert found.weight == 1
    assert (
        found.whole
        == "`quality` is an opinion. Its agreement with people, Krippendorff's α, is 0.54 with `anna.depth`"
        " (n = 60 answers): 0.70 (n = 60) in en; not measured in fr and es."
    )


def test_a_judge_of_pairs_is_told_with_how_often_the_order_decided() -> None:
    rows = [{"judge": "duel", "n": 30, "n_inconsistent": 28}, {"judge": "duel", "n": 10, "n_inconsistent": 9}]
    recorded = {"judge": "file", "n": 7, "n_inconsistent": None}
    duel, file = judging(
        {"duel": "an opinion", "file": "another"}, [], [], [*rows, recorded], ORDER, stands_alone=True
    )
    assert (
        duel.headline
        == "`duel` is an opinion; it changed its verdict with the order of the two answers in 37 of 40 pairs."
    )
    assert (
        duel.whole
        == "`duel` is an opinion. It changed its verdict with the order of the two answers in 37 of 40 pairs."
        + NO_PEOPLE
    )
    assert file.whole == "`file` is another; how well it judges was not measured here." + NO_PEOPLE


def test_a_model_whose_answers_nobody_checked_is_said_to_be_unmeasured() -> None:
    unmeasured = [
        "`quality` is the opinion of a model, SmolLM2-135M; how well it judges was not measured here."
    ]
    assert said_of({"quality": "SmolLM2-135M"}, []) == unmeasured
    assert said_of({"quality": "SmolLM2-135M"}, [held("en", None, None, 0, 0)]) == unmeasured
    assert (
        said_of({"quality": "SmolLM2-135M"}, [held("en", 0.9, (0.8, 0.95), 9, 9, judge="another")])
        == unmeasured
    )


def test_how_well_a_model_judges_is_told_by_language_with_its_numbers() -> None:
    rows = [
        held("fr", 0.48, (0.2, 0.77), 2, 25),
        held("en", 0.55, (0.43, 0.66), 18, 30),
        held("es", None, None, 0, 27),
    ]
    assert said_of({"quality": "SmolLM2-135M"}, rows) == [
        "`quality.depth` is the opinion of a model, SmolLM2-135M. On the answers that `correct` checked, it"
        " puts a right one above a wrong one in 55% [43%, 66%] of pairs in en (n = 18 right, 30 wrong) and"
        " 48% [20%, 77%] in fr (n = 2 right, 25 wrong), which does not differ significantly from chance. How"
        " well it judges can't be measured in es (all 27 such answers are wrong)."
    ]


def test_languages_in_which_a_model_judges_better_and_worse_than_chance_are_separate() -> None:
    rows = [
        held("en", 0.8, (0.502, 0.93), 40, 40),
        held("fr", 0.3, (0.2, 0.42), 40, 40),
        held("es", 1.0, None, 1, 5),
    ]
    (said,) = said_of({"quality": "a judge"}, rows)
    assert said.endswith(
        "in 80.0% [50.2%, 93.0%] of pairs in en (n = 40 right, 40 wrong), which is better than chance;"
        " 30% [20%, 42%] in fr (n = 40 right, 40 wrong), which is worse than chance; 100% in es"
        " (n = 1 right, 5 wrong), too little for an interval."
    )


def test_a_model_that_can_be_measured_in_no_language_is_said_to_be_so() -> None:
    rows = [held("en", None, None, 5, 0), held("fr", None, None, 0, 0)]
    assert said_of({"quality": "a judge"}, rows) == [
        "`quality.depth` is the opinion of a model, a judge. How well it judges can't be measured "
        "in en (all 5 such answers are right) and in fr (no answer was scored by both)."
    ]


def test_of_many_aspects_the_range_and_the_count_are_told() -> None:
    rows = [
        held("en", 0.41, (0.2, 0.7), 9, 9),
        held("en", 0.9, (0.8, 0.95), 9, 9, measure="quality.clarity"),
        held("fr", 0.2, (0.1, 0.4), 9, 9),
        held("fr", 0.6, (0.4, 0.8), 9, 9, measure="quality.clarity"),
        held("es", None, None, 0, 9),
    ]
    assert said_of({"quality": "a judge"}, rows) == [
        "`quality` is the opinion of a model, a judge. Where answers were checked by rule too, it puts a"
        " right one above a wrong one in 20% to 90% of pairs. Of 4 such shares, by measure and language, 1 is"
        " better than chance, 1 is worse than chance and 2 are not significantly different from chance."
    ]
    nothing = [held("en", None, None, 0, 9), held("en", None, None, 0, 9, measure="quality.clarity")]
    assert "can't be measured here" in said_of({"quality": "a judge"}, nothing)[0]


def test_declared_interactions_are_told_with_their_numbers_and_what_cannot_be_tested_with_its_reason() -> (
    None
):
    gap = contrast(
        "urial",
        "zero_shot",
        "fr",
        0.2,
        0.1,
        family="confirmatory",
        other_language="en",
        is_significant=True,
        p_corrected=0.01,
    )
    trend = {
        **gap,
        "slope": -0.1,
        "ci_low": -0.3,
        "ci_high": 0.1,
        "is_significant": False,
        "p_corrected": 0.4,
    }
    few = {**trend, "slope": None, "p_corrected": None, "no_slope_reason": "3 models"}
    explored = {**gap, "family": "exploratory"}
    assert interactions([gap, explored], [trend, few], ORDER) == [
        (
            f"urial minus zero_shot on `{gap['measure']}` in fr minus en changes by 0.20 [0.10, 0.30]"
            " (corrected p = 0.010)."
        ),
        "No significant interaction in the other 1 of 2 declared interactions.",
        "A declared interaction can't be tested: 3 models.",
    ]
    assert interactions([explored], [], ORDER) == []


def test_what_was_trained_with_one_seed_is_said_to_be_for_this_one_trained_model() -> None:
    rows = [contrast("sft", "zero_shot", "en", 0.2, 0.1, n=200, scope="this one trained model")]
    assert any("for this one trained model" in caveat.whole for caveat in caveats(rows, [], []))
    assert not any("trained" in caveat.whole for caveat in caveats([rows[0] | {"scope": None}], [], []))
