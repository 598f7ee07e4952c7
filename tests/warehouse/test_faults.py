"""Detectors' measures in marts: the share of answers with the fault, under the fault's name."""

import pytest

from dsl.plan.study import ContrastPlan
from tests.warehouse.conftest import Ask
from tests.warehouse.stores import StoreMaker
from warehouse.connect import WAREHOUSE
from warehouse.report.reading import read_study
from warehouse.report.sections import sections

GAIN = ContrastPlan(name="gain", of="tuned", against="prompted", on=("loop",))
LOOPS = "repeats itself without end"


@pytest.fixture
def judged(maker: StoreMaker) -> StoreMaker:
    """A tuned method that loops in one answer of eight, a prompted one in seven; both in two languages."""
    items = [str(i) for i in range(8)]
    for language in ("en", "fr"):
        for method, n in (("tuned", 1), ("prompted", 7)):
            loops = {item: float(place >= n) for place, item in enumerate(items)}
            maker.cell(
                method,
                scores={
                    "loop": loops,
                    "contains": dict.fromkeys(items, 1.0),
                    "length": dict.fromkeys(items, 9.0),
                },
                language=language,
            )
    maker.study(contrasts=(GAIN,))
    return maker


@pytest.mark.parametrize("mart", ["score_by_cell", "score_by_method_language", "score_by_model_size"])
def test_a_detector_s_mean_stands_beside_the_share_of_answers_with_the_fault(
    mart: str, judged: StoreMaker, ask: Ask
) -> None:
    rows = {row["measure"]: row for row in ask(f"from {mart} where method = 'tuned'")}
    loop = rows["loop"]
    assert (loop["fault"], loop["fault_share"], loop["mean_score"]) == (LOOPS, 0.125, 0.875)
    assert loop["fault_share_low"] == pytest.approx(1 - loop["ci_high"])
    assert loop["fault_share_high"] == pytest.approx(1 - loop["ci_low"])
    assert loop["fault_share_low"] < 0.125 < loop["fault_share_high"]
    for measure in ("contains", "length"):
        assert (rows[measure]["fault"], rows[measure]["fault_share"]) == (None, None)
    assert {name: row["direction"] for name, row in rows.items()} == {
        "loop": "higher is better",
        "contains": "higher is better",
        "length": "neither is better",
    }


def test_a_contrast_on_a_detector_has_the_difference_of_the_fault_s_shares(
    judged: StoreMaker, ask: Ask
) -> None:
    rows = {row["measure"]: row for row in ask("from contrast_by_language_and_size where language = 'en'")}
    loop = rows["loop"]
    assert (loop["fault"], loop["estimate"], loop["fault_difference"]) == (LOOPS, 0.75, -0.75)
    assert (loop["fault_difference_low"], loop["fault_difference_high"]) == (
        -loop["ci_high"],
        -loop["ci_low"],
    )
    assert rows["contains"]["fault_difference"] is None


def test_gaps_and_trends_name_the_fault_too(judged: StoreMaker, ask: Ask) -> None:
    faults = ask("select measure, fault, estimate, fault_difference from language_gap order by measure")
    assert {row["measure"]: (row["fault"], row["fault_difference"]) for row in faults} == {
        "contains": (None, None),
        "length": (None, None),
        "loop": (LOOPS, 0),
    }
    for mart in ("size_trend", "language_gap_size_trend", "score_size_trend"):
        assert (
            ask(f"select fault, direction, fault_slope, fault_slope_low, fault_slope_high from {mart}") == []
        )


def test_the_report_s_contrasts_on_errors_are_of_the_fault_s_shares(judged: StoreMaker, ask: Ask) -> None:
    ask("from experiments")
    study = read_study(judged.folder / WAREHOUSE, "trial")
    section = next(one for one in sections(study) if one.anchor == "contrasts")
    (figure,) = (one for one in (*section.figures, *section.more) if "loop" in one.heading)
    assert figure.heading == f"`loop`: {LOOPS}"
    headings = [column.heading for column in figure.table.columns]
    cells = dict(zip(headings, figure.table.cells[0], strict=True))
    assert cells["difference [95% interval]"].startswith("−0.75 [−0.9")
    assert (cells["mean, first"], cells["mean, second"]) == ("0.12", "0.88")
    assert figure.direction.startswith(
        "Left of zero the first is better: of its answers fewer have the fault."
    )
    assert figure.draw is not None
    assert "fewer with tuned" in str(figure.draw()[0].spec)
