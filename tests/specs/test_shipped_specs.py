"""Every shipped study is valid where its data is, and plans without a network."""

import socket
from pathlib import Path

import pytest

from dsl.checks.load import load
from dsl.data.fingerprints import Fingerprints
from dsl.errors import SpecError
from dsl.plan.compile import compile
from dsl.plan.study import Plan
from dsl.steps.prompt_forms import TextPrompt
from dsl.steps.steps import GenerateStep, SftStep
from tests.specs.public_data import needed

SPECS = Path(__file__).resolve().parents[2] / "specs"


def planned(name: str, *overrides: str) -> Plan:
    loaded = load(SPECS / f"{name}.yaml", overrides)
    return compile(loaded.experiment, Fingerprints(), loaded.origin)


def methods(plan: Plan) -> set[str]:
    return {cell.method for cell in plan.study.cells}


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> None:
        raise AssertionError("a plan asked the network")

    monkeypatch.setattr(socket.socket, "connect", refused)


def test_the_quickstart_has_every_method_in_every_language() -> None:
    plan = planned("quickstart")
    wanted = {"zero_shot", "urial", "urial_en", "sft", "dpo_base", "dpo_sft", "instruct"}
    assert {(cell.method, cell.language) for cell in plan.study.cells} == {
        (m, la) for m in wanted for la in ("en", "fr", "es")
    }


def test_the_paper_plans_offline_and_says_that_it_is_not_pinned() -> None:
    loaded = load(SPECS / "paper.yaml")
    others = [str(warning) for warning in loaded.warnings if "not pinned" not in str(warning)]
    assert len(others) == 1
    assert "decoding.repetition_penalty: it counts the prompt's tokens too" in others[0], "as upstream has it"
    assert len(loaded.warnings) >= 12
    cells = planned("paper").study.cells
    assert {cell.model for cell in cells if cell.method == "dpo_base"} == {
        "smollm2-135m",
        "smollm2-360m",
        "qwen2.5-0.5b",
        "qwen2.5-1.5b",
    }


def test_every_value_of_the_paper_says_where_it_comes_from() -> None:
    for number, line in enumerate((SPECS / "paper.yaml").read_text("utf-8").splitlines(), 1):
        has_value = ":" in line and line.split(":", 1)[1].split("#")[0].strip() not in ("", ">", "|")
        names_itself = line.startswith(("#", "experiment:"))
        assert (
            names_itself
            or not has_value
            or any(mark in line for mark in ("# paper", "# upstream", "# assumption"))
        ), number


def test_the_paper_asks_how_the_gap_changes_with_language_and_size() -> None:
    (changes,) = [one for one in planned("paper").study.contrasts if one.name == "icl_gap_changes"]
    assert changes.by == ("language", "size")


def test_more_demonstrations_are_shown_beside_urial_s_three_and_decoded_alike() -> None:
    plan = planned("urial_settings")
    asked = [(cell, plan.steps[cell.generate]) for cell in plan.study.cells]
    shown = {
        cell.method: step.prompt.num_fewshot
        for cell, step in asked
        if isinstance(step, GenerateStep) and isinstance(step.prompt, TextPrompt)
    }
    assert shown == {"zero_shot": 0, "urial": 3, "shots_3": 3, "shots_10": 10, "shots_30": 30}
    assert {step.decoding.repetition_penalty for _, step in asked if isinstance(step, GenerateStep)} == {1.15}


def test_both_backbones_are_tuned_on_the_same_rows_with_the_same_effort() -> None:
    plan = planned("basque_backbones")
    trained = {
        method: [
            step.model_copy(update={"weights": None})
            for cell in plan.study.cells
            if cell.method == method
            for step in map(plan.steps.get, cell.train)
            if isinstance(step, SftStep)
        ]
        for method in ("sft_base", "sft_instruct")
    }
    assert trained["sft_base"] == trained["sft_instruct"]
    assert len(trained["sft_base"]) == 6, "two rates, three seeds"
    (backbone,) = [one for one in plan.study.contrasts if one.name == "backbone"]
    assert not backbone.differs, "apart from the weights"


@pytest.mark.parametrize("name", ["urial_settings", "basque_backbones"])
def test_a_published_study_takes_forty_lines_at_most(name: str) -> None:
    assert len((SPECS / f"{name}.yaml").read_text("utf-8").splitlines()) <= 40


def test_two_models_is_refused_until_gemmas_licence_is_accepted_by_name() -> None:
    with pytest.raises(SpecError, match="write `accept_license: gemma`"):
        planned("two_models")
    plan = planned("two_models", "models.gemma-3-270m.base.accept_license=gemma")
    assert {cell.model for cell in plan.study.cells} == {"smollm2-135m", "gemma-3-270m"}


def test_the_showcase_is_judged_by_rules_alone_with_three_seeds_where_it_trains() -> None:
    loaded = load(SPECS / "showcase.yaml")
    assert all(judge.is_by_rule() for judge in loaded.experiment.judges.values())
    cells = planned("showcase").study.cells
    seeds = {one.method: {cell.seed for cell in cells if cell.method == one.method} for one in cells}
    trained = {"sft", "dpo_base", "dpo_sft"}
    assert seeds == {
        method: {0, 1, 2} if method in trained else {None} for method in methods(planned("showcase"))
    }
    assert {cell.model for cell in cells if cell.method == "instruct"} == {"smollm2-135m-instruct"}


def test_the_showcase_declares_a_measure_for_each_of_its_questions() -> None:
    declared = {one.name: one.on for one in planned("showcase").study.contrasts}
    assert declared == {
        "english_examples": ("language",),
        "examples_help": ("correct",),
        "sft_against_examples": ("correct", "follows.strict"),
        "dpo_against_examples": ("correct",),
        "dpo_over_sft": ("correct",),
        "dpo_over_base": ("correct", "loop"),
    }


def test_the_check_on_public_questions_reuses_the_trainings_of_the_showcase() -> None:
    trained = {
        name: {step_id for step_id, step in planned(name).steps.items() if step.kind in ("sft", "dpo")}
        for name in ("showcase", "showcase_public")
    }
    assert len(trained["showcase"]) == 2 * 3 * 3, "models, seeds, methods"
    assert trained["showcase"] == trained["showcase_public"]


@needed
@pytest.mark.parametrize(
    ("name", "expected", "n_cells"),
    [
        ("trial", {"zero_shot", "urial", "sft", "dpo_sft", "instruct"}, 15),
        ("sizes", {"instruct"}, 9),
        ("mt_bench_x", {"urial", "instruct"}, 12),
        ("phi2", {"phi-2", "phi-2-sft", "phi-2-dpo"}, 3),
    ],
)
def test_studies_on_public_data_are_right(name: str, expected: set[str], n_cells: int) -> None:
    plan = planned(name)
    assert methods(plan) == expected
    assert len(plan.study.cells) == n_cells


@pytest.mark.parametrize("name", ["llmbar", "just_eval_examples"])
def test_studies_on_published_files_plan_without_them_and_say_that_they_are_fetched(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XP_DATA", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    loaded = load(SPECS / f"{name}.yaml")
    assert loaded.warnings
    assert all("is fetched when the study is applied" in warning.message for warning in loaded.warnings)
    assert compile(loaded.experiment, Fingerprints(), loaded.origin).steps


@needed
@pytest.mark.parametrize("name", ["llmbar", "just_eval_examples"])
def test_the_plan_is_the_same_before_a_published_file_is_there_and_after(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = set(planned(name).steps)
    monkeypatch.setenv("XP_DATA", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert set(planned(name).steps) == there
