"""`score_by_cell`, `score_by_method_language`, `score_by_model_size`: means that can be added up, errors
against statsmodels."""

import math
import random

import numpy as np
import pytest
from scipy import stats

from dsl.data.records import Label
from tests.warehouse.conftest import Ask
from tests.warehouse.stores import StoreMaker
from warehouse.statistics.intervals import bounded_interval


def test_a_cells_mean_stands_beside_its_counts_error_and_interval(maker: StoreMaker, ask: Ask) -> None:
    maker.cell(
        scores={"contains": {"1": 1.0, "2": 0.0, "3": 1.0, "4": "no accepted answer", "5": "no answer"}},
        texts={"1": "a", "2": "bb", "3": "ccc", "4": "dd", "5": None},
        finish_reason={"3": "length"},
    )
    maker.study()
    (row,) = ask("from score_by_cell")
    assert row["mean_score"] == pytest.approx(2 / 3)
    assert (row["n"], row["n_unscored"], row["n_missing"]) == (3, 2, 1)
    # 1, 0, 1: sample variance 1/3, so the standard error is 1/3
    assert row["standard_error"] == pytest.approx(1 / 3)
    # two of three, as Wilson has it: inside [0, 1]
    assert (row["ci_low"], row["ci_high"]) == pytest.approx(
        tuple(stats.binomtest(2, 3).proportion_ci(method="wilson"))
    )
    assert row["mean_characters"] == 2
    assert row["share_cut"] == 1 / 4


def test_one_score_has_no_error_and_no_interval(maker: StoreMaker, ask: Ask) -> None:
    maker.cell(scores={"contains": {"1": 1.0}})
    maker.study()
    for view in ("score_by_cell", "score_by_method_language", "score_by_model_size"):
        (row,) = ask(f"from {view}")
        assert (row["mean_score"], row["standard_error"], row["ci_low"], row["ci_high"]) == (
            1.0,
            None,
            None,
            None,
        ), view


def test_all_unscored_is_no_mean_and_not_a_zero(maker: StoreMaker, ask: Ask) -> None:
    maker.cell(scores={"contains": {"1": "unreadable", "2": "unreadable"}})
    maker.study()
    for view in ("score_by_cell", "score_by_method_language", "score_by_model_size"):
        (row,) = ask(f"from {view}")
        assert (row["mean_score"], row["n"], row["n_unscored"]) == (None, 0, 2), view


def test_a_judge_of_one_aspect_is_named_as_itself_and_others_by_aspect(maker: StoreMaker, ask: Ask) -> None:
    maker.cell(
        scores={"right=contains": {"1": 1.0}, "aspects=rubric": {"depth": {"1": 2.0}, "clarity": {"1": 5.0}}}
    )
    maker.study()
    rows = ask("from score_by_cell")
    assert {row["measure"]: row["mean_score"] for row in rows} == {
        "right": 1.0,
        "aspects.depth": 2.0,
        "aspects.clarity": 5.0,
    }


def test_the_scale_of_a_studys_own_rubric_has_the_levels_of_each_aspect(maker: StoreMaker, ask: Ask) -> None:
    maker.cell(
        scores={"mine=rubric": {"wit": {"1": 2.0}, "a.b": {"1": 5.0}}, "theirs=rubric": {"wit": {"1": 2.0}}}
    )
    maker.judges["mine"] = maker.judges["mine"].model_copy(
        update={"scales": {"wit": (1.0, 3.0), "a.b": (1.0, 10.0)}}
    )
    maker.study()
    rows = ask("select measure, scale_low, scale_high from verdicts")
    assert {row["measure"]: (row["scale_low"], row["scale_high"]) for row in rows} == {
        "mine.wit": (1, 3),
        "mine.a.b": (1, 10),
        "theirs.wit": (1, 5),
    }


def test_means_of_the_same_items_have_the_same_item_set_whatever_their_number(
    maker: StoreMaker, ask: Ask
) -> None:
    maker.cell("zero", scores={"contains": {"1": 1.0, "2": 0.0, "3": "unreadable"}})
    maker.cell("same", scores={"contains": {"2": 1.0, "1": 0.0}})
    maker.cell("other", scores={"contains": {"1": 1.0, "2": "unreadable", "3": 0.0}})
    maker.study()
    found = {row["method"]: (row["n"], row["item_set_id"]) for row in ask("from score_by_method_language")}
    assert found["zero"] == found["same"] != found["other"]
    assert found["other"][0] == 2


