"""`contrast_by_language_and_size`: paired differences that can be added up."""

import random

import pytest
from scipy import stats

from dsl.plan.study import ContrastPlan
from dsl.steps.stopping import StopWhen
from tests.warehouse.conftest import Ask
from tests.warehouse.stores import StoreMaker

GAIN = ContrastPlan(name="gain", of="tuned", against="prompted")
STOPPED = GAIN.model_copy(update={"stop_when": StopWhen(contrast="gain", excludes=0)})


def test_a_contrast_is_the_mean_of_paired_differences(maker: StoreMaker, ask: Ask) -> None:
    maker.cell(
        "tuned", scores={"length": {"1": 5.0, "2": 4.0, "3": 3.0}}, texts={"1": "aaaa", "2": "aa", "3": "aaa"}
    )
    maker.cell(
        "prompted", scores={"length": {"1": 2.0, "2": 2.0, "3": 2.0}}, texts={"1": "b", "2": "b", "3": "b"}
    )
    maker.study(contrasts=(GAIN,))
    (row,) = ask("from contrast_by_language_and_size")
    assert (row["contrast"], row["of"], row["against"], row["measure"]) == (
        "gain",
        "tuned",
        "prompted",
        "length",
    )
    # differences 3, 2, 1: mean 2, deviation 1
    assert (row["estimate"], row["mean_of"], row["mean_against"]) == (2.0, 4.0, 2.0)
    assert row["standard_error"] == pytest.approx(1 / 3**0.5)
    assert (row["n"], row["n_lost"], row["n_unscored"]) == (3, 0, 0)
    assert (row["mean_characters_of"], row["mean_characters_against"]) == (3.0, 1.0)


def test_the_interval_inverts_the_sign_flip_test_and_is_near_scipys_paired_t_interval(
    maker: StoreMaker, ask: Ask
) -> None:
    chance = random.Random(3)
    ours = {str(i): chance.gauss(0.4, 1) for i in range(17)}
    theirs = {item: score - chance.gauss(0.3, 0.5) for item, score in ours.items()}
    maker.cell("tuned", scores={"length": ours})
    maker.cell("prompted", scores={"length": theirs})
    maker.study(contrasts=(GAIN,))
    (row,) = ask("from contrast_by_language_and_size")
    interval = stats.ttest_rel([ours[i] for i in ours], [theirs[i] for i in ours]).confidence_interval(0.95)
    assert (row["ci_low"], row["ci_high"]) == pytest.approx((interval.low, interval.high), abs=0.1)
    assert (row["ci_low"] > 0) == (row["p_value"] < 0.05) == row["is_significant_uncorrected"]


def test_items_that_one_side_lacks_or_has_unscored_are_lost_and_counted(maker: StoreMaker, ask: Ask) -> None:
    maker.cell(
        "tuned",
        scores={"contains": {"both": 1.0, "unscored here": "?", "unscored twice": "?", "only here": 0.25}},
    )
    maker.cell(
        "prompted",
        scores={"contains": {"both": 0.0, "unscored here": 1.0, "unscored twice": "?", "only there": 0.5}},
    )
    maker.study(contrasts=(GAIN,))
    (row,) = ask("from contrast_by_language_and_size")
    assert (row["n"], row["n_lost"], row["n_unscored"]) == (1, 4, 3)
    assert (row["estimate"], row["mean_of"], row["mean_against"]) == (1.0, 1.0, 0.0)
    assert (row["standard_error"], row["ci_low"], row["ci_high"]) == (None, None, None)


def test_seeds_are_averaged_within_an_item_and_need_not_be_as_many_on_both_sides(
    maker: StoreMaker, ask: Ask
) -> None:
    maker.cell("tuned", seed=0, scores={"contains": {"1": 1.0, "2": 1.0}})
    maker.cell("tuned", seed=1, scores={"contains": {"1": 0.0, "2": 1.0}})
    maker.cell("prompted", scores={"contains": {"1": 0.0, "2": 0.0}})
    maker.study(contrasts=(GAIN,))
    (row,) = ask("from contrast_by_language_and_size")
    assert (row["estimate"], row["n"]) == (0.75, 2)
    assert row["standard_error"] == pytest.approx(0.25)


