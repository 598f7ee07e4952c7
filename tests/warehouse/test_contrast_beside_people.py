"""`contrast_beside_people`: a judge's contrast on labelled items, and corrected by those drawn at random."""

import random
from typing import Any

import pytest

from dsl.data.records import Draw, Label
from dsl.plan.study import ContrastPlan
from dsl.steps.stopping import StopWhen
from tests.warehouse.conftest import Ask
from tests.warehouse.stores import StoreMaker

GAIN = ContrastPlan(name="gain", of="tuned", against="prompted")
N = 80
SIDES = ("tuned", "prompted")


def people_s(side: str, item: int) -> float:
    """People's score: of three items the tuned answers to one are two better, to one they are one worse."""
    return {"tuned": (5.0, 2.0, 3.0), "prompted": (3.0, 3.0, 3.0)}[side][item % 3]


def judge_s(side: str, item: int) -> float:
    """The judge finds tuned answers one worse than they are, and no others."""
    return people_s(side, item) - (side == "tuned")


def judged(maker: StoreMaker) -> None:
    for side in SIDES:
        maker.cell(
            side,
            texts={f"q{i}": f"{side} {i}" for i in range(N)},
            scores={"model=rubric": {"quality": {f"q{i}": judge_s(side, i) for i in range(N)}}},
        )


def named(ask: Ask) -> dict[tuple[str, int], str]:
    rows = ask("select method, item, answer_id from answers_to_label")
    return {(row["method"], int(row["item"][1:])): row["answer_id"] for row in rows}


@pytest.fixture
def ids(maker: StoreMaker, ask: Ask) -> dict[tuple[str, int], str]:
    """(method, item) -> answer, of a study of 80 items."""
    judged(maker)
    maker.study(contrasts=(GAIN,))
    return named(ask)


def labels(
    ids: dict[tuple[str, int], str], items: range, drawn: Draw | None = "random", by: str = ""
) -> list[Label]:
    return [
        Label(
            answer_id=ids[side, i],
            score=1.0 if side == by else people_s(side, i),
            scale_low=1,
            scale_high=5,
            drawn=drawn,
        )
        for i in items
        for side in SIDES
    ]


def beside(ask: Ask) -> dict[str, Any]:
    (row,) = ask("from contrast_beside_people")
    return row


def test_a_judge_s_bias_is_shown_and_taken_out(
    ids: dict[tuple[str, int], str], maker: StoreMaker, ask: Ask
) -> None:
    maker.label("anna", labels(ids, range(60)))
    row = beside(ask)
    # differences of people 2, -1, 0 in turn, of the judge 1, -2, -1
    assert (row["mean_of_people"], row["mean_of_judge"]) == pytest.approx((1 / 3, -2 / 3))
    assert row["is_reversed"]
    assert row["bias"] == pytest.approx(1)
    assert row["bias_ci_low"] < 1 < row["bias_ci_high"]
    assert (row["n"], row["n_labelled"], row["people_measure"]) == (80, 60, "anna")
    # λ = 1 where the judge is off by the same everywhere: its mean over all items and one
    judged = sum((1, -2, -1)[i % 3] for i in range(N)) / N
    assert row["judged"] == pytest.approx(judged)
    assert (row["estimate"], row["weight"]) == pytest.approx((judged + 1, 1))
    assert row["ci_low"] < 1 / 3 < row["ci_high"]
    assert row["judged_ci_high"] < 1 / 3, "the judge alone is sure of the opposite"


def test_judge_and_people_differ_in_sign_where_their_difference_is_more_than_noise(
    ids: dict[tuple[str, int], str], maker: StoreMaker, ask: Ask
) -> None:
    noisy = {("tuned", 1): 5.0, ("prompted", 1): 1.0, ("tuned", 2): 1.0, ("prompted", 2): 3.0}
    for items in ((1, 2), (1,)):
        maker.label(
            "anna",
            [
                Label(answer_id=ids[side, i], score=noisy[side, i], scale_low=1, scale_high=5, drawn="random")
                for i in items
                for side in SIDES
            ],
        )
        row = beside(ask)
        assert row["n_labelled"] == len(items)
        assert row["mean_of_people"] > 0 > row["mean_of_judge"]
        assert not row["is_reversed"]


def test_labels_drawn_where_judges_disagree_enter_agreement_and_nothing_else(
    ids: dict[tuple[str, int], str], maker: StoreMaker, ask: Ask
) -> None:
    maker.label("anna", labels(ids, range(60)))
    before = beside(ask)
    maker.label("anna", [*labels(ids, range(60)), *labels(ids, range(60, N), "disagreement", by="tuned")])
    assert beside(ask) == before
    (agreement,) = ask("select n, n_where_judges_disagree from judge_agreement where language = 'all'")
    assert agreement == {"n": 2 * N, "n_where_judges_disagree": 2 * (N - 60)}
    maker.label("anna", labels(ids, range(N), "disagreement"))
    row = beside(ask)
    assert (row["n_labelled"], row["mean_of_people"], row["bias"], row["estimate"]) == (0, None, None, None)
    assert row["uncorrected_reason"] == "no random draw of `xp sample` is labelled in full"


