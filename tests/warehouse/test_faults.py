"""Detectors' measures in marts: the share of answers with the fault, under the fault's name."""

import re
from dataclasses import replace

import pytest

from dsl.plan.study import ContrastPlan
from tests.warehouse.conftest import Ask
from tests.warehouse.stores import StoreMaker
from warehouse.connect import WAREHOUSE
from warehouse.report.figures import Section
from warehouse.report.latex import as_latex
from warehouse.report.page import as_html
from warehouse.report.reading import read_study
from warehouse.report.sections import sections
from warehouse.report.study import StudyRows

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
    assert figure.direction.startswith("Below zero the first is better: fewer of its answers have the fault.")
    assert figure.draw is not None
    assert "fewer with tuned" in str(figure.draw()[0].spec)


def test_the_page_writes_the_direction_of_every_figure_of_contrasts_and_says_what_significant_means(
    judged: StoreMaker, ask: Ask
) -> None:
    section = as_html(read(judged, ask)).split('<section id="contrasts">')[1].split("</section>")[0]
    captions: dict[str, str] = {}
    for figure in section.split("<figure")[1:]:
        (measure, *_), (caption,) = (
            re.findall(tag, figure, re.DOTALL)
            for tag in ("<code>(.*?)</code>", "<figcaption>(.*?)</figcaption>")
        )
        captions[measure] = " ".join(caption.split())
    assert set(captions) == {"contains", "loop"}
    for measure, direction in {
        "contains": "Above zero the first is better.",
        "loop": "Below zero the first is better: fewer of its answers have the fault.",
    }.items():
        assert direction in captions[measure]
    first = section.split("<p>")[1]
    assert first.startswith("Significant: were the sides equal,"), "before the test's name"


def test_a_table_for_paper_with_both_signs_writes_the_direction_at_each_measure(
    judged: StoreMaker, ask: Ask
) -> None:
    table = as_latex(read(judged, ask)).split(r"\caption{Contrasts. ")[1].split(r"\end{table}")[0]
    loop, contains = (table.index(rf"{{\texttt{{{measure}}}") for measure in ("loop", "contains"))
    assert loop < contains
    directions = {
        loop: rf"{LOOPS}. Below zero the first is better: fewer of its answers have the fault}} \\",
        contains: r"{\texttt{contains}. Above zero the first is better} \\",
    }
    for start, said in directions.items():
        assert said in table[start : table.index("\n", start)]


ITEMS = [str(i) for i in range(8)]


def looping(n: int) -> dict[str, float]:
    """Scores of answers of which the first n loop."""
    return {item: float(place >= n) for place, item in enumerate(ITEMS)}


def read(maker: StoreMaker, ask: Ask) -> StudyRows:
    ask("from experiments")
    return read_study(maker.folder / WAREHOUSE, "trial")


def section(study: StudyRows, anchor: str) -> Section:
    return next(one for one in sections(study) if one.anchor == anchor)


def test_gaps_and_trends_declared_on_a_detector_stand_beside_those_of_quality_as_freedom_from_the_fault(
    maker: StoreMaker, ask: Ask
) -> None:
    for model, size in (("small", 10**8), ("large", 10**9)):
        for language, n_prompted in (("en", 7), ("fr", 1)):
            for method, n in (("tuned", 1), ("prompted", n_prompted)):
                maker.cell(
                    method,
                    scores={"loop": looping(n), "contains": dict.fromkeys(ITEMS, 1.0)},
                    language=language,
                    model=model,
                    num_parameters=size,
                )
    by = [GAIN.model_copy(update={"name": name, "by": (name,)}) for name in ("language", "size")]
    maker.study(contrasts=tuple(by))
    study = read(maker, ask)
    gaps = {figure.heading: figure for figure in section(study, "gaps").figures}
    assert set(gaps) == {"Freedom from `loop`", "`contains`"}
    loop = gaps["Freedom from `loop`"]
    assert loop.direction == "Above zero the first language's lead is larger."
    headings = [column.heading for column in loop.table.columns]
    for row in loop.table.cells:
        cells = dict(zip(headings, row, strict=True))
        assert cells["gap between"] == "fr − en"
        assert cells["gap [95% interval]"].startswith("−0.75 [")
    sloped = [{**row, "slope": 0.1} for row in study.views["size_trend"]]
    sizes = section(replace(study, views={**study.views, "size_trend": sloped}), "sizes")
    trends = [figure.heading for figure in sizes.figures if figure.view == "size_trend"]
    assert sorted(trends) == ["Freedom from `loop`", "`contains`"]


def test_equal_means_of_a_detector_are_told_as_the_grids_show_them_and_by_model(
    maker: StoreMaker, ask: Ask
) -> None:
    for model, n in (("small", 8), ("large", 0)):
        for method in ("tuned", "prompted"):
            scores = {"empty": dict.fromkeys(ITEMS, 1.0), "loop": looping(n)}
            maker.cell(method, scores=scores, model=model)
    maker.study(contrasts=(GAIN,))
    notes = {figure.heading: figure.note for figure in section(read(maker, ask), "languages").figures}
    assert notes["`loop`"] == (
        "All methods score the same: 0% in English (small) and 100% in English (large)."
    )
