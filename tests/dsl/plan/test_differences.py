"""Settings besides the methods in which the two sides of a contrast differ."""

import json
from pathlib import Path
from typing import Any

import yaml

from dsl.checks.load import load
from dsl.data.fingerprints import Fingerprints
from dsl.plan.compile import compile

LANGUAGES = ("en", "fr")


def differs(folder: Path, of: dict[str, Any], against: dict[str, Any], **changes: Any) -> tuple[str, ...]:
    """Differences of the methods `a` and `b`, each given by its settings."""
    for language in LANGUAGES:
        for name in ("asked", "pool"):
            rows = [{"id": f"{name}1", "q": f"{name} {language}", "r": f"answer {language}"}]
            path = folder / f"{name}_{language}.jsonl"
            path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    columns = {"item": "id", "instruction": "q", "response": "r"}
    study: dict[str, Any] = {
        "experiment": "t",
        "languages": list(LANGUAGES),
        "models": {
            "m": {
                "base": {"hub": "a/b", "revision": "1", "dtype": "float32"},
                "instruct": {"hub": "a/i", "revision": "1", "dtype": "float32"},
            }
        },
        "data": {
            name: {"rows": {"path": f"{name}_{{language}}.jsonl"}, "columns": columns}
            for name in ("asked", "pool")
        },
        "evaluate": ["asked"],
        "methods": {"a": of, "b": against},
        "judges": {"exact": {"judge": "empty"}},
        "contrasts": {"gain": {"of": "a", "against": "b", "on": ["exact"]}},
        **changes,
    }
    (folder / "s.yaml").write_text(yaml.safe_dump(study, sort_keys=False), "utf-8")
    loaded = load(folder / "s.yaml")
    (contrast,) = compile(loaded.experiment, Fingerprints(), loaded.origin).study.contrasts
    return contrast.differs


def sft(max_steps: int = 10, **settings: Any) -> dict[str, Any]:
    return {"method": "sft", "train": "pool", "training": {"max_steps": max_steps}, **settings}


ICL = {"method": "icl"}


def test_methods_that_differ_in_nothing_else_are_told_of_nothing(tmp_path: Path) -> None:
    assert differs(tmp_path, ICL, {"method": "icl", "num_fewshot": 0}) == ()
    assert differs(tmp_path, sft(), sft(adapter={"r": 4})) == ()


def test_template_and_dtype_of_instruct_and_base_weights_are_told(tmp_path: Path) -> None:
    models = {
        "m": {
            "base": {"hub": "a/b", "revision": "1", "dtype": "float32"},
            "instruct": {"hub": "a/i", "revision": "1", "dtype": "bfloat16"},
        }
    }
    assert differs(tmp_path, ICL, {"method": "instruct"}, models=models) == (
        "dtype (float32 against bfloat16)",
        "template (text, answered in a fence against chat)",
    )
    assert differs(tmp_path, ICL, {"method": "icl", "prompt": "urial"}) == (
        "template (text, answered in a fence against text, answered up to a stop string)",
    )


def test_training_is_compared_with_training_only(tmp_path: Path) -> None:
    assert differs(tmp_path, sft(), sft(max_steps=-1, rows=1, train_languages="all")) == (
        "training steps (10 against 1 epoch)",
        "training rows (all against 1)",
        "trained languages (the asked one against en+fr)",
    )
    assert differs(tmp_path, sft(prompt="fenced"), ICL) == ()


def test_a_policy_s_training_counts_with_the_training_on_top_of_it(tmp_path: Path) -> None:
    pairs = {"item": "id", "instruction": "q", "chosen": "r", "rejected": "q"}
    data = {
        name: {
            "rows": {"path": f"{name}_{{language}}.jsonl"},
            "columns": {"item": "id", "instruction": "q", "response": "r"},
        }
        for name in ("asked", "pool")
    }
    data["pairs"] = {"rows": {"path": "pool_{language}.jsonl"}, "columns": pairs}
    dpo = {"method": "dpo", "policy": "b", "pairs": "pairs", "training": {"max_steps": 5}}
    assert differs(tmp_path, dpo, sft(), data=data) == ("training steps (10 + 5 against 10)",)


def test_recorded_answers_were_decoded_in_an_unknown_way(tmp_path: Path) -> None:
    recorded = {
        "method": "recorded",
        "answers": {"path": "asked_{language}.jsonl"},
        "columns": {"item": "id", "response": "r"},
    }
    (found,) = differs(tmp_path, recorded, {"method": "instruct"})
    assert found == "decoding (unknown, recorded against as this study has it)"


def test_between_models_the_settings_of_the_same_method_are_compared(tmp_path: Path) -> None:
    weights = {"hub": "a/b", "revision": "1"}
    found = differs(
        tmp_path,
        ICL,
        ICL,
        models={
            "m": {"base": {**weights, "dtype": "float32"}},
            "n": {"base": {**weights, "dtype": "bfloat16"}},
        },
        contrasts={"gain": {"of": {"model": "m", "method": "a"}, "against": {"model": "n", "method": "a"}}},
    )
    assert found == ("dtype (float32 against bfloat16)",)
