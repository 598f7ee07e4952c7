"""Contrasts between models: the statistics of contrasts between methods, of the same scores."""

from typing import Any

import pytest

from dsl.plan.study import ContrastPlan
from tests.warehouse.conftest import Ask
from tests.warehouse.stores import StoreMaker

A = {"1": 1.0, "2": 1.0, "3": 0.5, "4": 1.0, "5": "?", "6": 0.75}
B = {"1": 0.0, "2": 0.5, "3": 0.5, "4": 0.25, "5": 1.0, "7": 1.0}
GAP = ContrastPlan(name="gap", of="gpt", against="claude", on=("contains",), method="chat")
VIEW = "from contrast_by_language_and_size order by contrast, language"


def without_names(row: dict[str, Any]) -> dict[str, Any]:
    named = {"experiment", "contrast", "of", "against", "method", "model", "num_parameters"}
    return {key: value for key, value in row.items() if key not in named}


def test_models_differ_as_methods_with_their_scores_would(maker: StoreMaker, ask: Ask) -> None:
    for language in ("en", "fr"):
        for name, scores in (("gpt", A), ("claude", B)):
            maker.cell(
                "chat", model=name, num_parameters=None, language=language, scores={"contains": scores}
            )
    maker.study("models", contrasts=(GAP,))
    for language in ("en", "fr"):
        for name, scores in (("gpt", A), ("claude", B)):
            maker.cell(name, language=language, scores={"contains": scores})
    maker.study("methods", contrasts=(GAP.model_copy(update={"method": None}),))
    rows = ask(VIEW)
    models, methods = (
        [row for row in rows if row["experiment"] == experiment] for experiment in ("models", "methods")
    )
    assert [without_names(row) for row in models] == [without_names(row) for row in methods]
    assert [(row["of"], row["against"], row["method"], row["model"]) for row in models] == [
        ("gpt", "claude", "chat", "gpt")
    ] * 2
    (gap, other) = ask("from language_gap order by experiment desc")
    assert (gap["of"], gap["estimate"], gap["p_value"]) == ("gpt", other["estimate"], other["p_value"])


def test_items_are_paired_and_sizes_play_no_part(maker: StoreMaker, ask: Ask) -> None:
    for name, scores, n in (("gpt", A, None), ("claude", B, 7)):
        maker.cell("chat", model=name, num_parameters=n, scores={"contains": scores})
    maker.study(contrasts=(GAP,))
    (row,) = ask(VIEW)
    # items 1 to 4: differences 1, 0.5, 0, 0.75
    assert (row["estimate"], row["n"], row["n_lost"], row["n_unscored"]) == (0.5625, 4, 3, 1)
    assert (row["family"], row["num_parameters"]) == ("confirmatory", None)
    assert ask("from size_trend where contrast = 'gap'") == []
    # each model's own scores are its own
    means = ask("select model, mean_score, n from score_by_cell order by model")
    assert [(row["model"], row["n"]) for row in means] == [("claude", 6), ("gpt", 5)]


def test_only_cells_of_the_method_and_tuned_on_the_same_are_compared(maker: StoreMaker, ask: Ask) -> None:
    for model, scores in (("gpt", A), ("claude", B)):
        maker.cell("icl", model=model, scores={"contains": scores})
        for tuned in (("en",), ("fr",)):
            maker.cell("chat", model=model, train_languages=tuned, scores={"contains": scores})
    maker.study(contrasts=(GAP,))
    found = [(row["of_train_languages"], row["against_train_languages"]) for row in ask(VIEW)]
    assert sorted(found) == [("en", "en"), ("fr", "fr")]


def test_training_seeds_of_both_models_are_a_source_of_variance(maker: StoreMaker, ask: Ask) -> None:
    def study(experiment: str, contrast: ContrastPlan, cell: Any) -> None:
        for side, shift in (("gpt", 0.2), ("claude", 0.0)):
            for seed in (0, 1, 2):
                scores = {str(i): 0.1 * i + shift + 0.03 * seed * (i % 2) for i in range(6)}
                maker.cell(**cell(side), train_languages=("en",), seed=seed, scores={"contains": scores})
        maker.study(experiment, contrasts=(contrast,))

    study("models", GAP, lambda side: {"method": "chat", "model": side})
    study("methods", GAP.model_copy(update={"method": None}), lambda side: {"method": side})
    models, methods = ask("from contrast_by_language_and_size order by experiment desc")
    assert models["n_seeds"] == 3
    assert models["standard_error"] > 0
    assert without_names(models) == pytest.approx(without_names(methods), nan_ok=True)


@pytest.mark.parametrize(
    ("method", "correction"), [("icl", "benjamini_hochberg"), ("chat", "benjamini_yekutieli")]
)
def test_a_contrast_of_models_shares_an_arm_with_others_of_its_method(
    method: str, correction: str, maker: StoreMaker, ask: Ask
) -> None:
    for model, scores in (("gpt", A), ("claude", B)):
        for name in ("chat", "icl", "sft"):
            maker.cell(name, model=model, scores={"contains": scores})
    maker.study(
        contrasts=(
            GAP.model_copy(update={"on": ()}),
            ContrastPlan(name="other", of=method, against="sft"),
        )
    )
    assert {row["correction"] for row in ask(VIEW)} == {correction}
