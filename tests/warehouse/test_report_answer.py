"""Values in, sentences out: the answer says what the numbers say and no more."""

from typing import Any

import pytest

from dsl.plugins import names, settings_of
from warehouse.charts.theme import Order
from warehouse.report.answer import Answer, differences, interactions, told
from warehouse.report.caveats import Caveat, caveats
from warehouse.report.judging import judging
from warehouse.report.means import best_methods, by_size, leaders
from warehouse.report.prose import p_value
from warehouse.report.wording import FAULTS, Wording, percent

ORDER = Order(
    methods=("zero_shot", "urial", "sft", "instruct"), models=("tiny",), languages=("en", "fr", "es")
)

JUDGES = {
    "contains": {"role": "quality", "label": "holds an accepted answer", "scales": {"contains": [0.0, 1.0]}},
    "language": {
        "role": "critical_error",
        "label": "in another language than asked",
        "scales": {"language": [0.0, 1.0]},
    },
    "truncated": {"role": "detector", "label": "cut before its end", "scales": {"truncated": [0.0, 1.0]}},
    "quality": {
        "role": "quality",
        "label": "quality",
        "scales": {"depth": [1.0, 5.0], "helpfulness": [1.0, 5.0]},
    },
}
WORDS = Wording(JUDGES)
PLANNED = ((9, "confirmatory"), (12, "confirmatory"), (4, "exploratory"))


