"""Grids and heat tables of the page: rows in, places on an axis out."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.warehouse.reported_study import write_study
from warehouse.charts.theme import Order
from warehouse.report.grids import Axis, Heat, contrast_grids, mean_grids
from warehouse.report.heat import heat_tables
from warehouse.report.overview import Overview, overview
from warehouse.report.page import as_html
from warehouse.report.reading import read_study
from warehouse.report.study import StudyRows
from warehouse.report.summary import summary
from warehouse.report.wording import Wording, glosses, language_name

ORDER = Order(("urial", "sft"), ("tiny", "small", "large"), ("en", "fr"))
SHARES = Wording({"contains": {"role": "quality", "label": "right", "scales": {"contains": [0.0, 1.0]}}})


def mean(method: str, language: str = "en", model: str = "tiny", **more: Any) -> dict[str, Any]:
    return {
        "dataset": "facts",
        "language": language,
        "model": model,
        "num_parameters": {"tiny": 1, "small": 2, "large": 3}[model],
        "method": method,
        "train_languages": "",
        "judge": "contains",
        "measure": "contains",
        "mean_score": 0.5,
        "ci_low": 0.25,
        "ci_high": 0.75,
        "n": 8,
        "n_unscored": 0,
        **more,
    }


def contrast(name: str, estimate: float, **more: Any) -> dict[str, Any]:
    return (
        mean(
            "",
            contrast=name,
            of=name,
            against="urial",
            of_train_languages="",
            against_train_languages="",
            estimate=estimate,
            ci_low=estimate - 0.2,
            ci_high=estimate + 0.2,
            is_significant=False,
            is_significant_uncorrected=False,
        )
        | {"method": None}
        | more
    )


def test_a_mean_stands_at_its_place_on_the_scale_beside_its_denominator() -> None:
    (grid,) = mean_grids([mean("urial")], ORDER, SHARES)
    (cell,) = grid.lines[0].cells
    assert cell is not None
    assert cell.dot is not None
    assert (cell.dot.at, cell.dot.low, cell.dot.high) == (50.0, 25.0, 75.0)
    assert (cell.text + cell.of, cell.told) == ("50% of 8", "50% [25%, 75%], n = 8")
    assert [text for _, text in grid.ticks] == ["0", "50", "100%"]


def test_an_interval_beyond_the_scale_is_cut_and_says_at_which_end() -> None:
    dot = Axis(1.0, 5.0, str).dot(4.8, 4.0, 5.3, is_filled=True)
    assert (dot.high, dot.goes_above, dot.goes_below) == (100.0, True, False)


@pytest.mark.parametrize(
    "row", [mean("urial", ci_low=None, ci_high=None), mean("urial", ci_low=0.5, ci_high=0.5)]
)
def test_an_interval_of_no_width_is_not_drawn(row: dict[str, Any]) -> None:
    (cell,) = mean_grids([row], ORDER, SHARES)[0].lines[0].cells
    assert cell is not None
    assert cell.dot is not None
    assert cell.dot.low is None
    assert cell.told == "50%, n = 8"


def test_what_is_unscored_has_no_dot_and_a_study_without_scores_no_picture() -> None:
    rows = [mean("urial"), mean("sft", mean_score=None, ci_low=None, ci_high=None, n=0, n_unscored=8)]
    (grid,) = mean_grids(rows, ORDER, SHARES)
    cells = [line.cells[0] for line in grid.lines if line.cells[0]]
    assert [(cell.dot is None, cell.text + cell.of) for cell in cells] == [
        (False, "50% of 8"),
        (True, "unscored"),
    ]
    assert mean_grids(rows[1:], ORDER, SHARES) == ()


def test_two_models_have_a_grid_each_and_of_three_sizes_each_language_has_one() -> None:
    rows = [mean("urial", language, model) for language in ("fr", "en") for model in ("small", "tiny")]
    grids = mean_grids(rows, ORDER, SHARES)
    assert [(grid.title, grid.columns) for grid in grids] == [
        ("tiny", ("English", "French")),
        ("small", ("English", "French")),
    ]
    more = [*rows, mean("urial", "en", "large"), mean("urial", "fr", "large")]
    assert [(grid.title, grid.columns) for grid in mean_grids(more, ORDER, SHARES)] == [
        ("English", ("tiny", "small", "large")),
        ("French", ("tiny", "small", "large")),
    ]


def test_contrasts_that_tie_throughout_are_one_line() -> None:
    grids, note = contrast_grids([contrast("sft", 0.0), contrast("dpo", 0.25)], ORDER, SHARES)
    assert [line.name for line in grids[0].lines] == ["dpo − urial"]
    assert note == "Exact ties in every language: sft − urial."
    assert contrast_grids([contrast("sft", 0.0)], ORDER, SHARES) == ((), "Exact ties throughout.")


def test_a_share_or_a_difference_that_is_small_does_not_show_as_none() -> None:
    (cell,) = (
        mean_grids([mean("urial", mean_score=0.997, ci_low=0.98, n=300)], ORDER, SHARES)[0].lines[0].cells
    )
    assert cell is not None
    assert cell.text + cell.of == ">99% of 300"
    (grid,), _ = contrast_grids([contrast("sft", 0.004, ci_low=0.001)], ORDER, SHARES)
    (cell,) = grid.lines[0].cells
    assert cell is not None
    assert (cell.text, cell.told) == ("0.4 (n 8)", "0.4 [0.1, 20.4] points, n = 8")


def test_a_point_leads_to_the_answers_behind_it() -> None:
    (cell,) = mean_grids([mean('u&"<')], ORDER, SHARES)[0].lines[0].cells
    assert cell is not None
    assert cell.link == (
        "#answers?dataset=facts&language=en&model=tiny&method=u%26%22%3C&measure=contains&sort=lowest"
    )


def test_the_language_of_examples_is_told_where_it_is_not_the_one_that_is_asked_in() -> None:
    cells = [
        {"method": "urial_en", "language": language, "generate_step_id": f"generate-{language}"}
        for language in ("en", "fr")
    ]
    steps = [
        {"step_id": "generate-en", "settings": {"prompt": {"demonstrations_text": None}}},
        {"step_id": "generate-fr", "settings": {"prompt": {"demonstrations_text": {"language": "en"}}}},
        {"step_id": "generate-other", "settings": {}},
    ]
    assert glosses(cells, steps) == {"urial_en": "examples in English"}
    own = [{**cell, "method": "urial", "generate_step_id": f"own-{cell['language']}"} for cell in cells]
    bare = [{**cell, "method": "zero_shot", "generate_step_id": f"bare-{cell['language']}"} for cell in cells]
    for language in ("en", "fr"):
        prompt = {"form": "text", "text": {"language": language}, "demonstrations_text": None}
        steps += [
            {"step_id": f"own-{language}", "settings": {"prompt": prompt}},
            {"step_id": f"bare-{language}", "settings": {"prompt": {**prompt, "num_fewshot": 0}}},
        ]
    assert glosses([*cells, *own, *bare], steps) == {
        "urial_en": "examples in English",
        "urial": "examples in the language asked",
    }
    assert glosses([own[0], bare[0]], steps) == {}, "there is one language"
    assert language_name("x-klingon") == "x-klingon"


@pytest.mark.parametrize(
    ("judge", "said"),
    [
        ("contains", "Higher is better."),
        ("quality", "Higher is better on a scale of 1 to 5."),
        ("loop", "Share of answers without the error: higher is better."),
        ("length", "Neither more nor less is better."),
        ("anna", "Higher is better."),
    ],
)
def test_the_direction_of_every_measure_is_written(judge: str, said: str) -> None:
    words = Wording(
        {
            **SHARES.judges,
            "quality": {"role": "quality", "label": "", "scales": {"depth": [1.0, 5.0], "width": [1.0, 5.0]}},
            "loop": {"role": "critical_error", "label": "loops", "scales": {"loop": [0.0, 1.0]}},
            "length": {"role": "measure", "label": "", "scales": {"length": None}},
        }
    )
    measure = "quality.depth" if judge == "quality" else judge
    assert words.direction({"judge": judge, "measure": measure}) == said


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> StudyRows:
    warehouse = write_study(
        tmp_path_factory.mktemp("one"), languages=("en",), models={"tiny": 1000}, is_labelled=False
    )
    return read_study(warehouse, "hostile")


def test_errors_are_one_table_of_kinds_and_methods_and_what_nobody_has_is_a_sentence(
    study: StudyRows,
) -> None:
    rows = study.views["critical_errors_by_cell"]
    none = [row | {"share": 0.0} if row["error"] == "loop" else row for row in rows]
    (table,), note = heat_tables(study, none)
    assert [name for name, _ in table.columns] == ["zero_shot", "urial", "sft", "dpo"]
    assert "in another language than asked" in [row.error for row in table.rows]
    assert note == "Found in no answer that was judged: “repeats itself without end”."
    shown = [cell.shown for row in table.rows for cell in row.cells if cell]
    assert all("% of " in text for text in shown), "a share stands beside its denominator"


def test_a_study_of_one_language_without_contrasts_or_scores_has_a_first_screen_too(study: StudyRows) -> None:
    bare = replace(study, contrasts=[], views={**study.views, "contrast_by_language_and_size": []})
    said = summary(bare)
    assert said.findings == (
        "Methods were scored on unequal sets of items in English, so no highest mean is named there.",
    )
    assert said.unsupported[0].startswith("The study names no contrast")
    drawn = overview(bare)
    assert drawn is not None
    assert drawn.baseline is None
    scores = [
        row | {"mean_score": None, "ci_low": None, "ci_high": None, "n": 0}
        for row in study.views["score_by_method_language"]
    ]
    unscored = replace(bare, views={**bare.views, "score_by_method_language": scores})
    assert overview(unscored) is None
    assert summary(unscored).findings == ("Nothing has been scored.",)
    assert "Nothing has been scored." in as_html(replace(unscored, completions=[]))


def heats_of(drawn: Overview) -> dict[str | None, Heat | None]:
    """Method -> its share of errors in the first grid's last column."""
    return {line.method: cell.heat for line in drawn.grids[0].lines for cell in line.cells if cell}


