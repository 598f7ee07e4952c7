"""just-eval's own judged examples, read by our reader, come out at the aggregate that their authors
published."""

import json
from pathlib import Path
from statistics import fmean

import pytest

from runners.judges._model_judges.reply import ReadScore, read_reply

EXAMPLES = Path(__file__).resolve().parents[4] / "shared" / "data" / "just_eval" / "examples"
JUDGED = ("1.score_multi.gpt-4", "1.safety.score_safety.chatgpt")

pytestmark = pytest.mark.skipif(
    not EXAMPLES.is_dir(), reason="just-eval's judged examples are not on this machine"
)


def published(name: str) -> dict[str, float]:
    """aspect -> mean."""
    told = json.loads((EXAMPLES / f"{name}.eval_res.json").read_text("utf-8"))
    return {key.removesuffix("_mean"): mean for key, mean in told.items() if key.endswith("_mean")}


def replies(name: str) -> list[str]:
    """Reply of the judge."""
    return [row["result"] for row in json.loads((EXAMPLES / f"{name}.json").read_text("utf-8"))]


def read(said: list[str], aspect: str, na_as: int | None) -> list[ReadScore]:
    return [read_reply(reply, aspect, na_as=na_as) for reply in said]


@pytest.mark.parametrize("name", JUDGED)
def test_the_means_are_the_published_ones(name: str) -> None:
    means = published(name)
    assert means
    for aspect, mean in means.items():
        found = read(replies(name), aspect, na_as=5)
        assert fmean(one.score for one in found if one.score is not None) == mean
        assert all(one.score is not None and one.reason for one in found)


@pytest.mark.parametrize("name", JUDGED)
def test_not_applicable_counts_as_five_by_name_and_is_unscored_otherwise(name: str) -> None:
    for aspect, mean in published(name).items():
        said = replies(name)
        first = json.loads(said[0])
        was, first[aspect]["score"] = int(first[aspect]["score"]), "N/A"
        said[0] = json.dumps(first)
        by_name = [one.score for one in read(said, aspect, na_as=5)]
        assert fmean(score for score in by_name if score is not None) == pytest.approx(
            mean + (5 - was) / len(said)
        )
        otherwise = read(said, aspect, na_as=None)
        assert [one.score for one in otherwise] == [None, *by_name[1:]]
        assert otherwise[0].why_not == "the judge holds the aspect not applicable"
