"""People beside judges in the report: agreement before results, a warning, and corrected contrasts."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.warehouse.conftest import Ask
from tests.warehouse.reported_study import write_study
from tests.warehouse.stores import StoreMaker
from tests.warehouse.test_contrast_beside_people import GAIN, N, judged, labels, named
from warehouse.connect import WAREHOUSE
from warehouse.report.figures import Section
from warehouse.report.latex import as_latex
from warehouse.report.markdown import as_markdown
from warehouse.report.page import as_html
from warehouse.report.reading import read_study
from warehouse.report.sections import sections
from warehouse.report.study import StudyRows


@pytest.fixture
def study(maker: StoreMaker, ask: Ask) -> StudyRows:
    """A study whose judge finds the better method worse, 60 of its 80 items labelled."""
    judged(maker)
    maker.study(contrasts=(GAIN,))
    maker.label("anna", [*labels(named(ask), range(60)), *labels(named(ask), range(60, N), "disagreement")])
    ask("from experiments")
    return read_study(maker.folder / WAREHOUSE, "trial")


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> StudyRows:
    return read_study(write_study(tmp_path_factory.mktemp("people"), n_items=4), "hostile")


def section(study: StudyRows, anchor: str) -> Section:
    return next(one for one in sections(study) if one.anchor == anchor)


def test_agreement_with_people_stands_before_every_result(study: StudyRows) -> None:
    assert sections(study)[0].anchor == "people"
    (figure,) = section(study, "people").figures
    headings = [column.heading for column in figure.table.columns]
    cells = dict(zip(headings, figure.table.cells[0], strict=True))
    assert (cells["judge"], cells["people"], cells["n"], cells["items"]) == (
        "model.quality",
        "anna",
        "160",
        "80",
    )
    assert cells["equal scores [95% interval]"].startswith("50% [")
    assert cells["judge's mean − people's"] == "−0.50"
    assert section(study, "people").says == (
        "`model.quality` and `anna` gave 50% [39, 61] of 160 answers equal scores; Krippendorff's α is"
        f" {cells['α [±1.96 standard errors]']}.",
        "Of these, 40 answers labelled by `anna` were drawn where judges disagree: on all answers agreement"
        " is likely higher.",
    )


def test_a_warning_says_where_judge_and_people_rank_methods_differently(study: StudyRows) -> None:
    (figure,) = section(study, "people").figures
    assert figure.warning == (
        "Judge and people rank the methods differently: tuned − prompted in English is −0.67 by model.quality"
        " and 0.33 by anna (n = 60 items)."
    )
    assert figure.warning in as_html(study)
    assert "rank the methods differently" in as_markdown(study)
    assert "rank the methods differently" in as_latex(study)


def test_without_a_reversal_beyond_noise_there_is_no_warning(study: StudyRows) -> None:
    rows = [{**row, "is_reversed": False} for row in study.views["contrast_beside_people"]]
    (figure,) = section(
        replace(study, views=study.views | {"contrast_beside_people": rows}), "people"
    ).figures
    assert figure.warning == ""


def test_a_corrected_contrast_stands_with_the_contrast(study: StudyRows) -> None:
    figure = section(study, "contrasts").figures[-1]
    headings = [column.heading for column in figure.table.columns]
    (row,) = figure.table.cells
    cells = dict(zip(headings, row, strict=True))
    assert (figure.view, figure.heading) == ("contrast_beside_people", "Corrected by people's labels")
    assert cells["judge's difference [95% interval]"].startswith("−0.66 [−0.9")
    assert cells["corrected [95% interval]"].startswith("0.34 [0.0")
    assert cells["bias [95% interval]"].startswith("1.00 [")
    assert (cells["n"], cells["n labelled"]) == ("80", "60")
    assert "not corrected, since" not in cells


def test_a_contrast_with_too_few_labels_says_so_in_its_row(hostile: StudyRows) -> None:
    figure = section(hostile, "contrasts").figures[-1]
    place = [column.heading for column in figure.table.columns].index("not corrected, since")
    assert {cells[place] for cells in figure.table.cells} == {
        "no random draw of `xp sample` is labelled in full"
    }


def test_a_study_without_labels_has_no_such_section(tmp_path: Path) -> None:
    found = read_study(write_study(tmp_path, n_items=2, is_labelled=False), "hostile")
    assert "people" not in [one.anchor for one in sections(found)]
    assert not any(figure.view == "contrast_beside_people" for figure in section(found, "contrasts").figures)


def test_agreement_with_people_is_not_told_twice(hostile: StudyRows) -> None:
    (beside,) = section(hostile, "people").figures
    shown = {cells[:2] for cells in beside.table.cells}
    again = {cells[:2] for figure in section(hostile, "trust").figures for cells in figure.table.cells}
    assert shown
    assert not shown & again
    assert not {cells[::-1] for cells in shown} & again
