"""Declared interactions with language and size in words."""

from dataclasses import replace
from typing import Any

import pytest

from tests.warehouse.report_rows import ORDER, WORDS, contrast
from warehouse.report.answer import Answer, interactions


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
    assert interactions([gap, explored], [trend, few], ORDER, WORDS) == Answer(
        (
            "The lead of urial over zero_shot on `contains` is 0.20 [0.09, 0.31] larger in French than in"
            " English (corrected p = 0.010).",
        ),
        (
            "No significant interaction in the other 1 of 2 declared interactions.",
            "A declared interaction can't be tested: 3 models.",
        ),
    )
    assert interactions([explored], [], ORDER, WORDS) == Answer(())
    (said,) = interactions([gap], [], ORDER, replace(WORDS, datasets=("facts", "sums"))).supported
    assert said.startswith("The lead of urial over zero_shot on `contains` on facts is 0.20 ")


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
    (said,) = interactions(gaps, trends, ORDER, WORDS).supported
    assert said == f"The lead of urial over sft on {told} (corrected p = 0.004)."