def test_seeds_are_averaged_within_an_item_before_items_are(maker: StoreMaker, ask: Ask) -> None:
    maker.cell(seed=0, scores={"contains": {"1": 1.0, "2": 0.0, "3": 2 / 3}})
    maker.cell(seed=1, scores={"contains": {"1": 1.0, "2": "unreadable"}})
    maker.cell(seed=2, scores={"contains": {"1": 0.5, "2": 1.0}})
    maker.study()
    (row,) = ask("from score_by_method_language")
    # item 1: 5/6 of three seeds; item 2: 1/2 of two seeds; item 3: 2/3 of one seed
    assert row["mean_score"] == pytest.approx(2 / 3)
    assert row["standard_error"] == pytest.approx(1 / 6 / math.sqrt(3))
    assert (row["n"], row["n_unscored"], row["n_seeds"]) == (3, 1, 3)


def test_what_a_model_was_tuned_on_keeps_rows_apart(maker: StoreMaker, ask: Ask) -> None:
    maker.cell("sft", train_languages=("en",), scores={"contains": {"1": 1.0}}, language="fr")
    maker.cell("sft", train_languages=("en", "fr"), scores={"contains": {"1": 0.0}}, language="fr")
    maker.study()
    rows = ask("from score_by_method_language")
    assert {row["train_languages"]: row["mean_score"] for row in rows} == {"en": 1.0, "en+fr": 0.0}


def test_a_models_size_is_the_stated_one_or_else_the_least_that_was_counted(
    maker: StoreMaker, ask: Ask
) -> None:
    maker.cell(
        "icl",
        scores={"contains": {"1": 1.0}},
        model="counted",
        num_parameters=None,
        facts={"n_parameters": 100},
    )
    maker.cell(
        "sft",
        scores={"contains": {"1": 1.0}},
        model="counted",
        num_parameters=None,
        facts={"n_parameters": 107},
    )
    maker.cell(
        "icl", scores={"contains": {"1": 1.0}}, model="stated", num_parameters=50, facts={"n_parameters": 51}
    )
    maker.cell("icl", scores={"contains": {"1": 1.0, "2": 0.0}}, model="unknown", num_parameters=None)
    maker.study()
    assert ask("select standard_error from score_by_model_size where model = 'unknown'") == [
        {"standard_error": pytest.approx(0.5)}
    ]
    for view in (
        "score_by_cell",
        "score_by_method_language",
        "score_by_model_size",
        "length_by_method_language",
    ):
        rows = ask(f"select distinct model, num_parameters from {view}")
        assert {row["model"]: row["num_parameters"] for row in rows} == {
            "counted": 100,
            "stated": 50,
            "unknown": None,
        }, view


def test_translations_of_an_item_are_one_cluster_where_the_dataset_is_parallel(
    maker: StoreMaker, ask: Ask
) -> None:
    for parallel in (True, False):
        for language in ("en", "fr"):
            maker.cell(scores={"contains": {"1": 1.0, "2": 0.0}}, language=language)
        maker.study(f"parallel-{parallel}", parallel=parallel)
    rows = {row["experiment"]: row for row in ask("from score_by_model_size")}
    # residuals ±1/2, sums within a cluster ±1: sqrt(1 + 1) / 4 * sqrt(2 / 1) = 1/2
    assert rows["parallel-True"]["standard_error"] == pytest.approx(1 / 2)
    assert (rows["parallel-True"]["ci_low"], rows["parallel-True"]["ci_high"]) == pytest.approx(
        bounded_interval(0.5, 1 / 4, 2, 0.05)
    )
    # four clusters of one row each: sqrt(4 * 1/4) / 4 * sqrt(4 / 3) = sd / sqrt(n)
    assert rows["parallel-False"]["standard_error"] == pytest.approx(math.sqrt(1 / 3) / 2)
    assert {(row["n"], row["n_items"], row["n_languages"]) for row in rows.values()} == {(4, 2, 2), (4, 4, 2)}


