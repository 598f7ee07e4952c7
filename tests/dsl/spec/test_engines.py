"""`engine: auto` and the engine of a whole study: resolved before a spec is checked, so that plans and steps
know named engines alone."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from dsl.checks.load import load
from dsl.data.fingerprints import Fingerprints
from dsl.engines._auto import Auto
from dsl.errors import SpecError
from dsl.plan.compile import compile
from dsl.plan.study import Plan
from dsl.spec.engines import Asker, Resolved, WhyNot, not_looked_at
from dsl.spec.experiment import Experiment

HUB = {"hub": "a/base", "revision": "1"}
OPEN = {"engine": "auto", **HUB, "args": {"max_model_len": 64}, "batch_size": 3}


def served(model: Auto, experiment: Experiment, asker: Asker) -> str | None:
    return None


@pytest.fixture
def planned(tmp_path: Path) -> Callable[..., Plan]:
    row = {"item": "1", "instruction": "Why?"}
    (tmp_path / "rows.jsonl").write_text(json.dumps(row) + "\n", "utf-8")

    def plan(base: dict[str, Any], why_not_vllm: WhyNot = served, **changes: Any) -> Plan:
        study = {
            "experiment": "open",
            "languages": ["en"],
            "models": {"m": {"base": base}},
            "data": {
                "rows": {
                    "rows": {"path": "rows.jsonl"},
                    "columns": {"item": "item", "instruction": "instruction"},
                }
            },
            "evaluate": ["rows"],
            "methods": {"icl": {"method": "icl"}},
            **changes,
        }
        path = tmp_path / "study.yaml"
        path.write_text(yaml.safe_dump(study, sort_keys=False), "utf-8")
        loaded = load(path, (), Fingerprints(), why_not_vllm)
        return compile(loaded.experiment, Fingerprints(), loaded.origin)

    return plan


def level(**model: Any) -> dict[str, Any]:
    return {"level": {"judge": "decision", "aspects": ["clarity"], "model": model}}


def test_ids_are_those_of_the_engine_that_was_taken(planned: Callable[..., Plan]) -> None:
    vllm = {**OPEN, "engine": "vllm"}
    here = {name: value for name, value in OPEN.items() if name not in ("engine", "args")}
    taken = planned(OPEN, judges=level(**OPEN))
    assert taken.steps == planned(vllm, judges=level(**vllm)).steps
    assert taken.engines == (
        Resolved(place="models.m.base", engine="vllm", why="a GPU and vLLM are here"),
        Resolved(place="judges.level.model", engine="vllm", why="a GPU and vLLM are here"),
    )
    loaded = planned(OPEN, not_looked_at, judges=level(**OPEN))
    assert loaded.steps == planned(here, judges=level(**here)).steps
    assert {one.engine for one in loaded.engines} == {"transformers"}
    assert taken.steps.keys().isdisjoint({*loaded.steps} - {step for step in loaded.steps if "data" in step})


def test_a_study_that_names_its_engines_asks_nothing_of_the_machine(planned: Callable[..., Plan]) -> None:
    def looks(model: Auto, experiment: Experiment, asker: Asker) -> str | None:
        raise AssertionError("no engine is open")

    assert planned(HUB, looks).engines == ()


def test_what_vllm_cannot_decode_is_left_to_transformers_with_the_reason(
    planned: Callable[..., Plan],
) -> None:
    decoding = {"repetition_penalty": 1.1, "penalize_prompt": False}
    one, judge = planned(OPEN, decoding=decoding, judges=level(**OPEN)).engines
    assert one.engine == "transformers"
    assert "penalize_prompt" in one.why
    assert judge.engine == "vllm"  # whose decoding is its own


@pytest.mark.parametrize("engine", ["vllm", "auto"])
def test_an_engine_of_the_study_is_that_of_all_weights_without_one(
    engine: str, planned: Callable[..., Plan]
) -> None:
    models = {
        "m": {"base": HUB, "parameters": 3},
        "other": {"base": {"engine": "transformers", "hub": "a/other", "revision": "1"}},
        "hosted": {"base": {"engine": "openai", "name": "x"}},
    }
    judges = {**level(**HUB), "reward": {"judge": "reward", "model": HUB}, "empty": {"judge": "empty"}}
    whole = planned({}, engine=engine, models=models, judges=judges)
    named = {**HUB, "engine": "vllm"}
    judges["level"] = level(**named)["level"]
    by_hand = planned({}, models={**models, "m": {"base": named, "parameters": 3}}, judges=judges)
    assert whole.steps == by_hand.steps
    places = [one.place for one in whole.engines]
    assert places == (["models.m.base", "judges.level.model"] if engine == "auto" else [])


@pytest.mark.parametrize(
    ("base", "more", "said"),
    [
        ({**HUB, "engine": "auto", "base_url": "http://a"}, {}, "write `engine: vllm`"),
        ({**HUB, "engine": "auto", "attn_implementation": "eager"}, {}, "attention_backend"),
        (HUB, {"engine": "openai"}, "engine"),
        (HUB, {"judges": {"reward": {"judge": "reward", "model": {**HUB, "engine": "auto"}}}}, "engine"),
    ],
)
def test_an_engine_that_cannot_be_left_open_is_refused(
    base: dict[str, Any], more: dict[str, Any], said: str, planned: Callable[..., Plan]
) -> None:
    with pytest.raises(SpecError, match=said):
        planned(base, **more)
