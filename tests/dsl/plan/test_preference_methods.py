"""KTO, ORPO and SimPO in a plan: a training step over base weights or over an sft step, and no reference."""

import re
from pathlib import Path
from typing import Any, get_args

import pytest

from dsl.errors import SpecError
from dsl.steps.steps import AnyStep
from dsl.steps.training_steps import TRAININGS, KtoStep, OrpoStep, SimpoStep, TuningStep
from tests.dsl.plan import test_compile
from tests.dsl.plan.test_compile import kinds, planned

ROOT = Path(__file__).resolve().parents[3]
folder = test_compile.folder
SFT = {"method": "sft", "train": "rows"}
WITHOUT_REFERENCE = ["kto", "orpo", "simpo"]


@pytest.mark.parametrize("method", WITHOUT_REFERENCE)
def test_each_starts_from_the_base_or_from_an_sft_step_without_reference_logps(
    folder: Path, method: str
) -> None:
    methods = {
        "sft": SFT,
        "over_base": {"method": method, "pairs": "rows"},
        "over_sft": {"method": method, "policy": "sft", "pairs": "rows"},
    }
    plan = planned(folder, methods=methods, seeds=[0], languages=["en"])
    assert kinds(plan) == {"data": 1, "sft": 1, method: 2, "generate": 3, "judge": 3}
    cells = {cell.method: cell for cell in plan.study.cells}
    (alone,), (sft, over_it) = cells["over_base"].train, cells["over_sft"].train
    assert (plan.steps[alone].policy, plan.steps[over_it].policy) == (None, sft)
    assert sft in plan.steps[over_it].inputs
    assert cells["over_base"].method_kind == method


def test_settings_are_named_as_in_trl_and_a_learning_rate_of_its_own_stays(folder: Path) -> None:
    methods = {
        "kto": {"method": "kto", "pairs": "rows", "desirable_weight": 2.0, "undesirable_weight": 0.5},
        "orpo": {"method": "orpo", "pairs": "rows", "beta": 0.2, "training": {"max_steps": 3}},
        "simpo": {"method": "simpo", "pairs": "rows", "simpo_gamma": 0.3, "cpo_alpha": 1.0},
    }
    plan = planned(folder, methods=methods, seeds=[0], languages=["en"])
    found = {step.kind: step for step in plan.steps.values()}
    kto, orpo, simpo = found["kto"], found["orpo"], found["simpo"]
    assert isinstance(kto, KtoStep)
    assert isinstance(orpo, OrpoStep)
    assert isinstance(simpo, SimpoStep)
    assert (kto.beta, kto.desirable_weight, kto.undesirable_weight) == (0.1, 2.0, 0.5)
    assert (orpo.beta, orpo.training.learning_rate, orpo.training.max_steps) == (0.2, 8e-6, 3)
    assert (simpo.beta, simpo.simpo_gamma, simpo.cpo_alpha) == (2.0, 0.3, 1.0)


@pytest.mark.parametrize("method", ["orpo", "simpo"])
def test_values_of_beta_are_tried_and_the_best_by_its_rewards_is_asked(folder: Path, method: str) -> None:
    chosen = {"training": {"metric_for_best_model": "eval_rewards/accuracies"}, "validation": {"rows": 0.5}}
    varied = {"method": method, "pairs": "rows", "vary": {"beta": [0.1, 0.3]}, **chosen}
    plan = planned(folder, methods={"m": varied}, seeds=[0], languages=["en"])
    assert kinds(plan) == {"data": 1, method: 2, "select": 1, "generate": 1, "judge": 1}
    assert {step.beta for step in plan.steps.values() if step.kind == method} == {0.1, 0.3}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"training": {"per_device_train_batch_size": 1}}, "`per_device_train_batch_size` of 2 or more"),
        ({"training": {"train_sampling_strategy": "group_by_length"}}, "its rows stay in one random order"),
        ({"training": {"padding_free": True}}, "`padding_free` is for sft"),
        ({"precompute_ref_log_probs": True}, "a kto method has no such setting"),
        (
            {"validation": {"rows": 0.5}, "training": {"metric_for_best_model": "eval_rewards/accuracies"}},
            "kto reads them one by one. Choose by `eval_loss`",
        ),
        (
            {"validation": {"rows": 0.5}, "vary": {"beta": [0.1, 0.3]}},
            "the loss of kto is of another scale with each `beta`. Make each value a method of its own",
        ),
        ({"policy": "stf"}, "`stf`"),
    ],
)
def test_a_setting_that_kto_cannot_have_is_refused(
    folder: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(SpecError) as refused:
        planned(folder, methods={"m": {"method": "kto", "pairs": "rows", **changes}})
    assert message in str(refused.value)


def test_every_step_that_trains_is_among_the_trainings() -> None:
    kinds = get_args(get_args(AnyStep)[0])
    trains = {kind.model_fields["kind"].default for kind in kinds if issubclass(kind, TuningStep)}
    assert trains == {*TRAININGS}


def test_what_names_one_kind_of_training_in_sql_names_all() -> None:
    for path in sorted((ROOT / "warehouse").rglob("*.sql")):
        for listed in re.findall(r"\bin \(([^)]*'dpo'[^)]*)\)", path.read_text("utf-8")):
            assert set(TRAININGS) <= set(re.findall(r"'(\w+)'", listed)), path.name
