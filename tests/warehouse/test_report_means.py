"""The highest mean in words, where no difference is tested."""

from typing import Any

import pytest

from tests.warehouse.report_rows import ORDER, score
from warehouse.report.means import best_methods, by_size, leaders


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
