"""Caveats of judges that decide by opinion: agreement with people, checks and themselves."""

from typing import Any

import pytest

from tests.warehouse.report_rows import ORDER
from warehouse.report.judging import judging


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
