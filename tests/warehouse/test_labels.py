"""Labels as verdicts: on every answer with the text that people were shown, in every mart that reads
verdicts."""

import re

import pytest

from dsl.data.records import Label
from dsl.plan.study import ContrastPlan
from tests.warehouse.conftest import Ask
from tests.warehouse.stores import StoreMaker
from warehouse.connect import WAREHOUSE, connect
from warehouse.load import load_store

TEXTS = {"1": "four", "2": "five", "3": None}
OTHER = {"1": "four", "2": "6", "3": "seven"}


@pytest.fixture
def ids(maker: StoreMaker, ask: Ask) -> dict[tuple[str, str], str]:
    """(item, text) -> answer id, of a study of two methods that answer item 1 with the same text."""
    maker.cell("icl", texts=TEXTS, scores={"contains": {"1": 1.0, "2": 0.0, "3": "no answer"}})
    maker.cell("sft", texts=OTHER, scores={"contains": {"1": 1.0, "2": 0.0, "3": 0.0}}, seed=1)
    maker.study("trial", contrasts=(ContrastPlan(name="gain", of="sft", against="icl"),))
    maker.cell("icl", texts=TEXTS, scores={"contains": {"1": 1.0}})
    maker.study("second")
    rows = ask("select item, text, answer_id from answers_to_label where experiment = 'trial'")
    return {(row["item"], row["text"]): row["answer_id"] for row in rows}


HUMAN = (
    "select method, item, score, judge, aspect, measure, step_id, unscored_reason, reason from verdicts where"
    " judge_kind = 'human'"
)


def test_an_answer_has_one_name_whoever_gave_it_and_another_in_another_study(
    ids: dict[tuple[str, str], str], ask: Ask
) -> None:
    assert sorted(ids) == [("1", "four"), ("2", "6"), ("2", "five"), ("3", "seven")]
    assert len(set(ids.values())) == 4
    assert all(re.fullmatch("a[0-9a-f]{16}", name) for name in ids.values()), (
        "a spreadsheet takes digits alone for a number"
    )
    elsewhere = ask("select answer_id from answers_to_label where experiment = 'second'")
    assert not {row["answer_id"] for row in elsewhere} & set(ids.values())


def test_a_label_is_a_verdict_on_every_answer_of_that_text_and_on_no_other(
    ids: dict[tuple[str, str], str], maker: StoreMaker, ask: Ask
) -> None:
    maker.label(
        "anna",
        [Label(answer_id=ids["1", "four"], score=0.5, comment="so so"), Label(answer_id="f" * 16, score=1)],
    )
    found = ask(HUMAN + " order by all")
    rest = {"item": "1", "score": 0.5, "judge": "anna", "aspect": "human", "measure": "anna", "step_id": None}
    assert found == [
        {"method": method, **rest, "unscored_reason": None, "reason": "so so"} for method in ("icl", "sft")
    ]


def test_labels_of_an_aspect_are_a_measure_of_their_own(
    ids: dict[tuple[str, str], str], maker: StoreMaker, ask: Ask
) -> None:
    maker.label(
        "anna", [Label(answer_id=ids["2", "6"], aspect="clarity", score=4, scale_low=1, scale_high=5)]
    )
    (found,) = ask("select method, measure, scale_low, scale_high from verdicts where judge_kind = 'human'")
    assert found == {"method": "sft", "measure": "anna.clarity", "scale_low": 1, "scale_high": 5}


def test_marts_count_labels_like_other_verdicts(
    ids: dict[tuple[str, str], str], maker: StoreMaker, ask: Ask
) -> None:
    scores = {("1", "four"): 1.0, ("2", "five"): 0.0, ("2", "6"): 1.0}
    maker.label("anna", [Label(answer_id=ids[place], score=score) for place, score in scores.items()])
    assert ask(
        "select method, mean_score, n, n_unscored from score_by_cell where measure = 'anna' order by method"
    ) == [
        {"method": "icl", "mean_score": 0.5, "n": 2, "n_unscored": 0},
        {"method": "sft", "mean_score": 1.0, "n": 2, "n_unscored": 0},
    ]
    (contrast,) = ask("select estimate, n from contrast_by_language_and_size where measure = 'anna'")
    assert contrast == {"estimate": 0.5, "n": 2}
    assert (
        ask("select n, n_unscored from unscored_by_judge where judge = 'anna'")
        == [{"n": 2, "n_unscored": 0}] * 2
    )
    assert ask(
        "select scores from completion_browser where experiment = 'trial' and item = '1' and method = 'icl'"
    )[0]["scores"] == [
        {"measure": "anna", "score": 1.0, "parts": None, "unscored_reason": None, "reason": None},
        {"measure": "contains", "score": 1.0, "parts": None, "unscored_reason": None, "reason": None},
    ]


def test_labels_that_changed_or_went_are_loaded_again_and_statistics_with_them(
    ids: dict[tuple[str, str], str], maker: StoreMaker
) -> None:
    def loaded() -> tuple[list[object], list[object]]:
        load_store(maker.folder, [])
        with connect(maker.folder / WAREHOUSE) as connection:
            scores = connection.execute("select judge, score from labels order by all").fetchall()
            return (
                scores,
                connection.execute(
                    "select avg(difference) from paired_scores where measure = 'anna'"
                ).fetchall(),
            )

    one, other = ids["2", "five"], ids["2", "6"]
    maker.label("anna", [Label(answer_id=one, score=0), Label(answer_id=other, score=1)])
    maker.label("ben", [Label(answer_id=one, score=3)])
    assert loaded() == ([("anna", 0), ("anna", 1), ("ben", 3)], [(1,)])
    maker.label("anna", [Label(answer_id=one, score=0.5), Label(answer_id=other, score=1)])
    assert loaded() == ([("anna", 0.5), ("anna", 1), ("ben", 3)], [(0.5,)])
    (maker.folder / "labels" / "trial" / "anna.jsonl").unlink()
    assert loaded() == ([("ben", 3)], [(None,)])


def test_judges_are_set_beside_people(ids: dict[tuple[str, str], str], maker: StoreMaker, ask: Ask) -> None:
    scores = {("1", "four"): 1.0, ("2", "five"): 0.0, ("2", "6"): 1.0}
    maker.label("anna", [Label(answer_id=ids[place], score=score) for place, score in scores.items()])
    (found,) = ask(
        "select judge_kind_a, measure_a, measure_b, n, agreement from judge_agreement where language = 'en'"
    )
    assert found == {
        "judge_kind_a": "human",
        "measure_a": "anna",
        "measure_b": "contains",
        "n": 4,
        "agreement": 0.75,
    }


def test_people_s_verdicts_from_a_file_stand_beside_judges_of_every_aspect(
    maker: StoreMaker, ask: Ask
) -> None:
    scores = {"1": 5.0, "2": 1.0}
    maker.cell(
        texts={"1": "four", "2": "five"},
        scores={
            "gold=recorded": scores,
            "paper=recorded": scores,
            "model=rubric": {"clarity": scores, "depth": {"1": 4.0, "2": 1.0}},
        },
    )
    maker.described("gold", "recorded", people=True, score_range=(1, 5))
    maker.study()
    rows = ask("from judge_agreement where language = 'en'")
    assert {(row["measure_a"], row["measure_b"], row["judge_kind_a"]) for row in rows} == {
        ("gold", "model.clarity", "human"),
        ("gold", "model.depth", "human"),
        ("gold", "paper", "human"),
    }
