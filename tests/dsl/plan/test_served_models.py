"""Models that vLLM serves: their settings, their ids, and the training beside them."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from dsl.checks.load import load
from dsl.data.fingerprints import Fingerprints
from dsl.engines.contract import EngineSettings
from dsl.engines.vllm import FASTER, GIVEN, Settings
from dsl.errors import SpecError
from dsl.plan.compile import compile
from dsl.plan.study import Plan
from dsl.steps.identity import step_id
from dsl.steps.steps import DpoStep, GenerateStep, JudgeStep, SftStep

COLUMNS = {name: name for name in ("item", "instruction", "response", "chosen", "rejected")}
HUB: dict[str, Any] = {"hub": "a/base", "revision": "1"}
METHODS: dict[str, Any] = {
    "icl": {"method": "icl"},
    "sft": {"method": "sft", "train": "rows", "adapter": {"r": 8}},
    "dpo": {"method": "dpo", "policy": "sft", "pairs": "rows", "adapter": {"r": 24}},
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    row = {name: f"{name} text" for name in COLUMNS} | {"item": "1"}
    (tmp_path / "rows.jsonl").write_text(json.dumps(row) + "\n", "utf-8")
    return tmp_path


def planned(folder: Path, base: dict[str, Any] = HUB, **changes: Any) -> Plan:
    study = {
        "experiment": "served",
        "languages": ["en"],
        "models": {"m": {"base": base}},
        "data": {"rows": {"rows": {"path": "rows.jsonl"}, "columns": COLUMNS, "allow_overlap": True}},
        "evaluate": ["rows"],
        "methods": METHODS,
        "judges": {"empty": {"judge": "empty"}},
        **changes,
    }
    path = folder / "study.yaml"
    path.write_text(yaml.safe_dump(study, sort_keys=False), "utf-8")
    loaded = load(path)
    return compile(loaded.experiment, Fingerprints(), loaded.origin)


def served(folder: Path, **more: Any) -> Plan:
    return planned(folder, {"engine": "vllm", **HUB, **more})


def generations(plan: Plan) -> dict[str, GenerateStep]:
    steps = [(cell.method, plan.steps[cell.generate]) for cell in plan.study.cells]
    return {method: step for method, step in steps if isinstance(step, GenerateStep)}


def ids(plan: Plan, *kinds: str) -> set[str]:
    return {step_id for step_id, step in plan.steps.items() if step.kind in kinds}


def test_training_is_the_same_step_whichever_engine_asks_its_result(folder: Path) -> None:
    trained = "sft", "dpo", "reference_logps"
    assert ids(served(folder), *trained) == ids(planned(folder), *trained)
    assert not ids(served(folder), "generate") & ids(planned(folder), "generate")


def test_training_loads_plain_weights_and_all_methods_are_asked_on_one_server(folder: Path) -> None:
    plan = served(folder, args={"max_model_len": 512})
    for step in plan.steps.values():
        if isinstance(step, SftStep | DpoStep):
            assert (type(step.weights).__name__, step.weights.engine) == ("Weights", "transformers")
    asked = generations(plan)
    assert {step.model.engine for step in asked.values()} == {"vllm"}
    assert len({step.affinity for step in asked.values()}) == 1
    assert all(step.affinity.startswith("vllm:a/base:1:") for step in asked.values())


def test_two_models_of_the_same_weights_are_each_asked_with_their_own_engine(folder: Path) -> None:
    models = {"here": {"base": HUB}, "there": {"base": {"engine": "vllm", **HUB}}}
    plan = planned(folder, models=models)
    engines = {
        cell.model: {
            step.model.engine for step in [plan.steps[cell.generate]] if isinstance(step, GenerateStep)
        }
        for cell in plan.study.cells
    }
    assert engines == {"here": {"transformers"}, "there": {"vllm"}}
    assert len(ids(plan, "sft")) == 1


def test_a_plan_names_the_largest_rank_of_its_adapters(folder: Path) -> None:
    models = [step.model for step in generations(served(folder)).values()]
    assert {model.lora_rank for model in models if isinstance(model, Settings)} == {24}
    vary = {"adapter.r": [4, 64]}
    varied = {"method": "sft", "train": "rows", "validation": {"rows": 0.5}, "vary": vary}
    model = {"m": {"base": {"engine": "vllm", **HUB}}}
    (step,) = generations(planned(folder, models=model, methods={"sft": varied})).values()
    assert isinstance(step.model, Settings)
    assert step.model.lora_rank == 64
    (step,) = generations(planned(folder, models=model, methods={"icl": {"method": "icl"}})).values()
    assert isinstance(step.model, Settings)
    assert step.model.lora_rank == 0


def test_a_judge_that_is_a_model_of_the_study_is_asked_on_the_same_server(folder: Path) -> None:
    model = {"engine": "vllm", **HUB}
    judges: dict[str, Any] = {
        "written": {"judge": "rubric", "aspects": ["clarity"], "model": model},
        "level": {"judge": "decision", "aspects": ["clarity"], "model": model},
        "better": {"judge": "pairwise", "against": "icl", "model": model},
        "other": {"judge": "decision", "aspects": ["depth"], "model": {**model, "args": {"seed": 1}}},
        "here": {"judge": "decision", "aspects": ["depth"], "model": HUB},
    }
    plan = planned(folder, model, judges=judges)
    asked = {(step.affinity, rank_of(step.model)) for step in generations(plan).values()}
    found: dict[str, tuple[str, int | None]] = {}
    for cell in plan.study.cells:
        for name, judged in cell.judges.items():
            step = plan.steps[judged.step]
            assert isinstance(step, JudgeStep)
            (used,) = step.judges[judged.judge].models()
            found[name] = step.affinity, rank_of(used)
    assert {found["written"], found["level"], found["better"]} == asked
    assert found["other"][1] == 0
    assert found["here"] == ("transformers:a/base:1:None:float32", None)


def rank_of(model: EngineSettings) -> int | None:
    return model.lora_rank if isinstance(model, Settings) else None


@pytest.mark.parametrize(
    "more",
    [
        {"args": {"gpu_memory_utilization": 0.5}},
        {"batch_size": 3},
        {"base_url": "http://other:9/v1", "api_key_env": "SOME_KEY"},
    ],
)
def test_the_place_of_a_server_and_its_speed_are_no_part_of_an_id(folder: Path, more: dict[str, Any]) -> None:
    assert ids(served(folder, **more), "generate") == ids(served(folder), "generate")


@pytest.mark.parametrize(
    "more",
    [
        {"args": {"max_model_len": 64}},
        {"args": {"quantization": "fp8"}},
        {"args": {"load_format": "dummy"}},
        {"dtype": "bfloat16"},
    ],
)
def test_what_a_server_computes_with_is_part_of_an_id(folder: Path, more: dict[str, Any]) -> None:
    assert not ids(served(folder, **more), "generate") & ids(served(folder), "generate")


def test_a_step_that_comes_back_from_json_is_the_same_step(folder: Path) -> None:
    for asked in generations(served(folder, args={"max_model_len": 64})).values():
        again = GenerateStep.model_validate_json(asked.model_dump_json())
        assert again == asked
        assert step_id(again) == step_id(asked)


def test_a_running_server_needs_no_place_among_the_loaded_models() -> None:
    running = Settings(hub="a/b", revision="1", base_url="http://localhost:8000/v1/", api_key_env="KEY")
    assert running.affinity() == ""
    named = running.server_named()
    assert named is not None
    assert (named.base_url, named.api_key_env) == ("http://localhost:8000", "KEY")
    assert Settings(hub="a/b").server_named() is None


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"args": {"port": 1}}, "given to every server by xp"),
        ({"args": {"dtype": "half"}}, "given to every server by xp"),
        ({"args": {"hf_token": "of mine"}}, "not needed by one that only this machine asks"),
        ({"args": {"revisions": "hf_abcdefghijklmnopqrstuvwxyzABCDEF"}}, "holds a password or a key"),
        ({"args": {"--max-model-len": 1}}, "write an argument as `max_model_len: 4096`"),
        ({"attn_implementation": "eager"}, "attention_backend"),
        ({"base_url": "http://a", "args": {"max_model_len": 1}}, "runs already"),
        ({"base_url": "http://me:secret@a"}, "would stand in reports"),
        ({"api_key_env": "KEY"}, "has a key of its own"),
    ],
)
def test_settings_that_say_nothing_or_too_much_are_refused(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        Settings(hub="a/b", **settings)


def test_a_penalty_that_passes_over_the_prompt_is_refused(folder: Path) -> None:
    decoding = {"repetition_penalty": 1.1, "penalize_prompt": False}
    with pytest.raises(SpecError, match="a server's penalty counts the prompt's tokens too"):
        planned(folder, {"engine": "vllm", **HUB}, decoding=decoding)


def test_no_argument_is_both_given_and_free_of_charge() -> None:
    assert not GIVEN & FASTER
