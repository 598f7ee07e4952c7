"""Sections by themselves: what they say of a study, and which of them a study has."""

from dataclasses import replace
from typing import Any

import pytest

from tests.warehouse.reported_study import write_study
from warehouse.charts.theme import Rows
from warehouse.report.figures import Figure, Section
from warehouse.report.page import as_html
from warehouse.report.printed import printed
from warehouse.report.reading import read_study
from warehouse.report.reproduction import reproduction
from warehouse.report.sections import sections
from warehouse.report.sections.contrasts import contrasts, reading
from warehouse.report.sections.judges import trust
from warehouse.report.sections.power import detectable
from warehouse.report.sections.scores import parameters, sizes
from warehouse.report.study import StudyRows
from warehouse.statistics.power import minimum_detectable_effect, pooled


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> StudyRows:
    return read_study(
        write_study(tmp_path_factory.mktemp("sections"), n_items=6, is_labelled=False), "hostile"
    )


def figures(section: Section, view: str) -> list[Figure]:
    return [figure for figure in (*section.figures, *section.more) if figure.view == view]


def column(figure: Figure, heading: str) -> list[str]:
    place = [column.heading for column in figure.table.columns].index(heading)
    return [cells[place] for cells in figure.table.cells]


def test_sections_stand_in_the_order_of_a_reader_and_each_has_figures(study: StudyRows) -> None:
    found = sections(study)
    assert [section.anchor for section in found] == [
        *(
            "languages",
            "contrasts",
            "wins",
            "ifeval",
            "gaps",
            "power",
            "sizes",
            "errors",
            "trust",
            "unscored",
            "lengths",
            "cost",
            "training",
        )
    ]
    assert all(section.figures or section.more for section in found)


@pytest.mark.parametrize("anchor", ["languages", "contrasts", "gaps", "wins", "ifeval", "errors"])
def test_a_section_with_estimates_says_which_are_exploratory(study: StudyRows, anchor: str) -> None:
    (section,) = [section for section in sections(study) if section.anchor == anchor]
    said = [
        *section.says,
        *(text for figure in section.figures for text in (figure.caption, *map(str, figure.table.cells))),
    ]
    assert any("xploratory" in text for text in said)


def test_a_study_without_the_data_of_a_section_is_spared_it(study: StudyRows) -> None:
    gone = ("language_gap", "win_rate_by_method", "method_strength", "ifeval_accuracy")
    bare = replace(study, views={**study.views, **{view: [] for view in gone}}, spreads=())
    anchors = [section.anchor for section in sections(bare)]
    assert not {"gaps", "wins", "ifeval", "power"} & set(anchors)
    assert {"languages", "contrasts", "errors", "trust"} <= set(anchors)


def test_means_across_languages_carry_a_warning_that_is_seen_in_print_too(study: StudyRows) -> None:
    warned = {
        figure.heading.strip("`"): figure.warning for figure in figures(sizes(study), "score_by_model_size")
    }
    judged = ["quality.depth", "quality.helpfulness", "second.helpfulness", "duel vs urial"]
    assert [measure for measure, warning in warned.items() if warning] == judged, (
        "what rules decide needs none"
    )
    assert (
        warned["quality.depth"]
        == "This is a raw mean across languages, in which the judge need not be equally strict."
    )
    in_print = [part for part in printed("hostile", sizes(study)) if warned["quality.depth"] in part.caption]
    assert {name.split("`")[1] for part in in_print for _, name in part.headings} == set(judged)
    assert as_html(replace(study, completions=[])).count(
        f'<p class="warning">{warned["quality.depth"]}'
    ) == len(judged)


def test_where_no_trend_can_be_estimated_a_sentence_says_so_in_the_place_of_figures(study: StudyRows) -> None:
    too_few = "2 models of known size with two items or more, and a trend needs 4"
    assert sizes(study).says == (
        f"No trend with size can be estimated: {too_few}.",
        "Models may also differ in more than their size.",
    )
    assert sizes(study).figures == ()
    assert all(means.draw is None for means in sizes(study).more), "the means are tables"
    assert len(sizes(study).more) > 1


def test_a_study_without_opinions_says_so_in_the_place_of_figures(study: StudyRows) -> None:
    rules = [{**row, "opinion": None, "is_people": False} for row in study.judges]
    agreement = [{**row, "judge_kind_b": "exact"} for row in study.views["judge_agreement"]]
    views = {**study.views, "judge_agreement": agreement, "judge_against_checks": [], "judge_probes": []}
    bare = replace(study, judges=rules, views=views)
    assert agreement
    assert trust(bare).says == ("No judge of this study has opinions: they decide by rule, or are people.",)
    assert trust(bare).figures == ()
    labelled = [{**agreement[0], "judge_b": "anna", "judge_kind_b": "human"}, *agreement]
    (people,) = trust(replace(bare, views={**views, "judge_agreement": labelled})).figures
    assert len(people.table.cells) == 1, "what people say is no rule's"