def test_the_error_over_languages_is_statsmodels_cluster_robust_one(maker: StoreMaker, ask: Ask) -> None:
    import statsmodels.api as sm

    chance = random.Random(7)
    items = {str(i): chance.gauss(0, 1) for i in range(23)}
    scores: dict[str, dict[str, float | str]] = {}
    for language in ("en", "es", "fr"):
        scores[language] = {
            i: chance.gauss(level, 0.7) for i, level in items.items() if chance.random() > 0.5
        }
        scores[language] |= {i: "unreadable" for i in items if i not in scores[language]}
        maker.cell(scores={"length": scores[language]}, language=language)
    maker.study()
    (row,) = ask("from score_by_model_size")

    kept = [
        (item, score)
        for found in scores.values()
        for item, score in found.items()
        if isinstance(score, float)
    ]
    values = np.array([score for _, score in kept])
    groups = np.array([int(item) for item, _ in kept])
    # use_correction: G / (G - 1) * (N - 1) / (N - K), which for the mean alone (K = 1) is G / (G - 1); t with
    # G - 1 degrees of freedom
    expected = sm.OLS(values, np.ones(len(values))).fit(
        cov_type="cluster",
        cov_kwds={"groups": groups, "use_correction": True, "df_correction": True},
        use_t=True,
    )
    low, high = expected.conf_int()[0]
    assert row["n"] == len(values)
    assert row["n_items"] == len(set(groups)) < len(items)
    assert row["n_unscored"] == 3 * 23 - len(values)
    assert row["mean_score"] == pytest.approx(expected.params[0])
    assert row["standard_error"] == pytest.approx(expected.bse[0])
    assert row["ci_low"] == pytest.approx(low, abs=1e-5)
    assert row["ci_high"] == pytest.approx(high, abs=1e-5)


def test_every_score_stands_beside_the_length_of_the_answers(maker: StoreMaker, ask: Ask) -> None:
    for language, text in (("en", "aa"), ("fr", "aaaa")):
        maker.cell(scores={"contains": {"1": 1.0}}, texts={"1": text}, language=language)
    maker.cell("other", scores={"contains": {"1": 1.0}}, texts={"1": "a"})
    maker.study()
    for view, lengths in (
        ("score_by_model_size", [1.0, 3.0]),
        ("score_by_method_language", [1.0, 2.0, 4.0]),
        ("score_by_cell", [1.0, 2.0, 4.0]),
    ):
        assert sorted(row["mean_characters"] for row in ask(f"from {view}")) == lengths, view


def test_the_tuned_languages_of_a_method_over_languages_are_named_once_or_each(
    maker: StoreMaker, ask: Ask
) -> None:
    for language in ("en", "fr"):
        maker.cell("own", train_languages=(language,), scores={"contains": {"1": 1.0}}, language=language)
        maker.cell("english", train_languages=("en",), scores={"contains": {"1": 1.0}}, language=language)
        maker.cell("none", scores={"contains": {"1": 1.0}}, language=language)
    maker.study()
    rows = ask("from score_by_model_size")
    assert {row["method"]: row["train_languages"] for row in rows} == {
        "own": "each",
        "english": "en",
        "none": "",
    }


def test_the_t_quantile_is_scipys_to_four_decimals_for_every_number_of_clusters(ask: Ask) -> None:
    rows = ask("select df, t_quantile(df) as t from (select unnest(range(1, 2000)) as df)")
    expected = stats.t.ppf(0.975, np.array([row["df"] for row in rows]))
    assert max(abs(expected - np.array([row["t"] for row in rows]))) < 1e-5
    assert ask("select t_quantile(0) as t") == [{"t": None}]


def test_a_judge_s_distribution_does_not_widen_the_error_of_a_mean_and_has_a_column_of_its_own(
    maker: StoreMaker, ask: Ask
) -> None:
    # a judge that cannot tell 1 from 3: variance 1; the scores 2, 4 have variance 2
    sure, unsure = {"2": 1.0}, {"1": 0.5, "3": 0.5}
    for method, distribution in (("sure", sure), ("unsure", unsure), ("named", {"good": 1.0})):
        maker.cell(
            method,
            scores={"decision=rubric": {"depth": {"1": 2.0, "2": 4.0, "3": "?"}}},
            distribution=distribution,
        )
    maker.study()
    for view in ("score_by_cell", "score_by_method_language", "score_by_model_size"):
        found = {row["method"]: row["standard_error"] for row in ask(f"from {view}")}
        assert found["sure"] == found["named"] == pytest.approx(1.0), view
        assert found["unsure"] == pytest.approx(1.0), view
    for view in ("score_by_cell", "score_by_method_language"):
        found = {row["method"]: row["judge_standard_deviation"] for row in ask(f"from {view}")}
        assert found == {"sure": 0.0, "unsure": 1.0, "named": None}, view


