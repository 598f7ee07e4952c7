"""Values in, sentences out: the answer says what the contrasts say and no more."""

from typing import Any

import pytest

from dsl.plugins import names, settings_of
from tests.warehouse.report_rows import JUDGES, ORDER, WORDS, contrast, score
from warehouse.charts.theme import Order
from warehouse.report.answer import MOST_PLACES, Answer, differences
from warehouse.report.means import best_methods, leaders
from warehouse.report.prose import p_value
from warehouse.report.wording import FAULTS, Wording, percent


def test_a_significant_difference_is_told_with_its_corrected_interval() -> None:
    rows = [contrast("urial", "instruct", "en", 0.02, 0.2), contrast("urial", "instruct", "fr", 0.12, 0.09)]
    assert differences(rows, ORDER, WORDS) == Answer(
        ("urial against instruct: `contains` (holds an accepted answer) +12 [2, 22] points in French.",),
        ("The other comparison on `contains` is not significant.",),
    )


def test_a_negative_difference_keeps_the_direction_in_which_the_contrast_is_declared() -> None:
    (said,) = differences([contrast("urial", "instruct", "en", -0.3, 0.1)], ORDER, WORDS).supported
    assert said == (
        "urial against instruct: `contains` (holds an accepted answer) −30 [−41, −19] points in English."
    )


def test_an_error_is_told_by_the_share_of_answers_that_have_it() -> None:
    rows = [
        contrast("urial_en", "urial", "fr", -1.0, 0.5, measure="language"),
        contrast("urial_en", "urial", "es", -0.5, 0.2, measure="language"),
    ]
    words = Wording(JUDGES, {"urial_en": "examples in English"})
    assert differences(rows, ORDER, words).supported == (
        "urial_en (examples in English) against urial: answers that are in another language than asked"
        " +100 [49, 151] points in French and +50 [29, 71] in Spanish.",
    )
    cut = contrast("urial", "instruct", "en", 0.2, 0.1, measure="truncated")
    assert differences([cut], ORDER, words).supported == (
        "urial against instruct: answers that are cut before their end −20 [−31, −9] points in English.",
    )


