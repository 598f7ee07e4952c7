"""Comparisons of a study: what it declares, what its baseline adds, and nothing else."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from dsl.checks.load import Loaded, load
from dsl.data.fingerprints import Fingerprints
from dsl.errors import SpecError
from dsl.plan.compile import compile
from dsl.plan.contrasts import nothing_compared
from dsl.plan.study import Plan

STUDY: dict[str, Any] = {
    "experiment": "small",
    "languages": ["en", "fr"],
    "models": {
        "m": {"base": {"hub": "a/base", "revision": "1"}, "instruct": {"hub": "a/instruct", "revision": "1"}},
        "n": {"base": {"hub": "a/other", "revision": "1"}},
    },
    "data": {
        "asked": {
            "rows": {"path": "asked_{language}.jsonl"},
            "columns": {k: k for k in ("item", "instruction", "answers", "response")},
            "allow_overlap": True,
        }
    },
    "evaluate": ["asked"],
    "methods": {
        "zero": {"method": "icl", "num_fewshot": 0},
        "three": {"method": "icl"},
        "three_en": {"method": "icl", "demonstrations_language": "en"},
        "tuned": {"method": "sft", "train": "asked"},
        "instruct": {"method": "instruct"},
    },
    "judges": {
        "correct": {"judge": "contains"},
        "exact": {"judge": "exact"},
        "language": {"judge": "language"},
        "length": {"judge": "length"},
        "both": {"judge": "ensemble", "of": ["correct", "exact"]},
        "duel": {
            "judge": "pairwise",
            "against": "zero",
            "model": {"engine": "openai", "name": "m", "base_url": "http://localhost:1/v1"},
        },
    },
    "contrasts": {
        "gain": {"of": "three", "against": "zero"},
        "own": {"of": "three", "against": "three_en", "on": ["language"]},
    },
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("study")
    for language in ("en", "fr"):
        row = {"item": "1", "instruction": f"one {language}", "response": "1", "answers": ["1"]}
        (folder / f"asked_{language}.jsonl").write_text(json.dumps(row) + "\n", "utf-8")
    return folder


def loaded(folder: Path, study: dict[str, Any]) -> Loaded:
    (folder / "study.yaml").write_text(yaml.safe_dump(study, sort_keys=False), "utf-8")
    return load(folder / "study.yaml")


def planned(folder: Path, **changes: Any) -> Plan:
    found = loaded(folder, STUDY | changes)
    return compile(found.experiment, Fingerprints(), found.origin)


def compared(plan: Plan) -> set[tuple[str, str, str, tuple[str, ...], bool]]:
    return {(c.name, c.of, c.against, c.on, c.is_declared) for c in plan.study.contrasts}


def faults(folder: Path, **changes: Any) -> list[str]:
    with pytest.raises(SpecError) as caught:
        loaded(folder, STUDY | changes)
    return [f"{problem.path}: {problem.message}" for problem in caught.value.problems]


QUALITY = ("both", "correct", "duel", "exact")


def test_a_contrast_is_declared_on_its_own_judges_else_the_primary_ones_else_all_of_quality(
    folder: Path,
) -> None:
    own = ("own", "three", "three_en", ("language",), True)
    assert compared(planned(folder)) == {("gain", "three", "zero", QUALITY, True), own}
    assert compared(planned(folder, primary=["length", "exact"])) == {
        ("gain", "three", "zero", ("exact", "length"), True),
        own,
    }


def test_every_other_method_is_compared_with_the_baseline_where_no_contrast_does(folder: Path) -> None:
    def derived(**changes: Any) -> set[str]:
        return {
            name
            for name, _, against, on, declared in compared(planned(folder, **changes))
            if not declared and against == "zero" and not on
        }

    assert derived(baseline="zero") == {"three_en_vs_zero", "tuned_vs_zero", "instruct_vs_zero"}
    turned = {"loss": {"of": "zero", "against": "three"}}
    assert derived(baseline="zero", contrasts=turned) == {
        "three_en_vs_zero",
        "tuned_vs_zero",
        "instruct_vs_zero",
    }
    assert derived(baseline="zero", contrasts={}) == {
        "three_vs_zero",
        "three_en_vs_zero",
        "tuned_vs_zero",
        "instruct_vs_zero",
    }
    assert derived(
        baseline="zero", contrasts={}, only=[{"method": "zero", "language": "en"}, {"method": "tuned"}]
    ) == {"tuned_vs_zero"}


def test_an_interaction_with_size_and_language_is_declared_beside_the_difference_or_without_it(
    folder: Path,
) -> None:
    interaction = {"of": "three", "against": "zero", "by": ["size", "language"]}
    plan = planned(folder, baseline="zero", contrasts={"both": interaction})
    (both,) = (c for c in plan.study.contrasts if c.is_declared)
    assert (both.on, both.by) == (QUALITY, ("language", "size"))
    # the change of a difference does not stand for the difference
    assert "three_vs_zero" in {c.name for c in plan.study.contrasts}
    found = loaded(folder, STUDY | {"contrasts": {"both": interaction}})
    assert [warning.message for warning in found.warnings if warning.path.endswith(".by")] == [
        "a change with size needs 4 models of known size, and the study has 2: nothing will be tested"
    ]
    (fault,) = faults(folder, contrasts={"both": interaction | {"by": ["model"]}})
    assert "by[0]" in fault
    assert "size" in fault


@pytest.mark.parametrize(
    ("data", "by", "said"),
    [
        ({"parallel": False}, ["language"], None),
        ({"parallel": False}, ["size"], None),
        (
            {"parallel": False},
            ["size", "language"],
            (
                "a change with size and language is tested on items that pair across languages, and those of"
                " `asked` do not (`parallel: false`): nothing will be tested on it"
            ),
        ),
        (
            {"languages": ["en"]},
            ["language"],
            (
                "a change with language needs 2 languages, and no data set is asked in more than 1: nothing"
                " will be tested"
            ),
        ),
    ],
)
def test_an_interaction_that_the_items_cannot_show_is_reported_where_it_is_declared(
    data: dict[str, Any], by: list[str], said: str | None, folder: Path
) -> None:
    asked = {"asked": STUDY["data"]["asked"] | data}
    models = dict.fromkeys(("k", "l", "m", "n"), STUDY["models"]["m"])
    methods = {name: STUDY["methods"][name] for name in ("three", "zero")}
    changes = {
        "data": asked,
        "models": models,
        "methods": methods,
        "judges": {"correct": {"judge": "contains"}},
    }
    found = loaded(
        folder, STUDY | changes | {"contrasts": {"both": {"of": "three", "against": "zero", "by": by}}}
    )
    assert [(warning.path, warning.message) for warning in found.warnings if ".by" in warning.path] == (
        [] if said is None else [("contrasts.both.by", said)]
    )
    assert all(warning.line for warning in found.warnings if ".by" in warning.path)


def test_methods_that_are_never_tried_on_one_model_are_not_compared(folder: Path) -> None:
    apart = [{"method": "zero", "model": "n"}, {"method": "instruct"}]
    plan = planned(folder, baseline="zero", contrasts={}, only=apart)
    assert plan.study.contrasts == ()
    assert (
        nothing_compared(plan.study)
        == "Nothing will be compared: no two methods answer one data set in one language on one model."
    )


def test_without_contrasts_and_baseline_nothing_is_compared_and_the_lines_to_add_are_right(
    folder: Path,
) -> None:
    plan = planned(folder, contrasts={})
    assert plan.study.contrasts == ()
    said = nothing_compared(plan.study)
    assert said is not None
    baseline, contrasts = (yaml.safe_load(said.split("`")[i]) for i in (1, 3))
    for added in (baseline, contrasts):
        assert nothing_compared(planned(folder, **({"contrasts": {}} | added)).study) is None


def test_contrasts_and_a_baseline_change_no_step_and_no_cell(folder: Path) -> None:
    plain = planned(folder, contrasts={})
    for changes in ({}, {"baseline": "zero"}, {"primary": ["length"]}):
        plan = planned(folder, **changes)
        assert plan.steps == plain.steps
        assert plan.study.cells == plain.study.cells


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_the_order_of_methods_contrasts_judges_and_models_decides_no_step_and_no_comparison(
    folder: Path, data: st.DataObject
) -> None:
    changes: dict[str, Any] = {
        "baseline": "three",
        "primary": data.draw(st.sampled_from([[], ["exact", "correct"], ["correct", "exact"]])),
    }
    for section in ("methods", "contrasts", "judges", "models"):
        names = data.draw(st.permutations(list(STUDY[section])))
        changes[section] = {name: STUDY[section][name] for name in names}
    before, after = (
        planned(folder, baseline="three", primary=sorted(changes["primary"])),
        planned(folder, **changes),
    )
    assert set(after.steps) == set(before.steps)
    assert {cell.cell_id for cell in after.study.cells} == {cell.cell_id for cell in before.study.cells}
    assert compared(after) == compared(before)
    assert len(after.study.contrasts) == len(before.study.contrasts)


def test_unknown_names_are_reported_where_they_stand(folder: Path) -> None:
    found = faults(
        folder,
        baseline="zeroo",
        primary=["langauge", "exact", "exact"],
        contrasts={"gain": {"of": "three", "against": "zero", "on": ["correct", "fluency"]}},
    )
    assert [f for f in found if f.startswith("baseline: there is no method `zeroo`. Did you mean `zero`?")]
    assert [
        f for f in found if f.startswith("primary[0]: there is no judge `langauge`. Did you mean `language`?")
    ]
    assert [f for f in found if f.startswith("primary[2]: `exact` is listed twice")]
    assert [
        f
        for f in found
        if f.startswith("contrasts.gain.on[1]: there is no judge `fluency`. Allowed: `correct`, `exact`")
    ]
    assert len(found) == 4


SERVED = {"engine": "openai", "name": "m", "base_url": "http://localhost:1/v1"}
OF_ASPECTS = STUDY["judges"] | {
    "rubric": {"judge": "rubric", "aspects": ["depth", "clarity"], "model": SERVED},
    "second": {"judge": "rubric", "model": SERVED},
    "panel": {"judge": "ensemble", "of": ["rubric", "second"]},
}


def test_a_contrast_and_the_primary_measures_may_name_an_aspect_of_a_judge(folder: Path) -> None:
    contrasts = {
        "gain": {"of": "three", "against": "zero", "on": ["rubric.depth", "exact", "panel.clarity"]},
        "own": STUDY["contrasts"]["own"],
    }
    plan = planned(folder, judges=OF_ASPECTS, contrasts=contrasts)
    on = {contrast.name: contrast for contrast in plan.study.contrasts}
    assert on["gain"].on == ("exact", "panel.clarity", "rubric.depth")
    measures = [
        ("rubric", "rubric.depth"),
        ("rubric", "rubric.depth vs zero"),
        ("rubric", "rubric.clarity"),
        ("exact", "exact"),
    ]
    assert [on["gain"].is_on(*measure) for measure in measures] == [True, True, False, True]
    primary = planned(folder, judges=OF_ASPECTS, primary=["rubric.depth"])
    assert {c.name: c.on for c in primary.study.contrasts} == {
        "gain": ("rubric.depth",),
        "own": ("language",),
    }


def test_an_unknown_aspect_is_reported_where_it_stands_with_what_is_allowed(folder: Path) -> None:
    on = ["rubric.dpeth", "rubrik.depth", "exact.exact", "panel", "panel.depth"]
    found = faults(
        folder,
        judges=OF_ASPECTS,
        contrasts={"gain": {"of": "three", "against": "zero", "on": on}},
        primary=["rubric.tone"],
    )
    assert found == [
        "contrasts.gain.on[0]: `rubric` has no aspect `dpeth`. Did you mean `depth`?",
        "contrasts.gain.on[1]: there is no judge `rubrik.depth`. Did you mean `rubric`?",
        "contrasts.gain.on[2]: `exact` has one measure and no aspects. Name it as `exact`",
        "contrasts.gain.on[4]: `panel` is listed too, with all of its aspects: name one of the two",
        "primary[0]: `rubric` has no aspect `tone`. Allowed: `clarity`, `depth`.",
    ]


def test_the_setting_judge_of_a_contrast_is_answered_by_what_to_write(folder: Path) -> None:
    (found,) = faults(folder, contrasts={"gain": {"of": "three", "against": "zero", "judge": "language"}})
    assert found == "contrasts.gain.judge: no such setting here. Name the judges in a list: `on: [language]`."


@pytest.mark.parametrize(
    ("on", "says"), [("language", 'Write ["language"]'), ([], "must have 1 or more entries")]
)
def test_on_is_a_list_of_at_least_one_judge(folder: Path, on: Any, says: str) -> None:
    (found,) = faults(folder, contrasts={"gain": {"of": "three", "against": "zero", "on": on}})
    assert found.startswith("contrasts.gain.on: ")
    assert says in found


def test_a_contrast_may_not_take_the_name_of_another_comparison_with_the_baseline(folder: Path) -> None:
    (found,) = faults(
        folder, baseline="zero", contrasts={"tuned_vs_zero": {"of": "three", "against": "zero"}}
    )
    assert "Name this contrast otherwise" in found
    named = planned(folder, baseline="zero", contrasts={"tuned_vs_zero": {"of": "tuned", "against": "zero"}})
    assert [c.name for c in named.study.contrasts].count("tuned_vs_zero") == 1


def test_contrasts_on_no_judge_of_quality_are_warned_of(folder: Path) -> None:
    judges = {"language": {"judge": "language"}}
    contrasts = {"gain": {"of": "three", "against": "zero"}}
    (warning,) = loaded(folder, STUDY | {"judges": judges, "contrasts": contrasts}).warnings
    assert (
        "every test of this contrast will be exploratory. Name the judges it is declared on: `on: [language]`"
        in str(warning)
    )
    assert (
        loaded(folder, STUDY | {"judges": judges, "contrasts": contrasts, "primary": ["language"]}).warnings
        == ()
    )


def test_a_baseline_without_cells_is_warned_of(folder: Path) -> None:
    warnings = loaded(
        folder, STUDY | {"baseline": "zero", "contrasts": {}, "exclude": [{"method": "zero"}]}
    ).warnings
    (warning,) = [warning for warning in warnings if warning.path == "baseline"]
    assert "baseline: `zero` has no cell" in str(warning)
