"""`judge_against_checks`: model judges compared with rule judges, on answers ranked by hand and drawn."""

from collections.abc import Mapping, Sequence
from statistics import NormalDist
from typing import Any

import duckdb
import numpy as np
import pytest
from scipy import stats

from tests.warehouse.conftest import Ask
from tests.warehouse.stores import Scores, StoreMaker
from warehouse.statements import HERE, run_file

KEPT = HERE / "views" / "tables" / "checked_opinions.sql"
VIEW = HERE / "views" / "marts" / "judge_against_checks.sql"

Answers = tuple[Sequence[str], Sequence[bool], Sequence[float]]
"""An answer: its item, whether it is right, and the opinion of it."""


def answered(
    maker: StoreMaker, method: str, answers: Mapping[str, tuple[float | str, float | str]], **more: Any
) -> None:
    """A cell whose items have a check and an opinion."""
    checks: Scores = {item: check for item, (check, _) in answers.items()}
    opinions: Scores = {item: opinion for item, (_, opinion) in answers.items()}
    maker.cell(method, scores={"correct=contains": checks, "rubric": {"helpfulness": opinions}}, **more)


def compared_with_checks(studies: Mapping[str, Answers]) -> dict[str, dict[str, Any]]:
    """The view's rows of answers that are given as values: a language each."""
    connection = duckdb.connect()
    run_file(connection, HERE / "statistics" / "macros.sql")
    connection.execute(
        "create table verdicts (experiment varchar, cell_id varchar, dataset varchar, language varchar, model"
        " varchar, item varchar, item_cluster varchar, judge varchar, judge_kind varchar, measure varchar,"
        " against varchar, scale_low double, score double)"
    )
    connection.execute(
        "create table study_judges as from (values ('drawn', 'correct', 'contains', 'answers', null, false),"
        " ('drawn', 'opinion', 'rubric', null, 'a model''s', false)) as study_judges(experiment, judge,"
        " judge_kind, checked_against, opinion, is_people)"
    )
    for judge, kind in (("correct", "contains"), ("opinion", "rubric")):
        for language, (items, is_right, opinions) in studies.items():
            scores = (
                [float(right) for right in is_right]
                if judge == "correct"
                else [float(opinion) for opinion in opinions]
            )
            connection.execute(
                "insert into verdicts select 'drawn', unnest($cells), 'quiz', $language, 'tiny',"
                " unnest($items), unnest($items), $judge, $kind, $judge, null, 0, unnest($scores)",
                {
                    "cells": [f"{language}-{place}" for place in range(len(scores))],
                    "language": language,
                    "items": list(items),
                    "judge": judge,
                    "kind": kind,
                    "scores": scores,
                },
            )
    connection.execute(f"create view checked_opinions as {KEPT.read_text('utf-8')}")
    found = connection.execute(VIEW.read_text("utf-8"))
    names = [column[0] for column in found.description]
    rows = [dict(zip(names, row, strict=True)) for row in found.fetchall()]
    return {row["language"]: row for row in rows}


def test_pairs_in_the_right_order_are_counted_and_a_tie_counts_half(maker: StoreMaker, ask: Ask) -> None:
    answered(maker, "icl", {"a": (1.0, 3.0), "b": (1.0, 2.0), "c": (0.0, 1.0), "d": (0.0, 2.0)})
    maker.study()
    (row,) = ask("from judge_against_checks")
    assert (row["judge"], row["measure"]) == ("rubric", "rubric.helpfulness")
    assert (row["checked_judge"], row["checked_measure"]) == ("correct", "correct")
    # 3 is above 1 and 2; 2 is above 1 and level with 2
    assert row["auc"] == 3.5 / 4
    # placements of the right: 1 and 3/4; of the wrong: 1 and 3/4; each side's variance of the mean is 1/32 /
    # 2
    assert row["standard_error"] == pytest.approx((1 / 32) ** 0.5)
    # four items, but two on a side: t has one degree of freedom
    half = 12.7062047 * (1 / 32) ** 0.5 / (0.875 * 0.125)
    assert row["ci_low"] == pytest.approx(1 / (1 + np.exp(half) / 7))
    assert (row["n_right"], row["n_wrong"], row["n"], row["n_items"], row["n_unscored"]) == (2, 2, 4, 4, 0)
    assert (row["n_items_right"], row["n_items_wrong"]) == (2, 2)
    assert (row["mean_of_right"], row["mean_of_wrong"]) == (2.5, 1.5)


def test_answers_to_one_item_are_one_draw(maker: StoreMaker, ask: Ask) -> None:
    """The answers of the test above, given by two methods to two items: what each side exceeds its mean by
    adds up within an item."""
    answered(maker, "icl", {"a": (1.0, 3.0), "b": (1.0, 2.0)})
    answered(maker, "sft", {"a": (0.0, 1.0), "b": (0.0, 2.0)})
    maker.study()
    (row,) = ask("from judge_against_checks")
    assert (row["auc"], row["n"], row["n_items"]) == (0.875, 4, 2)
    # 1/64 + 1/64 as before, and twice the covariance, 1/64
    assert row["standard_error"] == 0.25
    # on the logit's scale, with t on one degree of freedom: ln 7 ± 12.7062 · 0.25 / (0.875 · 0.125)
    half = 12.7062047 * 0.25 / (0.875 * 0.125)
    assert row["ci_low"] == pytest.approx(1 / (1 + np.exp(half) / 7))
    assert row["ci_high"] == pytest.approx(1 / (1 + np.exp(-half) / 7))