def test_languages_models_datasets_and_what_was_tuned_on_are_rows_of_their_own(
    maker: StoreMaker, ask: Ask
) -> None:
    values = iter(range(100))
    expected = {}
    for dataset in ("quiz", "vicuna"):
        for language in ("en", "fr"):
            for model in ("small", "large"):
                base = float(next(values))
                maker.cell(
                    "prompted",
                    dataset=dataset,
                    language=language,
                    model=model,
                    scores={"contains": {"1": base, "2": base, "3": "?"}},
                )
                for tuned_on in ("en", "es"):
                    gain = float(next(values))
                    scores = {"1": base + gain, "2": base + gain}
                    maker.cell(
                        "tuned",
                        dataset=dataset,
                        language=language,
                        model=model,
                        train_languages=(tuned_on,),
                        scores={"contains": scores},
                    )
                    expected[dataset, language, model, tuned_on, ""] = gain
    maker.study(contrasts=(GAIN,))
    rows = ask("from contrast_by_language_and_size")
    found = {
        (r["dataset"], r["language"], r["model"], r["of_train_languages"], r["against_train_languages"]): r[
            "estimate"
        ]
        for r in rows
    }
    assert found == expected
    assert len(rows) == len(expected)
    assert {(r["n"], r["n_lost"], r["n_unscored"]) for r in rows} == {(2, 1, 1)}


def test_a_contrast_pairs_every_judge_and_keeps_those_it_was_declared_on(maker: StoreMaker, ask: Ask) -> None:
    for method, score in (("tuned", 1.0), ("prompted", 0.0)):
        maker.cell(
            method,
            scores={
                "contains": {"1": score, "2": "?"},
                "loop": {"1": 1.0},
                "aspects=rubric": {"depth": {"1": 3.0}},
            },
        )
    maker.study(
        contrasts=(
            GAIN,
            ContrastPlan(name="depth", of="tuned", against="prompted", on=("aspects",), is_declared=False),
        )
    )
    rows = ask("from contrast_by_language_and_size")
    assert {(row["contrast"], row["measure"]): row["estimate"] for row in rows} == {
        ("gain", "contains"): 1.0,
        ("gain", "loop"): 0.0,
        ("gain", "aspects.depth"): 0.0,
        ("depth", "contains"): 1.0,
        ("depth", "loop"): 0.0,
        ("depth", "aspects.depth"): 0.0,
    }
    assert {row["measure"]: row["n_unscored"] for row in rows} == {
        "contains": 2,
        "loop": 0,
        "aspects.depth": 0,
    }
    assert {
        row["contrast"]: (row["on_judges"], row["is_declared"]) for row in ask("from asked_contrasts")
    } == {
        "gain": ([], True),
        "depth": (["aspects"], False),
    }


def test_a_contrast_declared_on_an_aspect_is_confirmatory_on_it_alone(maker: StoreMaker, ask: Ask) -> None:
    for method in ("tuned", "prompted"):
        scores = {str(i): float(i % 3 + (method == "tuned")) for i in range(6)}
        maker.cell(
            method,
            scores={"contains": {"1": 1.0, "2": 0.0}, "aspects=rubric": {"depth": scores, "clarity": scores}},
        )
    maker.study(contrasts=(ContrastPlan(name="gain", of="tuned", against="prompted", on=("aspects.depth",)),))
    rows = ask("from contrast_by_language_and_size")
    assert {row["measure"]: (row["family"], row["n_tests"]) for row in rows} == {
        "contains": ("exploratory", 2),
        "aspects.clarity": ("exploratory", 2),
        "aspects.depth": ("confirmatory", 1),
    }


def test_two_models_of_one_name_with_two_sizes_still_make_one_row(maker: StoreMaker, ask: Ask) -> None:
    maker.cell("tuned", scores={"contains": {"1": 1.0}}, num_parameters=120)
    maker.cell("prompted", scores={"contains": {"1": 0.0}}, num_parameters=100)
    maker.study(contrasts=(GAIN,))
    (row,) = ask("from contrast_by_language_and_size")
    assert (row["num_parameters"], row["estimate"]) == (100, 1.0)


def test_items_that_were_not_asked_since_asking_stopped_are_not_lost(maker: StoreMaker, ask: Ask) -> None:
    maker.cell("tuned", scores={"contains": {"1": 1.0, "2": "?"}})
    maker.cell("prompted", scores={"contains": {"1": 0.0, "2": 1.0, "3": 1.0, "4": "?"}})
    maker.study(contrasts=(STOPPED,))
    (row,) = ask("from contrast_by_language_and_size")
    assert (row["n"], row["n_lost"], row["n_unscored"]) == (1, 1, 1)


@pytest.mark.parametrize(("score", "has_bounds"), [(1 + 1e-12, True), (1.5, False)])
def test_where_asking_stopped_a_score_out_of_its_scale_leaves_no_interval(
    score: float, has_bounds: bool, maker: StoreMaker, ask: Ask
) -> None:
    maker.cell("tuned", scores={"contains": {"1": score, "2": 1.0}})
    maker.cell("prompted", scores={"contains": {"1": 0.0, "2": 0.0}})
    maker.study(contrasts=(STOPPED,))
    (row,) = ask("from contrast_by_language_and_size")
    assert row["n"] == 2
    assert (row["e_value"] is not None, row["ci_low"] is not None) == (has_bounds, has_bounds)