def test_of_several_data_sets_the_one_that_a_finding_is_on_is_named() -> None:
    words = Wording(JUDGES, datasets=("sums", "facts"))
    rows = [
        contrast("urial", "instruct", "en", 0.2, 0.1, measure="truncated"),
        contrast("urial", "instruct", "en", 0.3, 0.1),
        contrast("urial", "instruct", "en", 0.4, 0.1, dataset="sums"),
    ]
    assert differences(rows, ORDER, words).supported == (
        "urial against instruct: answers on facts that are cut before their end −20 [−31, −9] points in"
        " English; `contains` (holds an accepted answer) on facts +30 [19, 41] points in English;"
        " `contains` on sums +40 [29, 51] points in English.",
    )
    best = best_methods([score("urial", "en", 0.5), score("sft", "en", 0.9, dataset="sums")], ORDER)
    assert leaders(best, 2).startswith("Highest mean on `contains` of facts: urial in English")


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
    assert [said.split(" against")[0] for said in differences(rows, ORDER, words).supported] == [
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
    assert "+12.0 [0.4, 23.0] points" in differences([row], ORDER, WORDS).supported[0]
    tied = contrast("urial", "instruct", "en", 0.0, 0.1)
    assert WORDS.difference(tied, 0.0, -0.12, 0.12) == "0 [−12, 12] points"


@pytest.mark.parametrize(
    ("p", "shown"),
    [(0.0004, "< 0.001"), (0.0494, "0.049"), (0.0497, "< 0.05"), (0.05, "0.050"), (0.2, "0.20"), (None, "–")],
)
def test_a_p_value_is_not_rounded_to_the_other_side_of_the_level(p: float | None, shown: str) -> None:
    assert p_value(p) == shown


def test_a_score_that_is_no_share_keeps_its_own_scale() -> None:
    row = contrast("urial", "sft", "en", 0.9, 0.1, measure="quality.depth", judge="quality")
    assert differences([row], ORDER, WORDS).supported == (
        "urial against sft: `quality.depth` (quality) +0.90 [0.79, 1.01] in English.",
    )


def test_models_and_languages_of_a_contrast_share_a_sentence_in_the_order_of_the_study() -> None:
    order = Order(ORDER.methods, ("tiny", "small"), ORDER.languages)
    rows = [
        contrast("sft", "urial", language, estimate, 0.1, model=model)
        for model, language, estimate in (
            ("small", "en", -0.3), ("tiny", "es", 0.2), ("tiny", "fr", 0.4), ("small", "es", 0.0),
        )
    ]  # fmt: skip
    assert differences(rows, order, WORDS).supported == (
        "sft against urial: `contains` (holds an accepted answer) +40 [29, 51] points in French and"
        " +20 [9, 31] in Spanish (tiny), −30 [−41, −19] in English (small).",
    )


def test_every_contrast_is_told_and_of_very_many_places_of_one_the_range_of_the_rest() -> None:
    rows = [
        contrast(of, "zero_shot", language, 0.2 + 0.01 * number, 0.1)
        for of in ("urial", "sft", "instruct", "dpo", "orpo")
        for number, language in enumerate(["en", "fr", "es", *(f"x{letter}" for letter in "abcdefghi")])
    ]
    said = differences(rows, ORDER, WORDS)
    assert len(said.supported) == 5
    assert said.unsupported == ()
    for sentence in said.supported:
        assert sentence.count(" in ") == MOST_PLACES
        assert sentence.endswith(", and 3 more from +29 to +31 points.")


def test_findings_stand_in_the_order_of_the_study_and_never_the_largest_first() -> None:
    rows = [
        contrast("sft", "urial", "en", 0.2, 0.1),
        contrast("urial", "zero_shot", "en", 0.9, 0.1),
        contrast("urial", "instruct", "en", 0.8, 0.1, family="exploratory", correction="benjamini_yekutieli"),
    ]
    said = differences(rows, ORDER, WORDS)
    assert [sentence.split(":")[0] for sentence in said.supported] == [
        "sft against urial",
        "urial against zero_shot",
    ]
    assert said.unsupported == ("Exploratory: 1 of 1 other comparison is significant.",)


def test_what_is_found_by_exploring_is_told_where_nothing_that_was_declared_is_and_bears_its_name() -> None:
    rows = [
        contrast("sft", "urial", "en", 0.0, 0.3),
        contrast(
            "urial", "urial_en", "fr", 0.4, 0.1, measure="language", family="exploratory", mean_against=0.1
        ),
        contrast("urial", "instruct", "en", 0.8, 0.1, family="exploratory"),
    ]
    said = differences(rows, ORDER, WORDS)
    assert [sentence[:35] for sentence in said.supported] == [
        "Exploratory: urial against urial_en",
        "Exploratory: urial against instruct",
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
    assert "+0.100 [0.004, 0.206]" in differences([row], ORDER, WORDS).supported[0]


def test_the_model_is_named_where_there_are_several_and_training_languages_where_rows_differ_in_them() -> (
    None
):
    several = Order(ORDER.methods, ("tiny", "small"), ORDER.languages, retuned=frozenset({"sft"}))
    row = contrast("sft", "urial", "fr", 0.5, 0.1, of_train_languages="en")
    (said,) = differences([row], several, WORDS).supported
    assert said.endswith(" in French (tuned on en) (tiny).")
    (said,) = differences([row], ORDER, WORDS).supported
    assert said.endswith(" in French."), "what all of sft share is no part of a finding"


def test_between_two_models_the_method_is_named_and_its_sides_are_the_models() -> None:
    row = contrast("small", "tiny", "en", 0.5, 0.1, method="sft")
    (said,) = differences([row], ORDER, WORDS).supported
    assert said == (
        "small against tiny: `contains` (holds an accepted answer) +50 [39, 61] points in English with sft."
    )


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
    assert said.startswith(f"{name} against urial: ")