def contrast(
    of: str, against: str, language: str, estimate: float | None, half: float | None, **more: Any
) -> dict[str, Any]:
    """A row of a contrast; its corrected interval is a hundredth wider than the other one."""
    interval = corrected = (None, None)
    if estimate is not None and half is not None:
        interval = (estimate - half, estimate + half)
        corrected = (estimate - half - 0.01, estimate + half + 0.01)
    return {
        "contrast": f"{of}_{against}",
        "method": None,
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
        "ci_low_corrected": more.pop("low", corrected[0]),
        "ci_high_corrected": corrected[1],
        "mean_of": 0.5 + max(estimate or 0, 0),
        "mean_against": 0.5 - min(estimate or 0, 0),
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


def test_a_significant_difference_is_told_with_both_means_its_corrected_interval_and_n() -> None:
    rows = [contrast("urial", "instruct", "en", 0.02, 0.2), contrast("urial", "instruct", "fr", 0.12, 0.09)]
    assert differences(rows, ORDER, WORDS) == Answer(
        (
            "urial beats instruct in French: `contains` (holds an accepted answer) 62% against 50%."
            " Difference 12 [2, 22] points (n = 12, corrected p = 0.004).",
        ),
        ("The other comparison on `contains` is not significant.",),
    )


def test_a_negative_difference_is_reported_from_the_winners_side() -> None:
    (said,) = differences([contrast("urial", "instruct", "en", -0.3, 0.1)], ORDER, WORDS).supported
    assert said.startswith(
        "instruct beats urial in English: `contains` (holds an accepted answer) 80% against"
    )
    assert "Difference 30 [19, 41] points" in said


def test_an_error_is_told_by_the_share_of_answers_that_have_it_and_with_which_method() -> None:
    rows = [
        contrast("urial", "urial_en", "fr", 1.0, 0.5, measure="language", mean_of=1.0, mean_against=0.0),
        contrast("urial", "urial_en", "es", 0.5, 0.2, measure="language", mean_of=0.9, mean_against=0.4),
    ]
    words = Wording(JUDGES, {"urial_en": "examples in English"})
    assert differences(rows, ORDER, words).supported == (
        "With urial_en (examples in English), 100% of 12 French and 60% of 12 Spanish answers are in another"
        " language than asked; with urial, 0% and 10%. Difference 100 [49, 151] points and 50 [29, 71]"
        " points (corrected p ≤ 0.004).",
    )
    cut = contrast("urial", "instruct", "en", -0.2, 0.1, measure="truncated", mean_of=0.5, mean_against=0.7)
    (said,) = differences([cut], ORDER, words).supported
    assert said.startswith(
        "With urial, 50% of 12 English answers are cut before their end; with instruct, 30%."
    )


def test_items_that_are_not_scored_on_both_sides_are_counted_where_the_difference_is_told() -> None:
    error = contrast("urial", "urial_en", "fr", 1.0, 0.5, measure="language", mean_of=1.0, n=10, n_lost=6)
    (said,) = differences([error], ORDER, WORDS).supported
    assert "% of 10 French answers are in another language than asked" in said
    assert said.endswith("(corrected p = 0.004; 6 not scored on both sides).")
    right = [contrast("urial", "sft", lang, 0.5, 0.1, n_lost=lost) for lang, lost in (("en", 0), ("fr", 3))]
    (said,) = differences(right, ORDER, WORDS).supported
    assert said.endswith("(n = 12, corrected p ≤ 0.004; 0 to 3 not scored on both sides).")


def test_of_several_data_sets_the_one_that_a_finding_is_on_is_named() -> None:
    words = Wording(JUDGES, datasets=("sums", "facts"))
    cut = contrast("urial", "instruct", "en", -0.2, 0.1, measure="truncated", mean_of=0.5, mean_against=0.7)
    rows = [cut, contrast("urial", "instruct", "en", 0.3, 0.1)]
    first, second = differences(rows, ORDER, words).supported
    assert first.startswith("With urial, 50% of 12 English answers on facts are cut before their end; with")
    assert second.startswith("urial beats instruct in English on facts: ")
    best = best_methods([score("urial", "en", 0.5), score("sft", "en", 0.9, dataset="sums")], ORDER)
    assert leaders(best, 2).startswith("Highest mean on `contains` of facts: urial in English")


def test_with_several_seeds_items_are_not_called_answers() -> None:
    row = contrast("sft", "urial_en", "fr", 1.0, 0.5, measure="language", mean_of=1.0, n_seeds=3)
    (said,) = differences([row], ORDER, WORDS).supported
    assert "% of French answers are in another language than asked" in said
    assert said.endswith("(n = 12, corrected p = 0.004).")


@pytest.mark.parametrize("name", names("dsl.judges"))
def test_every_error_that_a_judge_looks_for_is_said_of_answers_in_plain_words(name: str) -> None:
    kind = settings_of("judges", name)
    assert kind.ROLE not in ("critical_error", "detector") or kind.LABEL in FAULTS


def test_an_error_without_plain_words_is_told_by_its_label_or_its_name() -> None:
    words = Wording(
        {
            "rude": {"role": "critical_error", "label": "is rude", "scales": {"rude": [0.0, 1.0]}},
            "odd": {"role": "detector", "label": "", "scales": {"odd": [0.0, 1.0]}},
        }
    )
    assert [words.fault({"judge": name, "measure": name}) for name in ("rude", "odd")] == [
        "fail (is rude)",
        "are flagged (`odd`)",
    ]


def test_what_a_methods_name_may_not_tell_is_told_once() -> None:
    words = Wording(JUDGES, {"urial_en": "examples in English"})
    rows = [contrast("urial_en", other, "fr", 0.5, 0.1) for other in ("sft", "zero_shot")]
    assert [said.split(" beats")[0] for said in differences(rows, ORDER, words).supported] == [
        "urial_en (examples in English)",
        "urial_en",
    ]


@pytest.mark.parametrize(
    ("share", "shown"),
    [
        (0.0, "0%"),
        (0.004, "<1%"),
        (0.005, "<1%"),
        (0.5, "50%"),
        (0.994, "99%"),
        (0.996, ">99%"),
        (1.0, "100%"),
        (1 - 1e-16, "100%"),
    ],
)
def test_only_none_and_all_are_shown_as_none_and_all(share: float, shown: str) -> None:
    assert percent(share) == shown


def test_a_significant_difference_of_shares_has_no_end_that_shows_as_zero() -> None:
    row = contrast("urial", "instruct", "en", 0.12, 0.1, low=0.004)
    assert "Difference 12.0 [0.4, 23.0] points" in differences([row], ORDER, WORDS).supported[0]
    tied = contrast("urial", "instruct", "en", 0.0, 0.1)
    assert WORDS.difference(tied, 0.0, -0.12, 0.12) == "0 [−12, 12] points"


@pytest.mark.parametrize(
    ("p", "shown"),
    [(0.0004, "< 0.001"), (0.0494, "0.049"), (0.0497, "< 0.05"), (0.05, "0.050"), (0.2, "0.20"), (None, "–")],
)
def test_a_p_value_is_not_rounded_to_the_other_side_of_the_level(p: float | None, shown: str) -> None:
    assert p_value(p) == shown


def test_a_score_that_is_no_share_keeps_its_own_scale() -> None:
    row = contrast(
        "urial",
        "sft",
        "en",
        0.9,
        0.1,
        measure="quality.depth",
        judge="quality",
        mean_of=3.4,
        mean_against=2.5,
    )
    (said,) = differences([row], ORDER, WORDS).supported
    assert "`quality.depth` (quality) 3.40 against 2.50. Difference 0.90 [0.79, 1.01] (n = 12" in said


def test_languages_in_which_the_same_method_wins_share_a_sentence_in_the_studys_order() -> None:
    rows = [
        contrast("urial", "zero_shot", "fr", 0.5, 0.1, n=10, p_corrected=0.03),
        contrast("urial", "zero_shot", "en", 0.4, 0.1),
    ]
    assert differences(rows, ORDER, WORDS).supported == (
        "urial beats zero_shot in English and French: `contains` (holds an accepted answer) English 90%"
        " against 50% and French 100% against 50%. Difference 40 [29, 51] points and 50 [39, 61] points"
        " (n = 10 to 12, corrected p ≤ 0.030).",
    )


def test_findings_stand_in_the_order_of_the_study_and_never_the_largest_first() -> None:
    rows = [
        contrast("sft", "urial", "en", 0.2, 0.1),
        contrast("urial", "zero_shot", "en", 0.9, 0.1),
        contrast("urial", "instruct", "en", 0.8, 0.1, family="exploratory", correction="benjamini_yekutieli"),
    ]
    said = differences(rows, ORDER, WORDS)
    assert [sentence.split(" in ")[0] for sentence in said.supported] == [
        "sft beats urial",
        "urial beats zero_shot",
    ]
    assert said.unsupported == ("Exploratory: 1 of 1 other comparison is significant.",)


def test_beyond_three_findings_the_rest_is_counted() -> None:
    rows = [contrast("urial", "zero_shot", "en", 0.9, 0.1, measure=name) for name in ("a", "b", "c", "d")]
    said = differences(rows, ORDER, WORDS).supported
    assert len(said) == 4
    assert said[3] == "1 more difference is significant."


def test_what_is_found_by_exploring_is_told_where_nothing_that_was_declared_is_and_bears_its_name() -> None:
    rows = [
        contrast("sft", "urial", "en", 0.0, 0.3),
        contrast(
            "urial", "urial_en", "fr", 0.4, 0.1, measure="language", family="exploratory", mean_against=0.1
        ),
        contrast("urial", "instruct", "en", 0.8, 0.1, family="exploratory"),
    ]
    said = differences(rows, ORDER, WORDS)
    assert [sentence[:26] for sentence in said.supported] == [
        "Exploratory: with urial_en",
        "Exploratory: urial beats i",
    ]
    assert said.unsupported == ("The one comparison, on `contains`, is not significant: 1 is an exact tie.",)


def test_when_nothing_is_significant_it_is_said_once_with_ties_and_what_is_so_uncorrected() -> None:
    rows = [
        contrast("urial", "instruct", "en", 0.0, 0.2),
        contrast("urial", "instruct", "fr", 0.3, 0.2, p_corrected=0.06),
        contrast("urial", "instruct", "es", 0.1, 0.2, p_corrected=0.9),
    ]
    assert differences(rows, ORDER, WORDS) == Answer(
        (),
        (
            "None of 3 comparisons on `contains` is significant: 1 is significant uncorrected, and 1 is"
            " an exact tie.",
        ),
    )


@pytest.mark.parametrize(
    "row",
    [
        contrast("urial", "instruct", "en", 0.3, 0.2, p_corrected=None),
        contrast("urial", "instruct", "en", 0.25, 0.25),
        contrast("urial", "instruct", "en", 0.3, 0.2, p_corrected=0.06),
    ],
)
def test_without_a_test_at_the_edge_or_before_correction_nothing_is_significant(row: dict[str, Any]) -> None:
    said = differences([row], ORDER, WORDS)
    assert said.supported == ()
    assert said.unsupported[0].startswith("The one comparison, on `contains`, is not significant")


def test_what_would_have_been_missed_stands_beside_what_is_not_supported() -> None:
    rows = [contrast("urial", "sft", lang, 0.1, 0.3, n=40) for lang in ("en", "fr")]
    effects = [
        {"measure": "contains", "effect": 0.2, "effect_corrected": 0.3},
        {"measure": "contains", "effect": 0.3, "effect_corrected": 0.4},
        {"measure": "quality.depth", "effect": 1.0, "effect_corrected": 1.0},
        {"measure": "contains", "effect": None, "effect_corrected": None},
    ]
    (said,) = differences(rows, ORDER, WORDS, effects).unsupported
    assert said.endswith(
        " A true difference below about 35 points on `contains` would be missed more than one time in five."
    )


def test_too_few_items_to_be_significant_is_said_instead_of_no_difference() -> None:
    rows = [
        contrast("urial", "sft", lang, 0.1, 0.3, n=9, n_tests=18, could_be_significant=False)
        for lang in ("en", "fr")
    ]
    assert differences(rows, ORDER, WORDS).unsupported == (
        "None of 2 comparisons on `contains` is significant: with 9 questions all were too small to ever"
        " reach significance over 18 tests.",
    )
    some = [*rows, contrast("urial", "sft", "es", 0.0, 0.3, n=13, n_tests=18)]
    assert differences(some, ORDER, WORDS).unsupported == (
        "None of 3 comparisons on `contains` is significant: 1 is an exact tie, and with 9 questions 2 were"
        " too small to ever reach significance over 18 tests.",
    )


def test_a_small_bound_is_not_rounded_to_zero() -> None:
    row = contrast("urial", "instruct", "en", 0.1, 0.096, measure="quality.depth", judge="quality", low=0.004)
    assert "0.100 [0.004, 0.206]" in differences([row], ORDER, WORDS).supported[0]


def test_the_model_is_named_where_there_are_several_and_training_languages_where_they_tell_rows_apart() -> (
    None
):
    several = Order(ORDER.methods, ("tiny", "small"), ORDER.languages, retuned=frozenset({"sft"}))
    row = contrast("sft", "urial", "fr", 0.5, 0.1, of_train_languages="en")
    (said,) = differences([row], several, WORDS).supported
    assert said.startswith("sft beats urial in French (tuned on en) (tiny): ")
    (said,) = differences([row], ORDER, WORDS).supported
    assert said.startswith("sft beats urial in French: "), "what all of sft share is no part of a finding"


def test_between_two_models_the_method_is_named_and_its_sides_are_the_models() -> None:
    row = contrast("small", "tiny", "en", 0.5, 0.1, method="sft")
    (said,) = differences([row], ORDER, WORDS).supported
    assert said.startswith("small beats tiny in English with sft: ")


def test_no_contrast_no_pairs_and_too_few_pairs_are_said() -> None:
    assert differences([], ORDER, WORDS).unsupported[0].startswith("The study names no contrast")
    assert differences([contrast("urial", "instruct", "en", None, None, n=0)], ORDER, WORDS) == Answer(
        (),
        (
            "No difference can be tested: of 1 comparison, none has two items that were answered and scored"
            " on both sides.",
        ),
    )
    half = [
        contrast("urial", "instruct", "en", 0.5, 0.1),
        contrast("urial", "instruct", "fr", 0.5, None, n=1),
    ]
    assert (
        differences(half, ORDER, WORDS).unsupported[-1] == "1 comparison had too few items for an interval."
    )


@pytest.mark.parametrize("name", ["`x` \n<script>", "a" * 300, "]] ${x}"])
def test_names_that_are_hostile_stand_in_a_sentence_as_they_are(name: str) -> None:
    (said,) = differences([contrast(name, "urial", "zz", 0.5, 0.1)], ORDER, WORDS).supported
    assert said.startswith(f"{name} beats urial in zz: ")


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
        == "Highest mean on `contains`: urial in English (0.58 [0.48, 0.68], n = 12) and a tie of zero_shot"
        " and sft in French (0.25, n = 12)."
    )


