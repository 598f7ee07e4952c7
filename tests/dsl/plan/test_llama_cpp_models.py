"""Models that llama.cpp serves: their settings, their ids, and the methods that train."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from dsl.engines.llama_cpp import FASTER, GIVEN, Settings
from dsl.errors import SpecError
from dsl.plan.study import Plan
from tests.dsl.plan import test_served_models as of_vllm
from tests.dsl.plan.test_served_models import HUB, generations, ids, planned

folder = of_vllm.folder


def served(folder: Path, **more: Any) -> Plan:
    return planned(folder, {"engine": "llama_cpp", **HUB, **more})


@pytest.mark.parametrize("more", [{"args": {"threads": 2}}, {"batch_size": 3}, {"args": {"mmap": False}}])
def test_the_speed_of_a_server_is_no_part_of_an_id(folder: Path, more: dict[str, Any]) -> None:
    assert ids(served(folder, **more), "generate") == ids(served(folder), "generate")


@pytest.mark.parametrize(
    "more",
    [
        {"args": {"ctx_size": 64}},
        {"args": {"flash_attn": "off"}},
        {"dtype": "float16"},
        {"file": "another.gguf"},
    ],
)
def test_what_a_server_computes_with_is_part_of_an_id(folder: Path, more: dict[str, Any]) -> None:
    assert not ids(served(folder, **more), "generate") & ids(served(folder), "generate")


def test_methods_that_train_are_left_out_and_the_plan_says_which_engines_ask_them(folder: Path) -> None:
    plan = served(folder)
    assert generations(plan).keys() == {"icl"}
    assert not ids(plan, "sft", "dpo")
    (note,) = (one for one in plan.study.notes if one.startswith("sft is not tried on m"))
    assert "its `base` is asked with llama.cpp, which reads GGUF files" in note
    assert "`engine: transformers` and `engine: vllm` ask it" in note


def test_a_model_of_two_engines_is_trained_on_the_one_that_asks_it(folder: Path) -> None:
    model = {"base": {"engine": "llama_cpp", **HUB}, "instruct": HUB}
    tuned = {"method": "sft", "train": "rows", "weights": "instruct", "adapter": {"r": 8}}
    asked = generations(
        planned(folder, models={"m": model}, methods={"icl": {"method": "icl"}, "sft": tuned})
    )
    assert {name: step.model.engine for name, step in asked.items()} == {
        "icl": "llama_cpp",
        "sft": "transformers",
    }


def test_one_engine_is_named_for_a_whole_study(folder: Path) -> None:
    models = [step.model for step in generations(planned(folder, HUB, engine="llama_cpp")).values()]
    assert {model.engine for model in models} == {"llama_cpp"}


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"args": {"port": 1}}, "given to every server by xp"),
        ({"args": {"tools": "all"}}, "not needed by one that only this machine asks"),
        ({"args": {"ctx_size": "all"}}, "write the tokens of a prompt with its answer"),
        ({"args": {"-c": 64}}, "write an argument as `ctx_size: 4096`"),
        ({"attn_implementation": "eager"}, "llama.cpp's is `args: {flash_attn: …}`"),
        ({"trust_remote_code": True}, "a GGUF file holds no code"),
    ],
)
def test_settings_that_say_nothing_or_too_much_are_refused(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        Settings(hub="a/b", **settings)


def test_a_penalty_that_passes_over_the_prompt_is_refused(folder: Path) -> None:
    decoding = {"repetition_penalty": 1.1, "penalize_prompt": False}
    with pytest.raises(SpecError, match="a server's penalty counts the prompt's tokens too"):
        planned(folder, {"engine": "llama_cpp", **HUB}, decoding=decoding)


def test_no_argument_is_both_given_and_left_to_the_spec() -> None:
    assert not GIVEN & FASTER
