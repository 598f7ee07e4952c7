"""The noise floor: a method's difference from itself, and the contrasts that are no larger."""

from typing import Any

import pytest

from dsl.plan.study import ContrastPlan
from tests.warehouse.conftest import Ask
from tests.warehouse.report_rows import ORDER, WORDS, contrast
from tests.warehouse.stores import StoreMaker
from warehouse.connect import WAREHOUSE
from warehouse.report.answer import differences
from warehouse.report.reading import read_study
from warehouse.report.sections import sections
from warehouse.report.sections.noise import false_findings
from warehouse.report.summary import summary

GAIN = ContrastPlan(name="gain", of="tuned", against="prompted")
AGAIN = ContrastPlan(
    name="prompted_again_vs_prompted", of="prompted_again", against="prompted", is_declared=False
)
ITEMS = [str(i) for i in range(10)]


def scored(maker: StoreMaker, again: float, language: str = "en") -> None:
    """Tuned answers are right on one item more than the prompted ones, and the prompted ones asked again on
    a share `again` of all items more."""
    right = {"prompted": 3, "tuned": 4, "prompted_again": 3 + round(again * len(ITEMS))}
    for method, n in right.items():
        scores = {item: float(int(item) < n) for item in ITEMS}
        maker.cell(method, scores={"contains": scores}, language=language)


@pytest.mark.parametrize(("again", "is_below"), [(0.0, False), (0.1, True), (0.7, True)])
def test_a_difference_no_larger_than_that_of_a_method_from_itself_is_below_the_floor(
    again: float, is_below: bool, maker: StoreMaker, ask: Ask
) -> None:
    scored(maker, again)
    maker.study(contrasts=(GAIN,), noise=(AGAIN,))
    (noise,) = ask("from noise_by_method_language")
    assert (noise["method"], noise["estimate"], noise["n"]) == ("prompted", pytest.approx(again), 10)
    assert noise["is_significant"] == (again == 0.7), "7 of 7 one way: p = 2 / 2 ** 7"
    (row,) = ask("from contrast_by_language_and_size")
    assert (row["contrast"], row["noise_floor"]) == ("gain", pytest.approx(again))
    assert row["is_below_noise"] == is_below
    assert row["n_tests"] == 1, "a method and itself are no test of the study"


def test_noise_is_no_gap_no_trend_and_no_method_of_the_report(maker: StoreMaker, ask: Ask) -> None:
    for language in ("en", "fr"):
        scored(maker, 0.1, language)
    maker.study(contrasts=(GAIN,), noise=(AGAIN,))
    assert {row["contrast"] for row in ask("from language_gap")} == {"gain"}
    assert {row["contrast"] for row in ask("from size_trend")} <= {"gain"}
    study = read_study(maker.folder / WAREHOUSE, "trial")
    assert set(study.order.methods) == {"tuned", "prompted"}
    assert {spread.contrast for spread in study.spreads} == {"gain"}
    (section,) = [one for one in sections(study) if one.anchor == "noise"]
    assert section.says == ("0 of 2 A/A tests on 10 questions are falsely significant at 5%.",)
    assert len(section.figures[0].table.cells) == 2
    (said,) = [sentence for sentence in summary(study).trust if "Noise floor" in sentence]
    assert said == (
        "Noise floor: asked again, a method differs from itself by up to 10 points on `contains`; 0 of 2 A/A"
        " tests on 10 questions are falsely significant at 5%."
    )


def test_a_study_without_a_replicate_says_nothing_of_noise(maker: StoreMaker, ask: Ask) -> None:
    scored(maker, 0.0)
    maker.study(contrasts=(GAIN,))
    (row,) = ask("from contrast_by_language_and_size")
    assert (row["noise_floor"], row["is_below_noise"]) == (None, False)
    study = read_study(maker.folder / WAREHOUSE, "trial")
    assert not [one for one in sections(study) if one.anchor == "noise"]
    assert not [sentence for sentence in summary(study).trust if "Noise floor" in sentence]


def test_a_finding_within_the_noise_floor_says_so() -> None:
    noisy: dict[str, Any] = {"is_below_noise": True, "noise_floor": 0.15}
    (said,) = differences([contrast("urial", "sft", "en", 0.12, 0.05, **noisy)], ORDER, WORDS).supported
    assert said.endswith(" points in English (within the noise floor of 15 points).")


def test_false_findings_are_counted_among_the_tests_that_could_be_made() -> None:
    rows = [
        {"p_value": p, "is_significant": p is not None and p < 0.05, "n": n}
        for p, n in ((0.01, 9), (0.5, 12), (None, 1))
    ]
    said = false_findings(rows)
    assert said == "1 of 2 A/A tests on 1 to 12 questions is falsely significant at 5%."


def test_a_replicates_answers_are_no_further_answers(maker: StoreMaker, ask: Ask) -> None:
    texts = {item: f"asked again {item}" for item in ITEMS}
    scores = {item: float(int(item) % 2) for item in ITEMS}
    other = {item: 1 - score for item, score in scores.items()}
    for method in ("prompted", "tuned", "prompted_again"):
        for model, size in (("small", 1000), ("large", 2000), ("larger", 4000)):
            maker.cell(
                method,
                scores={"contains": scores, "exact": other},
                texts=texts if method == "prompted_again" else {},
                model=model,
                num_parameters=size,
            )
    maker.study(contrasts=(GAIN,), noise=(AGAIN,))
    assert {row["method"] for row in ask("from cells where is_replicate")} == {"prompted_again"}
    for view in ("answers_to_label", "score_by_method_language", "score_by_cell", "shown_answers"):
        assert {row["method"] for row in ask(f"from {view}")} == {"prompted", "tuned"}, view
    assert {row["of"] for row in ask("from size_trends where against is null")} == {"prompted", "tuned"}
    assert {row["n"] for row in ask("from judge_agreement where language = 'en'")} == {60}
    assert len(ask("from disagreement_by_answer")) == 10, "all of one text"
    assert len(ask("from disputed_answers")) == 60
    assert read_study(maker.folder / WAREHOUSE, "trial").n_completions == 60


def test_the_floor_is_of_one_training(maker: StoreMaker, ask: Ask) -> None:
    for languages, right in ((("en",), 3), (("en", "fr"), 8)):
        for method in ("tuned", "tuned_again"):
            scores = {item: float(int(item) < right) for item in ITEMS}
            maker.cell(method, scores={"contains": scores}, train_languages=languages)
    maker.cell("prompted", scores={"contains": dict.fromkeys(ITEMS, 1.0)})
    again = ContrastPlan(name="again", of="tuned_again", against="tuned", is_declared=False)
    maker.study(contrasts=(GAIN,), noise=(again,))
    assert {row["noise_floor"] for row in ask("from contrast_by_language_and_size")} == {0.0}