def test_the_highest_mean_of_a_detector_is_freedom_from_its_fault() -> None:
    rows = [
        score(name, "en", mean, measure="loop", fault="repeats itself")
        for name, mean in (("sft", 0.9), ("urial", 0.2))
    ]
    best = best_methods(rows, ORDER)
    assert (
        leaders(best, 2) == "Highest mean on freedom from `loop`: sft in English (0.90 [0.80, 1.00], n = 12)."
    )
    assert "compare. On freedom from `loop`: sft in English" in leaders(best, 1)


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
        leaders(best, 2) == "Highest mean on `contains`: urial in French (0.50 [0.40, 0.60], n = 12). "
        "Methods were scored on unequal sets of items in English, so no highest mean is named there."
    )


@pytest.mark.parametrize(("n", "item_set_id"), [(12, 7), (11, 7)])
def test_as_many_items_are_not_the_same_items(n: int, item_set_id: int) -> None:
    rows = [score("urial", "en", 0.9, n=n, item_set_id=item_set_id), score("sft", "en", 0.1)]
    assert [b.methods for b in best_methods(rows, ORDER)] == [()]
    assert "Methods were scored on unequal sets of items in English" in leaders(best_methods(rows, ORDER), 2)
    sizes = [
        row | {"method": "sft", "model": f"model{size}", "num_parameters": size}
        for size, row in enumerate(rows, 1)
    ]
    assert by_size(sizes, ORDER) == [
        "`contains` was scored on unequal sets of items in English, so these means are not compared."
    ]


