from collections.abc import Mapping

import pytest
from pydantic import TypeAdapter, ValidationError

from dsl.data.records import Verdict
from dsl.errors import DataError
from dsl.judges import AnyJudge
from dsl.judges.contract import JudgeSettings
from runners.judges import ensemble
from runners.judges.contract import Answer, Tools
from runners.store.row_keys import Keys
from tests.runners.judges.answers import answer, no_model

SERVED = {"engine": "openai", "name": "judge", "base_url": "http://localhost:1/v1"}
Said = Mapping[str, Mapping[str, float | str]]
"""Judge -> aspect -> score, or why there is none."""


def settings(**given: object) -> ensemble.Settings:
    return TypeAdapter(AnyJudge).validate_python({"judge": "ensemble", "of": ["a", "b", "c"], **given})


def judged(given: ensemble.Settings, said: Said) -> dict[str, Verdict]:
    one = answer("Paris.")
    verdicts = {
        judge: [
            Verdict(
                row_key="0" * 64,
                item="1",
                language="en",
                aspect=aspect,
                score=None if isinstance(score, str) else score,
                unscored_reason=score if isinstance(score, str) else None,
            )
            for aspect, score in found.items()
        ]
        for judge, found in said.items()
    }
    keys = Keys(ensemble, given).of(one.example, one.completion, verdicts=verdicts)
    answers = [Answer(one.example, one.completion, keys, verdicts=verdicts)]
    tools = Tools(no_model, None)  # type: ignore[arg-type]
    return {v.aspect: v for v in ensemble.judge(answers, given, tools)}


def members(**given: dict[str, object]) -> dict[str, JudgeSettings]:
    return {name: TypeAdapter(AnyJudge).validate_python(settings) for name, settings in given.items()}


def one(given: ensemble.Settings, **scores: float | str) -> Verdict:
    """The verdict of an ensemble of judges with one aspect each, of whatever name."""
    return judged(given, {judge: {f"kind_{judge}": score} for judge, score in scores.items()})["ensemble"]


def test_the_mean_of_the_members_keeps_what_each_said() -> None:
    found = one(settings(), a=1.0, b=0.0, c=0.5)
    assert (found.score, found.parts, found.reason) == (0.5, {"a": 1.0, "b": 0.0, "c": 0.5}, None)


def test_most_members_are_enough_and_it_says_who_is_missing_and_why() -> None:
    found = one(settings(), a=1.0, b="it refused", c=0.0)
    assert (found.score, found.parts) == (0.5, {"a": 1.0, "c": 0.0})
    assert found.reason == "without b: it refused"


def test_too_few_members_with_a_score_leave_none() -> None:
    found = one(settings(), a=1.0, b="it refused")
    assert (found.score, found.parts) == (None, {"a": 1.0})
    assert (
        found.unscored_reason
        == "1 of 3 judges have a score and 2 are needed: without b: it refused; c: it has no verdict"
    )
    assert one(settings(min_judges=1), a=1.0, b="it refused").score == 1
    assert one(settings(min_judges=3), a=1.0, b="it refused", c=0.0).score is None


@pytest.mark.parametrize(
    ("scores", "score"),
    [
        ({"a": 1.0, "b": 1.0, "c": 0.0}, 1.0),
        ({"a": 4.0, "b": 2.0, "c": 4.0}, 4.0),
        ({"a": 1.0, "b": 0.5, "c": 0.0}, None),
        ({"a": 1.0, "b": 0.0}, None),
        ({"a": 1.0, "b": 1.0}, 1.0),
    ],
)
def test_a_majority_is_more_than_half_of_those_with_a_score(
    scores: dict[str, float], score: float | None
) -> None:
    assert one(settings(by="majority"), **scores).score == score


def test_a_tie_between_judges_is_unscored_with_what_each_said() -> None:
    found = one(settings(by="majority"), a=1.0, b=0.5, c="it refused")
    assert found.unscored_reason == "no majority: a 1, b 0.5; without c: it refused"
    assert found.parts == {"a": 1.0, "b": 0.5}


def test_every_shared_aspect_has_a_verdict_and_one_that_nobody_judged_has_no_row() -> None:
    found = judged(
        settings(aspects=["clarity", "depth", "safety"]),
        {
            "a": {"clarity": 5.0, "depth": 1.0},
            "b": {"clarity": 4.0, "depth": 2.0},
            "c": {"clarity": 3.0, "depth": "N/A"},
        },
    )
    assert {aspect: v.score for aspect, v in found.items()} == {"clarity": 4.0, "depth": 1.5}
    assert judged(settings(), {}) == {}