@pytest.mark.parametrize(
    ("size", "written"),
    [(135e6, "135M"), (999e6, "1B"), (1.7e9, "1.7B"), (7.6e9, "7.6B"), (72e9, "72B"), (1e6, "1M")],
)
def test_sizes_are_written_as_people_say_them(size: float, written: str) -> None:
    assert parameters(size) == written


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (
            {"estimate": 0.5, "ci_low": 0.1, "is_significant": True, "is_significant_uncorrected": True},
            "significant",
        ),
        (
            {"estimate": 0.5, "ci_low": 0.1, "is_significant": False, "is_significant_uncorrected": True},
            "not after correction",
        ),
        (
            {"estimate": 0.5, "ci_low": -0.1, "is_significant": False, "is_significant_uncorrected": False},
            "not significant",
        ),
        (
            {"estimate": 0.0, "ci_low": -0.1, "is_significant": False, "is_significant_uncorrected": False},
            "tie",
        ),
        (
            {"estimate": 0.5, "ci_low": None, "is_significant": None, "is_significant_uncorrected": None},
            "no interval",
        ),
        (
            {"estimate": None, "ci_low": None, "is_significant": None, "is_significant_uncorrected": None},
            "no interval",
        ),
    ],
)
def test_a_difference_is_read_after_the_correction_and_a_tie_is_a_tie(row: dict[str, Any], said: str) -> None:
    assert reading(row) == said


def test_bounds_are_told_only_where_something_is_unscored(study: StudyRows) -> None:
    by_heading = {figure.heading: figure for figure in contrasts(study).figures}
    depth, whole = by_heading["`quality.depth`"], by_heading["`contains`"]
    assert all(bound.startswith("[") for bound in column(depth, "with unscored as worst or best"))
    missing = dict(
        zip(column(whole, "with unscored as worst or best"), column(whole, "unscored"), strict=True)
    )
    assert missing["–"] == "0"


def test_what_was_tested_is_counted_before_and_after_the_correction(study: StudyRows) -> None:
    rows = study.compared(study.views["contrast_by_language_and_size"])
    said = contrasts(study).says[2:]
    families = {row["family"] for row in rows}
    assert families
    for family, sentence in zip(sorted(families), said, strict=False):
        tested = [row for row in rows if row["family"] == family and row["p_corrected"] is not None]
        n, alone = (
            sum(bool(row[name]) for row in tested)
            for name in ("is_significant", "is_significant_uncorrected")
        )
        assert sentence.startswith(
            f"{family.capitalize()}: {n} of {len(tested)} differences significant after "
        )
        assert f"({alone} uncorrected)" in sentence


def test_power_is_that_of_the_plan_from_what_was_measured(study: StudyRows) -> None:
    rows: Rows = [row for row in detectable(study) if row["measure"] == "contains"]
    assert rows
    for row in rows:
        (spread,) = (
            s
            for s in study.spreads
            if (s.contrast, s.language, s.measure) == (row["contrast"], row["language"], row["measure"])
        )
        place = {name: row[name] for name in ("contrast", "dataset", "language", "measure")}
        possible = any(
            one["could_be_significant"]
            for one in study.views["contrast_by_language_and_size"]
            if place.items() <= one.items()
        )
        assert row["n"] == 6
        assert row["n_tests"] is None, "the study declares its contrasts on nothing"
        assert row["effect"] == (minimum_detectable_effect(pooled([spread]), 6) if possible else None)
        assert row["effect_corrected"] is None


def test_critical_errors_are_a_section_with_what_is_left_of_the_means_and_the_causes_of_loops(
    study: StudyRows,
) -> None:
    (errors,) = (section for section in sections(study) if section.anchor == "errors")
    (shares,) = errors.figures
    assert shares.view == "critical_errors_by_cell"
    assert [figure.view for figure in errors.more] == ["score_beside_critical_errors", "loops_by_cause"]
    beside = figures(errors, "score_beside_critical_errors")[0]
    assert column(beside, "with a critical error [95% interval]")[0].count("%") == 1


def test_what_the_sides_of_a_contrast_differ_in_besides_their_methods_stands_above_it(
    study: StudyRows,
) -> None:
    first, *rest = study.contrasts
    assert first["differs"] == []
    assert not any("also differ" in text for text in contrasts(study).says)
    also = {**first, "differs": ["dtype (float32 against bfloat16)", "template (chat against text)"]}
    assert (
        f"Sides also differ otherwise: {first['of']} − {first['against']} in dtype (float32 against bfloat16)"
        " and template (chat against text)."
    ) in contrasts(replace(study, contrasts=[also, *rest])).says


def test_contrasts_at_equal_length_stand_beside_those_that_were_measured_or_say_why_not(
    study: StudyRows,
) -> None:
    view = "contrast_by_language_and_size"
    first, *rest = study.of_interest(study.views[view])
    others = [row for row in study.views[view] if row not in (first, *rest)]
    numbers = {"estimate": 0.1, "ci_low": -0.2, "ci_high": 0.4}
    adjusted = {
        **first,
        **{f"length_adjusted_{key}": value for key, value in numbers.items()},
        "unadjusted_reason": None,
    }
    (lengths,) = (
        s
        for s in sections(replace(study, views={**study.views, view: [adjusted, *rest, *others]}))
        if s.anchor == "lengths"
    )
    (table,) = figures(lengths, view)
    assert column(table, "at equal length [95% interval]") == ["0.10 [−0.20, 0.40]"]
    assert (
        f"{len(rest)} of {1 + len(rest)} contrasts can't be adjusted for length: 5 pairs are too few"
        in lengths.says[1]
    )


def test_the_commit_that_a_data_sets_name_stood_for_is_told_beside_what_training_and_answering_noted(
    study: StudyRows,
) -> None:
    first, *others = [step for step in study.steps if step["kind"] == "data"]
    answering = [step for step in study.steps if step["kind"] == "generate"]
    found = {**first, "facts": {"device": "cpu", "commit": "c0ffee"}}
    told = reproduction(replace(study, steps=[found, *others, *answering])).facts
    assert [cells[0] for cells in told.cells] == [step["step_id"] for step in (first, *answering)]
    assert "commit = c0ffee" in told.cells[0][-1]
