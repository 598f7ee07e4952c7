"""Caveats of an answer, from its numbers, the heaviest first."""

from typing import Any

import pytest

from tests.warehouse.report_rows import contrast, score
from warehouse.report.answer import told
from warehouse.report.caveats import Caveat, caveats

PLANNED = ((9, "confirmatory"), (12, "confirmatory"), (4, "exploratory"))
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
    assert caveats(rows, [], [])[0].whole.startswith("Small samples: comparisons rest on 9 to 12 questions.")


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


def test_what_was_trained_with_one_seed_is_said_to_be_for_this_one_trained_model() -> None:
    rows = [contrast("sft", "zero_shot", "en", 0.2, 0.1, n=200, scope="this one trained model")]
    assert any("for this one trained model" in caveat.whole for caveat in caveats(rows, [], []))
    assert not any("trained" in caveat.whole for caveat in caveats([rows[0] | {"scope": None}], [], []))


def test_a_training_that_diverged_is_said_once_with_its_step_and_the_weights_that_stayed() -> None:
    diverged = {
        "step_id": "sft-1", "method": "sft", "model": "tiny", "train_languages": "fr", "seed": 0,
        "varied": None, "diverged_at_step": 8,
    }  # fmt: skip
    tried = diverged | {"step_id": "dpo-1", "method": "dpo", "varied": "training.beta: 1", "seed": None}
    (caveat,) = caveats([], [], [], diverged=[diverged, diverged, diverged | {"method": "dpo"}, tried])
    assert caveat.headline == "2 trainings diverged."
    assert caveat.whole == (
        "2 trainings diverged. sft (tiny, tuned on fr, seed 0) at step 8 and dpo (tiny, tuned on fr,"
        " training.beta: 1) at step 8: the weights of the best evaluation before that are used."
    )


def test_a_training_that_ran_out_of_memory_is_said_with_the_batches_that_it_ended_with() -> None:
    sizes = {"per_device_train_batch_size": 2, "gradient_accumulation_steps": 8, "n_out_of_memory": 2}
    step = {"kind": "sft", "models": ["tiny", "small"], "facts": sizes}
    (caveat,) = caveats([], [], [], split=[step, step])
    assert caveat.whole == (
        "2 trainings ran out of memory and went on with smaller batches. sft (tiny, small) ended with batches"
        " of 2, accumulated over 8: optimiser steps saw the rows that were asked for."
    )
