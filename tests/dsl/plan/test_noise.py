"""A/A cells: a method asked again, whose difference from itself is the noise floor."""

from pathlib import Path
from typing import Any

from dsl.plan.contrasts import nothing_compared
from dsl.steps.steps import GenerateStep, JudgeStep
from tests.dsl.plan.test_contrasts import STUDY, faults, folder, planned

__all__ = ["folder"]

RATED = {
    "judge": "rubric",
    "aspects": ["helpfulness"],
    "model": {"engine": "openai", "name": "m", "base_url": "http://localhost:1/v1"},
}


def with_noise(**changes: Any) -> dict[str, Any]:
    methods = STUDY["methods"] | {"three": {"method": "icl", "noise": True}}
    return {"methods": methods, "judges": STUDY["judges"] | {"rated": RATED}} | changes


def test_a_replicate_adds_steps_of_its_own_and_changes_none(folder: Path) -> None:
    before = planned(folder, judges=with_noise()["judges"])
    plan = planned(folder, **with_noise())
    added = {step_id: step for step_id, step in plan.steps.items() if step_id not in before.steps}
    assert before.steps.keys() <= plan.steps.keys()
    asked = [step for step in added.values() if isinstance(step, GenerateStep)]
    assert len(asked) == 4
    assert {step.replicate for step in asked} == {1}
    judged = [step for step in added.values() if isinstance(step, JudgeStep)]
    assert {next(iter(step.judges.values())).judge: step.replicate for step in judged if step.replicate} == {
        "rubric": 1,
        "ensemble": 1,
    }
    assert len(added) == len(asked) + len(judged)


def test_a_replicate_is_a_method_of_its_own_that_is_judged_but_not_compared(folder: Path) -> None:
    plan = planned(folder, **with_noise(baseline="zero"))
    cells = [cell for cell in plan.study.cells if cell.method == "three_again"]
    assert {(cell.model, cell.language) for cell in cells} == {
        (m, language) for m in ("m", "n") for language in ("en", "fr")
    }
    assert {name for cell in cells for name in cell.judges} == set(with_noise()["judges"]) - {"duel"}
    assert [(one.of, one.against) for one in plan.study.noise] == [("three_again", "three")]
    before = planned(folder, judges=with_noise()["judges"], baseline="zero")
    assert plan.study.contrasts == before.study.contrasts


def test_what_cannot_be_asked_again_or_named_is_refused(folder: Path) -> None:
    recorded = {
        "method": "recorded",
        "answers": {"path": "asked_en.jsonl"},
        "columns": {"item": "item", "response": "response"},
        "noise": True,
    }
    (fault,) = faults(folder, methods=STUDY["methods"] | {"read": recorded})
    assert "recorded answers are read: leave it out" in fault
    methods = with_noise()["methods"] | {"three_again": {"method": "icl"}}
    (fault,) = faults(folder, methods=methods)
    assert "`three_again`, as another method is: rename one of them" in fault


def test_a_method_and_its_replicate_are_no_two_methods_to_compare(folder: Path) -> None:
    alone: dict[str, Any] = {"methods": {"three": {"method": "icl", "noise": True}}, "contrasts": {}}
    models = {"n": STUDY["models"]["n"]}
    judges = {"right": {"judge": "contains"}}
    said = nothing_compared(planned(folder, models=models, judges=judges, **alone).study)
    assert (
        said == "Nothing will be compared: no two methods answer one data set in one language on one model."
    )