def test_where_no_answer_could_be_judged_for_errors_the_picture_says_so(study: StudyRows) -> None:
    view = "score_beside_critical_errors"
    unjudged = {"p_critical": None, "n_judged": 0, "n_partly_judged": 0, "n_unjudged": 6}
    rows = [row | unjudged if row["method"] == "sft" else row for row in study.views[view]]
    drawn = overview(replace(study, views={**study.views, view: rows}))
    assert drawn is not None
    assert drawn.is_partly_judged
    sft, urial = (heats_of(drawn)[method] for method in ("sft", "urial"))
    assert sft is not None
    assert (sft.share, sft.shown, sft.told) == (None, "–", "with a critical error: 6 not judged")
    assert urial is not None
    assert "% of " in urial.shown + urial.of


@pytest.mark.parametrize(("p_critical", "shown"), [(0.25, "≥25%"), (0.0, "≤31%"), (0.004, ">0%")])
def test_a_share_of_errors_is_at_least_or_at_most_that_where_some_were_not_judged_by_every_detector(
    study: StudyRows, p_critical: float, shown: str
) -> None:
    """5 of 16: where none of the others has an error, at most 31% have one, and not at least 0%."""
    view = "score_beside_critical_errors"
    partly = {"p_critical": p_critical, "n_judged": 16, "n_partly_judged": 5, "n_unjudged": 0}
    rows = [row | partly if row["method"] == "sft" else row for row in study.views[view]]
    drawn = overview(replace(study, views={**study.views, view: rows}))
    assert drawn is not None
    assert drawn.is_partly_judged
    sft = heats_of(drawn)["sft"]
    assert sft is not None
    assert (sft.share, sft.shown, sft.of) == (p_critical, shown, " of 16")
    assert sft.told == f"with a critical error: {shown} of 16, 5 of these not judged by every detector"


