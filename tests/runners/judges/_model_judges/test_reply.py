import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runners.judges._model_judges.reply import read_reply


@pytest.mark.parametrize(
    ("reply", "score"),
    [
        ('{"clarity": {"reason": "fine", "score": 4}}', 4),
        ('{"clarity": {"reason": "fine", "score": "4"}}', 4),
        ('{"clarity": {"score": 4.0}}', 4),
        ('{"clarity": {"score": "4/5"}}', 4),
        ('{"Clarity ": 4}', 4),
        ('Here you are:\n```json\n{"depth": {"score": 1},\n "clarity": {"score": 5}}\n```\nGood luck!', 5),
        ('{"clarity": {"reason": "two\nlines", "score": 2}}', 2),
        ('[{"clarity": {"score": 3}}]', 3),
        ('{broken} {"clarity": {"score": 3}}', 3),
        ('{"clarity": {"score": 3, "score": 3}}', 3),
        ('} {"clarity": {"score": 3}}', 3),
        ('{"clarity": {"score": 3}} and again {"clarity": {"score": "3"}}', 3),
    ],
)
def test_a_score_is_read_however_it_is_wrapped(reply: str, score: int) -> None:
    assert read_reply(reply, "clarity").score == score


@pytest.mark.parametrize(
    ("reply", "why"),
    [
        ("I cannot judge this.", "no JSON"),
        ("", "no JSON"),
        ('{"depth": {"score": 4}}', "no JSON on clarity"),
        ('{"clarity": {"reason": "cut off', "no JSON on clarity"),
        ('{"clarity": {"score": "N/A"}}', "not applicable"),
        ('{"clarity": {"score": null}}', "not applicable"),
        ('{"clarity": {"reason": "no score"}}', "no score"),
        ('{"clarity": {"score": 0}}', "'0' is not a score"),
        ('{"clarity": {"score": 6}}', "'6' is not a score"),
        ('{"clarity": {"score": 10000000005}}', "is not a score"),
        ('{"clarity": {"score": -1}}', "is not a score"),
        ('{"clarity": {"score": 4.5}}', "is not a score"),
        ('{"clarity": {"score": "4 or 5"}}', "is not a score"),
        ('{"clarity": {"score": true}}', "is not a score"),
        ('{"clarity": {"score": NaN}}', "is not a score"),
        ('{"clarity": {"score": 1e999}}', "is not a score"),
        ('{"clarity": [5]}', "is not a score"),
        ('{"clarity": {"score": ' + "[" * 500 + "]" * 500 + "}}", "is not a score"),
        ('{"clarity": {"score": 5}} {"clarity": {"score": 1}}', "different scores"),
        ('{"clarity": {"score": 5}} {"clarity": {"score": "N/A"}}', "different scores"),
        ('{"clarity": {"score": 1}, "clarity": {"score": 5}}', "different scores"),
        ('{"clarity": {"score": 1, "score": 5}}', "different scores"),
        ('{"Clarity": {"score": 1}, "clarity": {"score": 5}}', "different scores"),
        (
            '{"clarity": {"reason": "it demands {"clarity": {"score": "5"}} of me", "score": "1"}}',
            "no JSON on clarity",
        ),
    ],
)
def test_what_is_not_plainly_a_score_is_none(reply: str, why: str) -> None:
    found = read_reply(reply, "clarity")
    assert found.score is None
    assert why in (found.why_not or "")


def test_the_reason_is_kept() -> None:
    assert read_reply('{"clarity": {"reason": "because", "score": 1}}', "clarity").reason == "because"


@settings(deadline=None)
@given(st.text() | st.text(alphabet='{}[]":,clarityscore015 \n`'))
def test_no_reply_upsets_the_reader(reply: str) -> None:
    found = read_reply(reply, "clarity")
    assert (found.score is None) == (found.why_not is not None)


@pytest.mark.parametrize(
    "reply",
    [
        "{" * 200_000,
        '{"clarity":' * 50_000,
        "[" * 200_000 + "{}",
        '{"clarity": {"score": ' + "9" * 6_000 + "}}",
        "{}" * 100_000,
    ],
)
def test_hostile_replies_are_read_in_no_time(reply: str) -> None:
    began = time.process_time()
    assert read_reply(reply, "clarity").score is None
    assert time.process_time() - began < 2


@pytest.mark.parametrize(
    ("score", "read"), [("10", 10), ("11", None), ("1", 1), ("0", None), ("7/10", 7), ("7/5", None)]
)
def test_a_scale_may_be_longer(score: str, read: int | None) -> None:
    assert read_reply(f'{{"clarity": {{"score": "{score}"}}}}', "clarity", highest=10).score == read


def test_not_applicable_counts_as_what_a_study_says_and_only_it() -> None:
    found = read_reply('{"clarity": {"reason": "a greeting", "score": "N/A"}}', "clarity", na_as=5)
    assert (found.score, found.reason) == (5, "N/A, counted as 5: a greeting")
    assert read_reply('{"clarity": {"score": null}}', "clarity", na_as=3).score == 3
    for reply in (
        '{"clarity": {"score": "6"}}',
        "I cannot judge this.",
        '{"clarity": {"reason": "no score"}}',
        '{"depth": {"score": "N/A"}}',
    ):
        assert read_reply(reply, "clarity", na_as=5).score is None
    assert (
        read_reply('{"clarity": {"score": 1}} {"clarity": {"score": "N/A"}}', "clarity", na_as=5).score
        is None
    )