def test_with_one_method_there_is_nothing_to_compare() -> None:
    said = leaders(best_methods([score("urial", "en", 0.5)], ORDER), 1)
    assert (
        said
        == "There is one method, so there is nothing to compare. On `contains`: urial in English (0.50 [0.40,"
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
            " 1.00] (n = 12) in English; no clear change in French."
        ),
        "Exploratory: `empty` does not change clearly from small to large.",
    ]
    assert by_size([*rows, score("urial", "en", 0.5, num_parameters=100)], ORDER) == []
    assert by_size(rows[:1], ORDER) == []
    rival = at("rival", 300, "en", 0.1)
    assert by_size([rows[0], rows[2], rival], ORDER) == by_size([rows[0], rows[2]], ORDER), "no other's mean"
    elsewhere = [row | {"dataset": "sums"} for row in rows[:3]]
    assert [said.split(" goes ")[0] for said in by_size([*rows[:5], *elsewhere], ORDER)] == [
        "Exploratory: `loop` on facts",
        "Exploratory: `loop` on sums",
    ]


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
        "Small samples: comparisons rest on 12 questions. On `contains` their intervals reach ±0.30 in the"
        " median"
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
        "Small samples: comparisons rest on 12 questions."
    ]


def test_small_samples_are_those_of_what_was_declared() -> None:
    rows = [contrast("urial", "sft", "en", 0.1, 0.2, n=n, family=family) for n, family in PLANNED]
    assert caveats(rows, [], [])[0].headline == "Small samples: comparisons rest on 9 to 12 questions."