def test_many_findings_fold_with_their_number(study: StudyRows, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("warehouse.report.page.MOST_FINDINGS", 0)
    views = {**study.views, "contrast_by_language_and_size": []}
    written = as_html(replace(study, contrasts=[], views=views, completions=[]))
    assert "<details><summary>1 more</summary>" in written
    assert written.count('<p class="finding">') == 1


def test_tests_come_before_means_by_size_where_one_method_is_asked_of_models_of_several_sizes(
    study: StudyRows,
) -> None:
    first = next(row for row in study.views["score_by_method_language"] if row["measure"] == "contains")
    sizes = [first | {"model": model, "num_parameters": size} for model, size in (("tiny", 1), ("small", 2))]
    views = {**study.views, "score_by_method_language": sizes}
    by_size = "Exploratory: `contains` does not change clearly from tiny to small."
    said = summary(replace(study, views=views))
    assert by_size not in said.findings
    assert said.trust[0].startswith("Comparisons rest on ")
    rows = study.views["contrast_by_language_and_size"]
    views["contrast_by_language_and_size"] = [row | {"ci_low": None, "ci_high": None} for row in rows]
    assert by_size in summary(replace(study, views=views)).findings


def test_a_significant_difference_whose_simultaneous_interval_covers_zero_is_said_to(
    study: StudyRows,
) -> None:
    rows = [
        {**row, "family": "confirmatory", "correction": "holm", "n_tests": 46}
        for row in study.views["contrast_by_language_and_size"]
        if row["p_corrected"] is not None
    ]
    rows[0] |= {"ci_low_corrected": -0.1, "ci_high_corrected": 0.5}
    for is_significant in (False, True):
        rows[0]["is_significant"] = is_significant
        views = {**study.views, "contrast_by_language_and_size": rows}
        (said,) = [one for one in summary(replace(study, views=views)).trust if "at once" in one]
        assert "the answer's intervals hold at once, at 5% over 46 confirmatory tests" in said
        assert ("1 of them covers zero where Holm's p-value is significant" in said) == is_significant


def test_data_sets_stand_in_the_order_of_the_study_and_the_picture_names_its_own(study: StudyRows) -> None:
    drawn = overview(study)
    assert drawn is not None
    assert drawn.on == ""
    sums = [cell | {"dataset": "a_sums"} for cell in study.cells]
    scores = study.views["score_by_method_language"]
    both = [*(row | {"dataset": "a_sums"} for row in scores), *scores]
    several = replace(
        study, cells=[*study.cells, *sums], views={**study.views, "score_by_method_language": both}
    )
    drawn = overview(several)
    assert drawn is not None
    assert drawn.on == " on facts"
    assert "</code> (holds an accepted answer) on facts with 95%" in as_html(several)


def test_a_method_that_was_retrained_for_each_language_is_named_with_what_it_was_trained_on(
    study: StudyRows, tmp_path: Path
) -> None:
    assert study.order.retuned == frozenset()
    (first, *_) = (cell for cell in study.cells if cell["method"] == "sft")
    again = replace(study, cells=[*study.cells, {**first, "train_languages": "fr"}])
    assert again.order.retuned == {"sft"}
