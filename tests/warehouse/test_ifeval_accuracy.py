"""`ifeval_accuracy`: by prompt and by instruction, strict and loose, against sums in the head and against
statsmodels."""

import math

import numpy as np
import pytest
import statsmodels.api as sm

from dsl.data.records import Verdict
from tests.warehouse.conftest import Ask
from tests.warehouse.stores import StoreMaker, verdict
from warehouse.statistics.intervals import bounded_interval

Followed = dict[str, list[float] | str]
"""Item -> whether each of its instructions was followed, or why nobody can say."""


def judged(maker: StoreMaker, strict: Followed, loose: Followed | None = None, **cell: object) -> None:
    """A cell with verdicts of `ifeval`."""
    given = {"strict": strict, "loose": loose or strict}
    scores = {aspect: dict.fromkeys(found, 1.0) for aspect, found in given.items()}
    made = maker.cell(scores={"follows=ifeval": scores}, **cell)  # pyright: ignore[reportArgumentType]
    rows = [row(item, aspect, found) for aspect, items in given.items() for item, found in items.items()]
    file = maker.folder / "steps" / made.judges["follows"].step / "verdicts.jsonl"
    file.write_text("".join(one.model_dump_json() + "\n" for one in rows), "utf-8")


def row(item: str, aspect: str, followed: list[float] | str) -> Verdict:
    if isinstance(followed, str):
        return verdict(item, followed, aspect)
    parts = {f"{place} keywords:existence": value for place, value in enumerate(followed)}
    return verdict(item, float(all(followed)), aspect).model_copy(update={"parts": parts})


def test_a_prompt_counts_when_all_is_followed_and_an_instruction_by_itself(
    maker: StoreMaker, ask: Ask
) -> None:
    strict: Followed = {
        "1": [1, 1, 0],
        "2": [1],
        "3": [0, 1],
        "4": "keywords:existence: `keywords` is missing",
    }
    judged(maker, strict, {**strict, "3": [1, 1]})
    maker.study()
    rows = {(row["strictness"], row["unit"]): row for row in ask("from ifeval_accuracy")}
    assert {key: (row["accuracy"], row["n"], row["n_unscored"]) for key, row in rows.items()} == {
        ("strict", "prompt"): (pytest.approx(1 / 3), 3, 1),
        ("strict", "instruction"): (pytest.approx(4 / 6), 6, 1),
        ("loose", "prompt"): (pytest.approx(2 / 3), 3, 1),
        ("loose", "instruction"): (pytest.approx(5 / 6), 6, 1),
    }
    by_prompt = rows["strict", "prompt"]
    assert by_prompt["standard_error"] == pytest.approx(1 / 3)  # 0, 1, 0: sample variance 1/3, over 3
    # Wilson's for 1 of 3
    assert (by_prompt["ci_low"], by_prompt["ci_high"]) == pytest.approx((0.0615, 0.7923), abs=1e-4)
    by_instruction = rows["strict", "instruction"]
    # residuals of the sums: 2 - 3 * 2/3 = 0, 1 - 2/3 = 1/3, 1 - 4/3 = -1/3; sqrt(3/2 * 2/9) / 6
    assert by_instruction["standard_error"] == pytest.approx(math.sqrt(1 / 3) / 6)
    assert (by_instruction["ci_low"], by_instruction["ci_high"]) == pytest.approx(
        bounded_interval(2 / 3, 1 / 3 / 36, 3, 0.05)
    )


def test_the_error_by_instruction_is_least_squares_with_errors_clustered_by_prompt(
    maker: StoreMaker, ask: Ask
) -> None:
    random = np.random.default_rng(7)
    followed = {
        str(item): [float(x) for x in random.random(1 + item % 4) < 0.3 + 0.4 * (item % 2)]
        for item in range(40)
    }
    judged(maker, dict(followed))
    maker.study()
    (found,) = ask("from ifeval_accuracy where unit = 'instruction' and strictness = 'strict'")
    y = np.array([value for values in followed.values() for value in values])
    groups = np.array([int(item) for item, values in followed.items() for _ in values])
    fit = sm.OLS(y, np.ones_like(y)).fit(cov_type="cluster", cov_kwds={"groups": groups}, use_t=True)
    assert (found["accuracy"], found["standard_error"]) == pytest.approx((fit.params[0], fit.bse[0]))
    # inside [0, 1], so not symmetric
    assert (found["ci_low"], found["ci_high"]) == pytest.approx(tuple(fit.conf_int()[0]), abs=0.01)
    assert found["n"] == len(y)


def test_seeds_are_averaged_within_an_item(maker: StoreMaker, ask: Ask) -> None:
    judged(maker, {"1": [1, 1], "2": [0]}, seed=0)
    judged(maker, {"1": [1, 0], "2": "cut off"}, seed=1)
    maker.study()
    rows = {row["unit"]: row for row in ask("from ifeval_accuracy where strictness = 'strict'")}
    assert (rows["prompt"]["accuracy"], rows["prompt"]["n"], rows["prompt"]["n_unscored"]) == (0.25, 2, 1)
    assert (rows["instruction"]["accuracy"], rows["instruction"]["n"]) == (pytest.approx(1.5 / 3), 3)


def test_one_prompt_has_no_error_and_none_scored_no_accuracy(maker: StoreMaker, ask: Ask) -> None:
    judged(maker, {"1": [1, 0]}, model="one")
    judged(maker, {"1": "no instructions", "2": "no instructions"}, model="none")
    maker.study()
    rows = {
        (row["model"], row["unit"]): row for row in ask("from ifeval_accuracy where strictness = 'strict'")
    }
    assert [rows["one", unit]["accuracy"] for unit in ("prompt", "instruction")] == [0, 0.5]
    assert [rows["one", unit]["standard_error"] for unit in ("prompt", "instruction")] == [None, None]
    assert (rows["one", "instruction"]["ci_low"], rows["one", "instruction"]["ci_high"]) == (None, None)
    for unit in ("prompt", "instruction"):
        none = rows["none", unit]
        assert (none["accuracy"], none["ci_low"], none["ci_high"], none["n"], none["n_unscored"]) == (
            None,
            None,
            None,
            0,
            2,
        )


def test_other_judges_and_what_a_model_was_tuned_on_are_kept_apart(maker: StoreMaker, ask: Ask) -> None:
    judged(maker, {"1": [1]}, method="sft", train_languages=("en",))
    judged(maker, {"1": [0]}, method="sft", train_languages=("fr",))
    maker.cell(scores={"contains": {"1": 1.0}})
    maker.study()
    rows = ask("from ifeval_accuracy where strictness = 'loose' and unit = 'prompt'")
    assert {row["train_languages"]: row["accuracy"] for row in rows} == {"en": 1, "fr": 0}
    assert {row["judge"] for row in rows} == {"follows"}