def test_items_that_cancel_out_leave_no_spread_and_no_interval(maker: StoreMaker, ask: Ask) -> None:
    answered(maker, "icl", {"a": (1.0, 3.0), "b": (1.0, 2.0)})
    answered(maker, "sft", {"a": (0.0, 2.0), "b": (0.0, 1.0)})
    maker.study()
    (row,) = ask("from judge_against_checks")
    assert (row["auc"], row["standard_error"], row["ci_low"], row["ci_high"]) == (0.875, 0.0, None, None)


@pytest.mark.parametrize(
    ("opinions", "auc"),
    [((3.0, 4.0, 1.0, 2.0), 1.0), ((1.0, 2.0, 3.0, 4.0), 0.0), ((2.0, 2.0, 2.0, 2.0), 0.5)],
)
def test_a_judge_without_exception_has_no_interval(opinions: tuple[float, ...], auc: float) -> None:
    row = compared_with_checks({"en": ("abcd", (True, True, False, False), opinions)})["en"]
    assert (row["auc"], row["standard_error"], row["ci_low"], row["ci_high"]) == (auc, 0.0, None, None)


def test_where_all_answers_are_wrong_or_all_right_no_auc_is_defined(maker: StoreMaker, ask: Ask) -> None:
    answered(maker, "icl", {"a": (0.0, 3.0), "b": (0.0, 2.0)}, language="fr")
    answered(maker, "icl", {"a": (1.0, 3.0), "b": (1.0, 2.0)}, language="es")
    maker.study()
    rows = {row["language"]: row for row in ask("from judge_against_checks")}
    for language, right, wrong in (("fr", 0, 2), ("es", 2, 0)):
        row = rows[language]
        assert (row["auc"], row["standard_error"], row["ci_low"], row["ci_high"]) == (None, None, None, None)
        assert (row["n_right"], row["n_wrong"], row["n"], row["n_items"]) == (right, wrong, 2, 2)
    assert (rows["fr"]["mean_of_right"], rows["fr"]["mean_of_wrong"]) == (None, 2.5)


def test_one_item_on_a_side_gives_a_share_and_no_error_of_it() -> None:
    row = compared_with_checks(
        {"en": ("aabcd", (True, True, False, False, False), (3.0, 1.0, 2.0, 2.5, 0.5))}
    )["en"]
    assert row["auc"] == pytest.approx(4 / 6)
    assert (row["n_items_right"], row["n_items_wrong"]) == (1, 3)
    assert (row["standard_error"], row["ci_low"], row["ci_high"]) == (None, None, None)


def test_answers_that_one_judge_left_unscored_are_counted_and_left_out(maker: StoreMaker, ask: Ask) -> None:
    answered(
        maker,
        "icl",
        {"a": (1.0, 3.0), "b": (0.0, 2.0), "c": ("no accepted answer", 5.0), "d": (0.0, "unreadable")},
    )
    answered(maker, "icl", {"a": ("no accepted answer", 3.0)}, language="fr")
    maker.study()
    row, french = ask("from judge_against_checks")
    assert (row["auc"], row["n"], row["n_unscored"], row["n_items"]) == (1.0, 2, 2, 2)
    assert (row["mean_of_right"], row["mean_of_wrong"]) == (3.0, 2.0)
    assert (french["auc"], french["n"], french["n_unscored"], french["n_items"], french["n_wrong"]) == (
        None,
        0,
        1,
        0,
        0,
    )


def test_each_data_set_language_aspect_and_check_has_a_row_and_what_is_no_check_has_none(
    maker: StoreMaker, ask: Ask
) -> None:
    right, wrong = {"1": 1.0}, {"1": 0.0}
    for dataset in ("quiz", "vicuna"):
        for language in ("en", "fr"):
            for method, check, opinion in (("icl", right, {"1": 4.0}), ("sft", wrong, {"1": 2.0})):
                others = dict.fromkeys(("exact", "loop", "language", "length", "empty"), check)
                aspects = {"aspects=rubric": {"depth": opinion, "clarity": {"1": 3.0}}}
                maker.cell(
                    method,
                    dataset=dataset,
                    language=language,
                    scores={"correct=contains": check, **others, **aspects},
                )
    maker.study("one")
    maker.cell(scores={"correct=contains": wrong, "aspects=rubric": {"depth": {"1": 9.0}}})
    maker.study("two")
    rows = ask("from judge_against_checks where experiment = 'one'")
    assert {
        (row["dataset"], row["language"], row["measure"], row["checked_measure"]): row["auc"] for row in rows
    } == {
        (dataset, language, measure, checked): auc
        for dataset in ("quiz", "vicuna")
        for language in ("en", "fr")
        for measure, auc in (("aspects.depth", 1.0), ("aspects.clarity", 0.5))
        for checked in ("correct", "exact")
    }
    assert len(rows) == 16
    assert {row["n"] for row in rows} == {2}
    assert [row["n_wrong"] for row in ask("from judge_against_checks where experiment = 'two'")] == [1]


