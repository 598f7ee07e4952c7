"""Pairs beside columns that say which answer is better: told where these say otherwise."""

from typing import Any

import pytest

from dsl.data.preferences import preference_notes
from dsl.data.source import Columns

SCORED = "whose chosen answer has the lower score"


def notes(row: dict[str, Any], chosen: str = "response_0", rejected: str = "response_1") -> list[str]:
    columns = Columns(instruction="q", chosen=chosen, rejected=rejected)
    return list(preference_notes({"q": "hi", chosen: "a", rejected: "b", **row}, columns))


@pytest.mark.parametrize(
    ("row", "names", "said"),
    [
        ({"better_response_id": 1}, ("response_0", "response_1"), "prefers `response_1`"),
        ({"better_response_id": 0}, ("response_0", "response_1"), ""),
        ({"winner": "model_b"}, ("response_a", "response_b"), "prefers `response_b`"),
        ({"winner": "model_a"}, ("response_a", "response_b"), ""),
        ({"winner": "tie (bothbad)"}, ("response_a", "response_b"), "prefers neither"),
        ({"preference": "B"}, ("answer_A", "answer_B"), "prefers `answer_B`"),
        ({"preferred": "answer 2"}, ("answer1", "answer2"), "prefers `answer2`"),
        ({"label": "politics"}, ("response_a", "response_b"), ""),
        ({"winner": 1}, ("chosen", "rejected"), ""),
        ({"note": 1}, ("response_0", "response_1"), ""),
    ],
)
def test_a_column_that_prefers_the_rejected_answer_is_told(
    row: dict[str, Any], names: tuple[str, str], said: str
) -> None:
    found = notes(row, *names)
    assert len(found) == bool(said)
    assert said in "".join(found)


@pytest.mark.parametrize(
    ("row", "names", "is_told"),
    [
        ({"chosen_score": 1, "rejected_score": 9.0}, ("chosen", "rejected"), True),
        ({"score_chosen": "2", "score_rejected": "3"}, ("chosen", "rejected"), True),
        ({"response_0_rating": 1, "response_1_rating": 2}, ("response_0", "response_1"), True),
        ({"score_a": 1, "score_b": 2}, ("text_a", "text_b"), True),
        ({"chosen_score": 9, "rejected_score": 1}, ("chosen", "rejected"), False),
        ({"chosen_score": None, "rejected_score": 1}, ("chosen", "rejected"), False),
        ({"chosen_rank": 1, "rejected_rank": 2}, ("chosen", "rejected"), False),
    ],
)
def test_a_chosen_score_below_the_rejected_one_is_told(
    row: dict[str, Any], names: tuple[str, str], is_told: bool
) -> None:
    assert [note[: len(SCORED)] for note in notes(row, *names)] == ([SCORED] if is_told else [])