def test_a_raw_mean_across_languages_of_an_opinion_warns_unless_people_calibrated_it(
    maker: StoreMaker, ask: Ask
) -> None:
    for dataset in ("quiz", "poems"):
        for language in ("en", "fr"):
            scores = {"contains": {"1": 1.0}, "aspects=rubric": {"depth": {"1": 1.0}}}
            maker.cell(dataset=dataset, language=language, scores=scores)
    maker.cell("only_en", dataset="quiz", scores={"aspects=rubric": {"depth": {"1": 1.0}}})
    maker.study()
    rows = ask("select dataset, method, measure from score_by_model_size where warning is not null")
    assert rows == [
        {"dataset": dataset, "method": "icl", "measure": "aspects.depth"} for dataset in ("poems", "quiz")
    ]


def test_people_calibrate_a_judge_where_they_labelled_what_it_scored_in_every_language(
    maker: StoreMaker, ask: Ask
) -> None:
    texts = {"1": "a", "2": "b"}
    for language in ("en", "fr"):
        scores = {
            "all=rubric": {"depth": {"1": 1.0, "2": 1.0}},
            "few=rubric": {"depth": {"1": 1.0, "2": "unreadable"}},
        }
        maker.cell(language=language, texts=texts, scores=scores)
    maker.study()
    ids = {(row["language"], row["item"]): row["answer_id"] for row in ask("from answers_to_label")}

    def warned(*labelled: tuple[str, str]) -> list[str]:
        maker.label("anna", [Label(answer_id=ids[place], score=1.0) for place in labelled])
        return [
            row["measure"]
            for row in ask("select measure from score_by_model_size where warning is not null order by all")
        ]

    assert warned(("en", "1"), ("en", "2")) == ["all.depth", "few.depth"]
    assert warned(("en", "1"), ("fr", "2")) == ["few.depth"]
    assert warned(("en", "1"), ("fr", "1")) == []


MEANS = {
    "score_by_method_language": "mean_score",
    "score_by_model_size": "mean_score",
    "critical_errors_by_cell": "share",
    "loops_by_cause": "share",
    "score_beside_critical_errors": "p_critical",
    "ifeval_accuracy": "accuracy",
    "win_rate_by_method": "win_rate",
}
"""Views that average over seeds -> the mean with an interval."""


def trained(maker: StoreMaker, by_seed: dict[int, dict[str, float | str]]) -> None:
    """A trained method whose answers are all right or all wrong by every judge, seed by seed."""
    for seed, scores in by_seed.items():
        maker.cell(
            "tuned",
            seed=seed,
            train_languages=("en",),
            scores={"contains": scores, "loop": scores, "follows=ifeval": {"strict": scores}},
        )
        maker.cell(
            "tuned",
            seed=seed,
            train_languages=("en",),
            dataset="duels",
            scores={"duel=contains": scores},
            against={"base": "generate-0000000000000000"},
        )
    maker.study()


def test_the_interval_of_every_mean_over_seeds_holds_for_other_training_runs(
    maker: StoreMaker, ask: Ask
) -> None:
    items = [str(i) for i in range(20)]
    trained(
        maker,
        {0: dict.fromkeys(items, 1.0), 1: dict.fromkeys(items, 0.0), 2: dict.fromkeys(items, "no answer")},
    )
    for view, mean in MEANS.items():
        rows = [row for row in ask(f"from {view}") if row[mean]]
        assert rows
        for row in rows:
            scale = 100 if view == "win_rate_by_method" else 1
            low, high = (row.get(f"p_critical_{end}", row.get(f"ci_{end}")) for end in ("low", "high"))
            assert (row[mean], row["n_seeds"], row["n_seeds_missing"], row["scope"]) == (
                0.5 * scale,
                2,
                1,
                None,
            ), view
            # one seed right on all items, one on none: two runs say next to nothing of a third
            assert low < 0.05 * scale, view
            assert high > 0.95 * scale, view


def test_the_interval_of_one_training_run_is_for_this_one_trained_model(maker: StoreMaker, ask: Ask) -> None:
    trained(maker, {0: {"1": 1.0, "2": 0.0, "3": 0.0}})
    maker.cell("icl", scores={"contains": {"1": 1.0, "2": 0.0}})
    maker.study("untrained")
    for view in (*MEANS, "score_by_cell"):
        scopes = {(row["experiment"], row["scope"]) for row in ask(f"from {view}")}
        assert ("trial", "this one trained model") in scopes, view
        assert scopes <= {("trial", "this one trained model"), ("untrained", None)}, view