def test_the_share_is_scipys_u_over_all_pairs() -> None:
    studies = {
        str(seed): drawn(np.random.default_rng(seed), n_items=10, n_methods=4, skill=0.8)
        for seed in range(20)
    }
    rows = compared_with_checks(studies)
    for name, (_, is_right, opinions) in studies.items():
        right, wrong = split(is_right, opinions)
        u = stats.mannwhitneyu(right, wrong).statistic
        assert rows[name]["auc"] == pytest.approx(u / (len(right) * len(wrong)))


def test_with_one_answer_an_item_the_standard_error_is_that_of_delong() -> None:
    studies = {
        str(seed): drawn(np.random.default_rng(seed), n_items=30, n_methods=1, skill=0.8)
        for seed in range(20)
    }
    rows = compared_with_checks(studies)
    for name, (_, is_right, opinions) in studies.items():
        right, wrong = split(is_right, opinions)
        order = np.sign(right[:, None] - wrong) / 2 + 0.5
        variance = order.mean(axis=1).var(ddof=1) / len(right) + order.mean(axis=0).var(ddof=1) / len(wrong)
        assert rows[name]["standard_error"] == pytest.approx(variance**0.5)


def test_a_judge_that_sees_every_answer_twice_knows_no_more() -> None:
    items, is_right, opinions = drawn(np.random.default_rng(1), n_items=40, n_methods=1, skill=0.8)
    once = compared_with_checks({"en": (items, is_right, opinions)})["en"]
    twice = compared_with_checks({"en": ([*items, *items], [*is_right, *is_right], [*opinions, *opinions])})[
        "en"
    ]
    assert twice["n"] == 2 * once["n"]
    assert twice["auc"] == pytest.approx(once["auc"])
    assert twice["standard_error"] == pytest.approx(once["standard_error"])


@pytest.mark.parametrize(("n_items", "skill"), [(8, 0.0), (12, 1.0), (40, 2.0)])
def test_the_interval_holds_the_truth_95_times_in_100_though_answers_hang_together(
    n_items: int, skill: float
) -> None:
    """Six answers an item, whose opinions share half of their variance and whose rightness does too.

    The same answers, taken for independent, would give intervals that are too sure.
    """
    chance = np.random.default_rng(7)
    studies = {str(number): drawn(chance, n_items, n_methods=6, skill=skill) for number in range(400)}
    apart = {
        name: ([str(place) for place, _ in enumerate(items)], *rest)
        for name, (items, *rest) in studies.items()
    }
    # Opinions of answers to two items differ by `skill`, with variance 4.
    truth = NormalDist().cdf(skill / 2)

    def coverage(rows: dict[str, dict[str, Any]]) -> float:
        made = [row for row in rows.values() if row["ci_low"] is not None]
        assert len(made) >= 390
        return float(np.mean([row["ci_low"] <= truth <= row["ci_high"] for row in made]))

    assert 0.92 <= coverage(compared_with_checks(studies)) <= 0.985
    assert coverage(compared_with_checks(apart)) <= 0.90


def drawn(chance: np.random.Generator, n_items: int, n_methods: int, skill: float) -> Answers:
    """Answers of several methods to the same items: an item is easy or hard for all, and pleases the judge or
    does not."""
    items = np.repeat(np.arange(n_items), n_methods)
    ease, charm = chance.normal(size=n_items), chance.normal(size=n_items)
    is_right = ease[items] + chance.normal(size=len(items)) > 0
    opinions = np.round(skill * is_right + charm[items] + chance.normal(size=len(items)), 1)
    return [str(item) for item in items], is_right.tolist(), opinions.tolist()


def split(
    is_right: Sequence[bool], opinions: Sequence[float]
) -> tuple["np.ndarray[Any, Any]", "np.ndarray[Any, Any]"]:
    """(opinions of the right answers, of the wrong ones)."""
    chosen, scores = np.array(is_right), np.array(opinions)
    return scores[chosen], scores[~chosen]


def test_people_are_no_model_judge_that_checks_are_made_of(maker: StoreMaker, ask: Ask) -> None:
    scores: Scores = {"1": 5.0, "2": 1.0}
    maker.cell(
        texts={"1": "four", "2": "five"},
        scores={"exact": {"1": 1.0, "2": 0.0}, "gold=recorded": scores, "model=recorded": scores},
    )
    maker.described("gold", "recorded", people=True, score_range=(1, 5))
    maker.described("model", "recorded", score_range=(1, 5))
    maker.study()
    assert [row["judge"] for row in ask("from judge_against_checks")] == ["model"]