def test_a_key_depends_on_what_the_members_say() -> None:
    given, other = ({"a": {"contains": 1.0}, "b": {"exact": score}} for score in (1.0, 0.0))
    assert judged(settings(), given)["ensemble"].row_key == judged(settings(), given)["ensemble"].row_key
    assert judged(settings(), given)["ensemble"].row_key != judged(settings(), other)["ensemble"].row_key
    assert (
        judged(settings(by="majority"), given)["ensemble"].row_key
        != judged(settings(), given)["ensemble"].row_key
    )


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"of": ["a"]}, "at least 2"),
        ({"of": ["a", "a"]}, "names a judge twice"),
        ({"min_judges": 4}, "more than it has members"),
    ],
)
def test_a_wrong_setting_is_refused(given: dict[str, object], why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        settings(**given)


RUBRIC = {"judge": "rubric", "model": SERVED}
ASKED = {"judge": "decision", "model": {"engine": "systemone", "name": "m", "base_url": "http://localhost:1"}}
YES_OR_NO = {"question": "Is it deep?"}
DUEL = {"judge": "pairwise", "model": SERVED}
REWARD = {"judge": "reward", "model": {"hub": "a/b"}}
PAID = {"judge": "recorded", "verdicts": {"path": "a.csv"}, "columns": {"item": "id", "score": "s"}}


def test_the_shared_aspects_are_filled_in() -> None:
    few, more = (
        RUBRIC | {"aspects": ["depth", "clarity"]},
        RUBRIC | {"aspects": ["clarity", "factuality", "depth"]},
    )
    assert settings(of=["a", "b"]).among(members(a=few, b=more)).aspects == ("clarity", "depth")
    assert settings(of=["a", "b"], aspects=["clarity"]).among(members(a=few, b=more)).aspects == ("clarity",)
    assert settings(of=["a", "b"]).among(members(a=few, b=ASKED)).aspects == ("clarity", "depth")
    single = members(a={"judge": "contains"}, b={"judge": "exact"})
    assert settings(of=["a", "b"]).among(single).aspects is None


@pytest.mark.parametrize(
    ("a", "b", "given", "why"),
    [
        (RUBRIC, {"judge": "contains"}, {}, "use different scales: a: from 1 to 5; b: from 0 to 1"),
        (
            {"judge": "prompt_echo"},
            {"judge": "length"},
            {},
            "no common scale: a: from 0 to 1; b: no known lowest and highest score",
        ),
        ({"judge": "length"}, {"judge": "exact"}, {}, "name members with a scale"),
        (REWARD, REWARD, {}, "no common scale"),
        (PAID, {"judge": "contains"}, {}, r"say `score_range: \[lowest, highest\]` at a"),
        (
            PAID | {"score_range": [1, 5]},
            {"judge": "contains"},
            {},
            "different scales: a: from 1 to 5; b: from 0 to 1",
        ),
        (
            RUBRIC | {"aspects": ["depth"]},
            ASKED | {"questions": {"depth": YES_OR_NO}},
            {},
            "scales: a: from 1 to 5; b: from 0 to 1",
        ),
        (
            RUBRIC,
            ASKED | {"questions": {"depth": {"question": "Deep?", "levels": ["no", "yes"]}}},
            {},
            "a: from 1 to 5; b: from 1 to 2",
        ),
        (
            RUBRIC | {"aspects": ["depth"]},
            RUBRIC | {"aspects": ["clarity"]},
            {},
            "share no aspect: a: depth; b: clarity",
        ),
        (RUBRIC, RUBRIC, {"aspects": ["wit"]}, "share helpfulness, clarity"),
        (DUEL | {"against": "m"}, DUEL | {"against": "all"}, {}, "different opponents: a: m; b: all"),
        (DUEL | {"against": "m"}, {"judge": "contains"}, {}, "different opponents: a: m; b: none"),
    ],
)
def test_members_that_cannot_be_brought_together_are_refused(
    a: dict[str, object], b: dict[str, object], given: dict[str, object], why: str
) -> None:
    with pytest.raises(DataError, match=why):
        settings(of=["a", "b"], **given).among(members(a=a, b=b))


@pytest.mark.parametrize(
    ("a", "b", "aspect", "scale"),
    [
        ({"judge": "contains"}, {"judge": "prompt_echo"}, "ensemble", (0, 1)),
        ({"judge": "length"}, {"judge": "length", "limit": 3}, "ensemble", None),
        (PAID | {"score_range": [0, 1]}, {"judge": "exact"}, "ensemble", (0, 1)),
        (RUBRIC, RUBRIC | {"repeats": 2}, "depth", (1, 5)),
        (DUEL | {"against": "m"}, DUEL | {"against": "m", "ties": False}, "ensemble", (0, 1)),
    ],
)
def test_the_scale_is_the_one_that_the_members_share(
    a: dict[str, object], b: dict[str, object], aspect: str, scale: tuple[float, float] | None
) -> None:
    judges = members(a=a, b=b)
    assert settings(of=["a", "b"]).among(judges).scale(aspect, judges) == scale