@pytest.mark.parametrize(
    ("items", "drawn", "reason"),
    [
        (range(49), "random", "49 labelled items are too few: 50 are needed"),
        (range(N), None, "no random draw of `xp sample` is labelled in full"),
    ],
)
def test_a_contrast_that_cannot_be_corrected_says_why(
    items: range,
    drawn: Draw | None,
    reason: str,
    ids: dict[tuple[str, int], str],
    maker: StoreMaker,
    ask: Ask,
) -> None:
    maker.label("anna", labels(ids, items, drawn))
    row = beside(ask)
    assert (row["estimate"], row["ci_low"], row["weight"]) == (None, None, None)
    assert row["uncorrected_reason"] == reason
    assert row["bias"] == pytest.approx(1), "it is shown all the same"


def test_an_item_that_people_left_half_labelled_stops_the_correction(
    ids: dict[tuple[str, int], str], maker: StoreMaker, ask: Ask
) -> None:
    maker.label("anna", labels(ids, range(60))[:-1])
    row = beside(ask)
    assert (row["estimate"], row["n_labelled"]) == (None, 59)
    assert row["uncorrected_reason"] == "1 of 60 items drawn at random are not labelled in full on both sides"


def test_a_contrast_whose_asking_stopped_is_not_corrected_for_a_fixed_number_of_items(
    maker: StoreMaker, ask: Ask
) -> None:
    judged(maker)
    maker.study(contrasts=(GAIN.model_copy(update={"stop_when": StopWhen(contrast="gain", excludes=0)}),))
    maker.label("anna", labels(named(ask), range(60)))
    row = beside(ask)
    assert (row["estimate"], row["uncorrected_reason"]) == (None, "asking stopped by what was found")
    assert row["n_labelled"] == 60


def test_a_corrected_contrast_stays_on_the_scale_of_differences(maker: StoreMaker, ask: Ask) -> None:
    """On the labelled items the judge finds two less than people; on the others all that its scale allows."""

    def judge(item: int) -> float:
        return 5.0 if item >= 60 else 1.0 if item % 12 == 0 else 3.0

    for side in SIDES:
        scores = {f"q{i}": judge(i) if side == "tuned" else 1.0 for i in range(N)}
        texts = {item: f"{side} {item}" for item in scores}
        maker.cell(side, texts=texts, scores={"model=rubric": {"quality": scores}})
    maker.study(contrasts=(GAIN,))
    ids = named(ask)
    maker.label(
        "anna",
        [
            Label(
                answer_id=ids[side, i],
                score=judge(i) + 2 if side == "tuned" else 1.0,
                scale_low=1,
                scale_high=5,
                drawn="random",
            )
            for i in range(60)
            for side in SIDES
        ],
    )
    row = beside(ask)
    assert (row["estimate"], row["ci_high"]) == (4, 4)


def test_labels_on_a_scale_that_was_not_said_correct_nothing(
    ids: dict[tuple[str, int], str], maker: StoreMaker, ask: Ask
) -> None:
    unknown = [
        label.model_copy(update={"scale_low": None, "scale_high": None}) for label in labels(ids, range(60))
    ]
    maker.label("anna", unknown)
    row = beside(ask)
    assert (row["estimate"], row["bias"]) == (None, None)
    assert row["uncorrected_reason"] == "the scale of people's scores is not known"


def test_a_method_that_came_after_the_labels_is_not_corrected_by_texts_it_shares(
    maker: StoreMaker, ask: Ask
) -> None:
    judged(maker)
    chance = random.Random(2)
    scores = {f"q{i}": float(chance.randint(1, 5)) for i in range(N)}
    texts = {f"q{i}": f"tuned {i}" if i < 55 else "its own" for i in range(N)}
    maker.cell("later", texts=texts, scores={"model=rubric": {"quality": scores}})
    later = ContrastPlan(name="later", of="later", against="tuned")
    maker.study(contrasts=(GAIN, later))
    maker.label("anna", labels(named(ask), range(60)))
    rows = {row["contrast"]: row for row in ask("from contrast_beside_people")}
    assert rows["gain"]["estimate"] is not None
    assert rows["later"]["uncorrected_reason"] == (
        "5 of 60 items drawn at random are not labelled in full on both sides"
    )


def test_an_item_counts_where_the_answers_of_all_seeds_are_labelled(maker: StoreMaker, ask: Ask) -> None:
    for seed in (0, 1):
        maker.cell(
            "tuned",
            texts={f"q{i}": f"tuned {i} {seed}" for i in range(N)},
            scores={"model=rubric": {"quality": dict.fromkeys((f"q{i}" for i in range(N)), 4.0)}},
            seed=seed,
        )
    maker.cell(
        "prompted",
        texts={f"q{i}": f"prompted {i}" for i in range(N)},
        scores={"model=rubric": {"quality": dict.fromkeys((f"q{i}" for i in range(N)), 3.0)}},
    )
    maker.study(contrasts=(GAIN,))
    rows = ask("select method, item, text, answer_id from answers_to_label")
    made = [
        Label(answer_id=row["answer_id"], score=3, scale_low=1, scale_high=5, drawn="random")
        for row in rows
        if int(row["item"][1:]) < 50
    ]
    maker.label("anna", made)
    row = beside(ask)
    assert (row["estimate"], row["bias"], row["n_labelled"]) == pytest.approx((0, -1, 50))
    first = next(row["answer_id"] for row in rows if row["text"] == "tuned 7 1")
    maker.label("anna", [label for label in made if label.answer_id != first])
    assert beside(ask)["uncorrected_reason"].startswith("1 of 50 items drawn at random")