def test_the_level_of_the_answers_intervals_is_that_of_the_contrasts_it_tells() -> None:
    declared = contrast("urial", "sft", "en", 0.1, 0.2)
    explored = contrast("urial", "dpo", "en", 0.4, 0.1, family="exploratory")
    found = contrast("urial", "dpo", "fr", 0.4, 0.1)
    untested = contrast("urial", "dpo", "es", 0.4, None)
    assert told([declared, explored, untested]) == [explored]
    assert told([declared, found, explored]) == [declared, found]
    assert told([declared, explored | {"is_significant": False}]) == [declared]
    assert told([explored]) == [explored]


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
    assert interactions([gap, explored], [trend, few], ORDER) == Answer(
        (
            "The lead of urial over zero_shot on `contains` is 0.20 [0.09, 0.31] larger in French than in"
            " English (corrected p = 0.010).",
        ),
        (
            "No significant interaction in the other 1 of 2 declared interactions.",
            "A declared interaction can't be tested: 3 models.",
        ),
    )
    assert interactions([explored], [], ORDER) == Answer(())


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (
            {"fault": "repeats itself"},
            "freedom from `loop` is 0.20 [0.09, 0.31] smaller in French than in English",
        ),
        ({"fault": None}, "`loop` is 0.20 [0.09, 0.31] smaller in French than in English"),
        (
            {"fault": None, "slope": -0.2},
            "`loop` in French minus that in English shrinks by 0.20 [0.09, 0.31] for ten times the"
            " parameters",
        ),
        (
            {
                "fault": "repeats itself",
                "slope": 0.2,
                "other_language": None,
                "ci_low_corrected": 0.1,
                "ci_high_corrected": 0.3,
            },
            "freedom from `loop` in French grows by 0.20 [0.10, 0.30] for ten times the parameters",
        ),
    ],
)
def test_an_interaction_is_a_lead_that_is_larger_or_smaller_and_of_a_fault_freedom_from_it(
    more: dict[str, Any], told: str
) -> None:
    row = contrast("urial", "sft", "fr", -0.2, 0.1, measure="loop", **{"other_language": "en", **more})
    gaps, trends = ([], [row]) if "slope" in row else ([row], [])
    (said,) = interactions(gaps, trends, ORDER).supported
    assert said == f"The lead of urial over sft on {told} (corrected p = 0.004)."


def test_what_was_trained_with_one_seed_is_said_to_be_for_this_one_trained_model() -> None:
    rows = [contrast("sft", "zero_shot", "en", 0.2, 0.1, n=200, scope="this one trained model")]
    assert any("for this one trained model" in caveat.whole for caveat in caveats(rows, [], []))
    assert not any("trained" in caveat.whole for caveat in caveats([rows[0] | {"scope": None}], [], []))
